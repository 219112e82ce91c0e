"""Mutes at the door, and Alertmanager's API for them."""
