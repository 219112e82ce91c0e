"""How many accepted events wait: what the stages have not read, and what the egress desk has open."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from andon.core.event import Home
from andon.core.ports import Clock
from andon.kafka.admin import Cluster
from andon.kafka.errors import KafkaFailure
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, READERS
from andon.runtime.metrics import Metrics

log = logging.getLogger(__name__)

EVERY_S = 0.5
# Ticketing is not on the way to people: a dead tracker must not close the door.
_COUNTED = ("enrichment", "routing", "egress")


class Backlog:
    """`waiting` is refreshed twice a second from Kafka: the lag of the services between the door and the channels,
    and the open items the egress desk notes beside its offsets. Markers of transactions count as lag, a few per
    partition."""

    def __init__(self, cluster: Cluster, clock: Clock, metrics: Metrics) -> None:
        self._cluster = cluster
        self._clock = clock
        self._metrics = metrics
        self.waiting = 0

    async def run(self) -> None:
        """Refreshes until cancelled; while Kafka does not answer the last figure stays."""
        while True:
            try:
                self.waiting = await asyncio.to_thread(self._count)
            except KafkaFailure as error:
                log.warning("the backlog is not known", extra={"problem": str(error)})
            await self._clock.sleep(EVERY_S)

    def _count(self) -> int:
        ends = self._cluster.ends((EVENTS, ENRICHED, DELIVERIES))
        return sum(self._of(service, ends) for service in _COUNTED)

    def _of(self, service: str, ends: Mapping[Home, int]) -> int:
        total = 0
        for home, (offset, note) in self._cluster.offsets(service).items():
            if home.topic != READERS[service] or home not in ends:
                continue
            lag = max(0, ends[home] - offset)
            self._metrics.consumer_lag.labels(home.topic, str(home.partition)).set(lag)
            total += lag + open_items(note)
        return total


def open_items(note: str) -> int:
    """The number of open items in the note beside a desk's offset; 0 when it has none."""
    name, _, number = note.partition("=")
    return int(number) if name == "open" and number.isdigit() else 0
