"""What becomes of an event that is not in the log yet when its sender is answered."""

from __future__ import annotations

from collections.abc import Callable

from andon.core.event import Position
from andon.core.failure import Retryable


class Undecided(Retryable):
    """The event is still on its way into the log."""


Fate = Position | Retryable
"""Where an event stands, or why that is not known."""
Late = Callable[[int, Fate], None]
"""Is told the fate of an event that was Undecided, by its number among those appended with it."""
