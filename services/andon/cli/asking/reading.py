"""Long stretches of the log, read with a word on how far it has come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from andon.core.event import Home
    from andon.kafka.records import Record
    from andon.kafka.scan import Scan

_EVERY_S = 1.0


class Reading:
    """The records of topics by the times they were appended. Where `told` is a terminal, it shows the progress."""

    def __init__(self, scan: Scan, told: TextIO) -> None:
        self._scan = scan
        self._told = told if told.isatty() else None
        self._counts = scan.partitions()

    def homes(self, topic: str) -> set[Home]:
        """Its partitions."""
        from andon.core.event import Home

        return {Home(topic, number) for number in range(self._counts.get(topic, 0))}

    def of(self, topic: str, since: float, until: float | None = None, *, having: bytes = b"") -> Iterator[Record]:
        """The records of a topic that were appended `since` then, and before `until` if that is said."""
        homes = self.homes(topic)
        starts = self._scan.at_time(homes, since)
        ends = self._scan.ends(homes) if until is None else self._scan.at_time(homes, until)
        whole, before = sum(max(0, ends[home] - starts[home]) for home in homes), self._scan.read
        said = time.monotonic()
        for record in self._scan.stretch(starts, ends, having=having):
            if self._told and time.monotonic() > said + _EVERY_S:
                said = time.monotonic()
                self._told.write(f"\r{topic}: {self._scan.read - before:,} of {whole:,} records ")
                self._told.flush()
            yield record
        if self._told:
            self._told.write("\r\x1b[K")
            self._told.flush()
