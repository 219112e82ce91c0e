"""The note beside the offset that a desk tells Kafka: by it others know what is open there."""

from __future__ import annotations


def open_note(waiting: int) -> str:
    """How many items taken in before the offset are open."""
    return f"open={waiting}"


def open_items(note: str) -> int:
    """The number of open items that a note tells of; 0 when it has none."""
    name, _, number = note.partition("=")
    return int(number) if name == "open" and number.isdigit() else 0
