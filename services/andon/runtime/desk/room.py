"""Which partitions wait in Kafka, because a desk has no room for more of their records."""

from __future__ import annotations

from collections.abc import Mapping

from andon.core.event import Home
from andon.core.work import Item
from andon.runtime.desk.desk import Desk

# Bytes of open items in memory: some 18,000 of ordinary size, so that a process stays small whatever waits.
_WEIGHT = 16 << 20
# The same for what may wait for its group: left in Kafka it would wait for other groups to leave, so a hundred thousand
# of ordinary size have room.
_GROUPED = 96 << 20
_AGAIN = 0.9


class Room:
    """All homes of a desk wait at its backlog, or when too much would lie in memory, until a tenth of that is free; a
    home whose record found no room in its queue waits until that has some.

    `notes` is how many notes may wait to be published.
    """

    def __init__(self, desk: Desk, backlog: int, notes: int) -> None:
        self._desk = desk
        self._backlog = backlog
        self._notes = notes
        self._crowded = False
        self._refused: dict[Home, Item] = {}
        self._waiting: set[Home] | None = set()

    def refused(self, items: Mapping[Home, Item]) -> None:
        """These found no room in their queues, and neither may what is behind them in their homes."""
        self._refused.update(items)

    def joined(self) -> None:
        """A home has come in, which is read until it is said that it waits."""
        self._waiting = None

    def left(self, home: Home) -> None:
        """The home is another's now."""
        self._refused.pop(home, None)

    def changed(self, notes: int) -> set[Home] | None:
        """The homes that are to wait from now on, with so many notes to be published; None when those do already."""
        share = max(
            len(self._desk.items) / self._backlog,
            self._desk.weight / _WEIGHT,
            self._desk.grouped / _GROUPED,
            notes / self._notes,
        )
        self._crowded = share >= (_AGAIN if self._crowded else 1.0)
        self._refused = {home: item for home, item in self._refused.items() if not self._desk.accepts(item)}
        wanted = set(self._desk.epochs if self._crowded else self._refused)
        if wanted == self._waiting:
            return None
        self._waiting = wanted
        return wanted
