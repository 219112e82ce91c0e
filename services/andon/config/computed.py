"""The words of a receiver's `to` that compute who it is: from the event's facts, and from the directory."""

from __future__ import annotations

FACT = "fact"
MANAGER_OF = "manager-of"
TRAITS = ("department", "role", "shift")
DIRECTORY_WORDS = (*TRAITS, MANAGER_OF)
COMPUTED = (FACT, *DIRECTORY_WORDS)
AND = " & "


def is_computed(entry: str) -> bool:
    """Whether an entry names nobody itself, but says how they are found."""
    return entry.partition(":")[0] in COMPUTED


def asks_directory(entry: str) -> bool:
    """Whether an entry asks who is who."""
    return is_computed(entry) and any(term.partition(":")[0] in DIRECTORY_WORDS for term in entry.split(AND))


def hangs_on_event(entry: str) -> bool:
    """Whether who it is differs from event to event; otherwise the directory alone says so."""
    return is_computed(entry) and (f"{FACT}:" in entry or "{" in entry)
