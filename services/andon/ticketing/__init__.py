"""Fault episodes and their tickets."""
