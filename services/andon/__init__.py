"""Andon carries signals to the people who must act on them, and proves that it did."""
