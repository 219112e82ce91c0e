"""Delivers: queues, limits, merging, rendering, channels."""
