"""How many offsets of a stretch are records: the marks of transactions, and what was aborted, occupy offsets too."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping

from andon.core.event import Home
from andon.kafka.scan import Scan


class Unread:
    """Counts by reading, for nothing else tells; each offset is read once, however often it is counted.

    Blocking. Remembers eight bytes for each record between the start of a stretch and what was read of it.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._records: dict[Home, array[int]] = {}
        self._from: dict[Home, int] = {}
        self._to: dict[Home, int] = {}

    def gaps(self, starts: Mapping[Home, int], ends: Mapping[Home, int], enough: int) -> int:
        """The offsets in these stretches that are known to hold no committed record: all of them, unless there are
        `enough` records in what had to be read. Raises KafkaFailure."""
        for home, start in starts.items():
            self._begin(home, start)
        missing = enough - sum(len(self._records[home]) for home in starts)
        if missing > 0:
            self._read(starts, ends, missing)
        return sum(self._to[home] - start - len(self._records[home]) for home, start in starts.items())

    def _begin(self, home: Home, start: int) -> None:
        """Forgets what is before `start`; and everything when the stretch now begins earlier than it did."""
        if start < self._from.get(home, start):
            del self._records[home], self._to[home]
        known = self._records.setdefault(home, array("q"))
        del known[: bisect_left(known, start)]
        self._from[home], self._to[home] = start, max(start, self._to.get(home, start))

    def _read(self, homes: Mapping[Home, int], ends: Mapping[Home, int], most: int) -> None:
        further = {home: self._to[home] for home in homes}
        found = 0
        for record in self._scan.stretch(further, ends, most=most):
            self._records[record.home].append(record.offset)
            self._to[record.home] = record.offset + 1
            found += 1
        if found < most:
            self._to.update({home: max(to, ends[home]) for home, to in further.items()})
