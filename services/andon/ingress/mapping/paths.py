"""What the languages of paths have in common, and what looking something up may cost.

A path stands in the configuration, what it is asked of is a stranger's: its cost is bounded by steps and by the
processor time of the thread, which does not run on while the machine stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import thread_time
from typing import Any, NamedTuple, Protocol

from andon.core.failure import Invalid
from andon.core.reason import Reason

MOST_STEPS = 400_000
MOST_SECONDS = 1.0


class Budget:
    """What all paths together may cost over one body."""

    def __init__(self) -> None:
        self._left = MOST_STEPS
        self._until = thread_time() + MOST_SECONDS

    def spend(self) -> None:
        """One step. Raises Invalid (TOO_LARGE)."""
        self._left -= 1
        if self._left < 0 or thread_time() > self._until:
            raise Invalid(Reason.TOO_LARGE, "to look through this body takes longer than is allowed")


class Scope(NamedTuple):
    """Where paths begin: at one of the events of a body, or at the body itself."""

    item: Any
    root: Any
    budget: Budget


Find = Callable[[Scope], Any]


class Language(Protocol):
    """A language of paths over one kind of document."""

    def root(self, document: Any, /) -> Any:
        """Where the paths of a document that was read begin."""

    def find(self, path: str, /) -> Find:
        """What stands at a path, as plain data; None where there is nothing. Raises PathError for what is no path; the
        function raises Invalid and nothing else."""

    def places(self, path: str, /) -> Callable[[Scope], Sequence[Any] | None]:
        """The places in a list from which other paths may begin; None where there is no list. Raises as `find`."""

    def plain(self, place: Any, /) -> Any:
        """All that is at a place, as plain data."""


def unusable(path: str, error: Exception) -> Invalid:
    """The refusal of a body over which a path cannot be evaluated."""
    text = str(error)
    said = text if len(text) <= 160 else text[:159] + "…"
    return Invalid(Reason.INVALID, f"`{path}` cannot be looked up in this: {said}", path)
