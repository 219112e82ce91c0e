"""Whether the whole works, as Kafka shows it: every service has a process, and what waits for one moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from andon.config.settings import Settings
from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.members import Members
from andon.kafka.scan import Scan
from andon.kafka.topics import READERS
from andon.kafka.unread import Unread

STILL_S = 60.0
_MEMBERS_S = 5.0
_ENOUGH = 100
_SPARING = {"queued.min.messages": 100, "queued.max.messages.kbytes": 1_024}


def needed(settings: Settings) -> list[str]:
    """The services that a configuration needs beside the door."""
    return list(filter(settings.employs, READERS))


class _Stand(msgspec.Struct, frozen=True):
    """Where a reader stood, what there was to read, and since when it has not moved."""

    offset: int
    end: int
    since: float


class Moving:
    """Which partitions have not moved for a minute although there was something to read at its beginning. Pure."""

    def __init__(self) -> None:
        self._stands: dict[Home, _Stand] = {}

    def still(self, offsets: Mapping[Home, int], ends: Mapping[Home, int], now: float) -> dict[Home, _Stand]:
        """By where the reader stands now, and up to where there is something to read."""
        found = {}
        for home, offset in offsets.items():
            known = self._stands.get(home)
            if known is None or known.offset != offset or known.end <= offset:
                self._stands[home] = _Stand(offset, ends.get(home, offset), now)
            elif now - known.since >= STILL_S:
                found[home] = known
        return found


class Works:
    """Looks at one cluster. Blocking; belongs to one thread at a time."""

    def __init__(self, link: Connection) -> None:
        self._members = Members(link, _MEMBERS_S)
        self._cluster = Cluster(link)
        self._unread = Unread(Scan(link, _SPARING))
        self._moving = {service: Moving() for service in READERS}

    def problem(self, services: Collection[str], now: float) -> str | None:
        """What does not work of these services; None: all of it does. Raises KafkaFailure."""
        ends = self._cluster.ends({READERS[service] for service in services}, decided=True)
        for service in services:
            if not self._members.of(service):
                return f"{service} has no process"
            read = {home: at for home, (at, _) in self._cluster.offsets(service).items() if home in ends}
            still = self._moving[service].still(read, ends, now)
            if still and self._records(still):
                return f"{service} does not move"
        return None

    def _records(self, still: Mapping[Home, _Stand]) -> bool:
        """Whether these stretches hold a record: marks of transactions move nobody."""
        starts = {home: one.offset for home, one in still.items()}
        ends = {home: one.end for home, one in still.items()}
        return sum(ends.values()) - sum(starts.values()) > self._unread.gaps(starts, ends, _ENOUGH)

    def close(self) -> None:
        self._cluster.close()
