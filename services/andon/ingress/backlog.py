"""How many accepted events wait: what the stages have not read, and what the egress desk has open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from andon.core.advisory import open_items
from andon.core.event import Home
from andon.core.ports import Clock
from andon.kafka.admin import Cluster
from andon.kafka.errors import KafkaFailure
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, READERS
from andon.kafka.unread import Unread
from andon.runtime.metrics import Metrics
from andon.runtime.seldom import Seldom

log = logging.getLogger(__name__)

SETTLE_S = 1.0
_SAID_AGAIN_S = 60.0
# Downstream first, so that a record on its way is not met twice. Ticketing is not on the way to people: a dead tracker
# must not close the door.
_COUNTED = ("egress", "routing", "enrichment")
_TOPICS = (EVENTS, ENRICHED, DELIVERIES)


class Backlog:
    """`waiting` is refreshed from Kafka about once a second, and is never more than what waits.

    An event counts once it has stood for a second: the ends of the topics are a second older than the offsets beside
    them, because the desk tells its offsets four times a second, and a transaction's outputs show a moment before its
    offsets. What offsets alone say is too much, by the marks of transactions; so when that reaches `full`, the records
    are counted. So the door closes late, by what it lets in within about two seconds, and never early.
    """

    def __init__(self, cluster: Cluster, unread: Unread, full: int, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._unread = unread
        self._full = full
        self._clock = clock
        self._metrics = metrics
        self._undecided = Undecided()
        self._seldom = Seldom(_SAID_AGAIN_S, clock)
        self.waiting = 0

    async def run(self) -> None:
        """Refreshes until cancelled; while Kafka does not answer the last figure stays."""
        while True:
            try:
                written = await asyncio.to_thread(self._cluster.ends, _TOPICS)
                ends = await asyncio.to_thread(self._ends)
                for topic, seconds in self._undecided.seconds(ends, written, self._clock.now()).items():
                    self._metrics.undecided.labels(topic).set(seconds)
                await self._clock.sleep(SETTLE_S)
                self.waiting = await asyncio.to_thread(self._count, ends)
            except KafkaFailure as error:
                if self._seldom.due(str(error)):
                    log.warning("the backlog is not known", extra={"problem": str(error)})
                await self._clock.sleep(SETTLE_S)

    def _ends(self) -> dict[Home, int]:
        return self._cluster.ends(_TOPICS, decided=True)

    def _count(self, ends: Mapping[Home, int]) -> int:
        starts: dict[Home, int] = {}
        waiting = 0
        for service in _COUNTED:
            for home, (offset, note) in self._cluster.offsets(service).items():
                if home.topic != READERS[service] or home not in ends:
                    continue
                lag = max(0, ends[home] - offset)
                self._metrics.consumer_lag.labels(home.topic, str(home.partition)).set(lag)
                waiting += lag + open_items(note)
                if lag:
                    starts[home] = offset
        if waiting >= self._full:
            waiting -= self._unread.gaps(starts, ends, self._full)
        return waiting


class Undecided:
    """For how long each partition's readers have been held up by a transaction that is not decided.

    The offset up to which all is decided then stands still below the end. Offsets tell nothing of it otherwise: what
    nobody may read yet is no lag.
    """

    def __init__(self) -> None:
        self._since: dict[Home, tuple[int, float]] = {}

    def seconds(self, decided: Mapping[Home, int], written: Mapping[Home, int], now: float) -> dict[str, float]:
        """The longest of each topic, given offsets of which `written` are the older ones."""
        longest: dict[str, float] = {}
        for home, end in decided.items():
            known, since = self._since.get(home, (-1, now))
            if written.get(home, end) <= end or known != end:
                since = now
            self._since[home] = end, since
            longest[home.topic] = max(longest.get(home.topic, 0.0), now - since)
        return longest
