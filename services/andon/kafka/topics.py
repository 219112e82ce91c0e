"""The topics: names, who reads them, and how each is kept (design, section 2)."""

from __future__ import annotations

from typing import Final

import msgspec

from andon.kafka.connection import LARGEST, LARGEST_PARKED

EVENTS: Final = "andon.events"
ENRICHED: Final = "andon.enriched"
DELIVERIES: Final = "andon.deliveries"
OUTCOMES: Final = "andon.outcomes"
TICKETS: Final = "andon.tickets"
ACTIVE: Final = "andon.active"
DLQ: Final = "andon.dlq"
CONFIG: Final = "andon.config"
ACTIONS: Final = "andon.actions"
SOURCES: Final = "andon.sources"

READERS: Final = {"enrichment": EVENTS, "routing": ENRICHED, "egress": DELIVERIES, "ticketing": ENRICHED}
"""Service → the topic it reads."""


class Topic(msgspec.Struct, frozen=True):
    """How a topic is made. `partitions` None takes the configured count; `largest` is in bytes. `segment_s`: after so
    many seconds what was written becomes open to compaction; by default when the broker thinks fit."""

    name: str
    compacted: bool = False
    partitions: int | None = None
    largest: int = LARGEST
    segment_s: int | None = None

    def settings(self, retention_s: float, replication: int) -> dict[str, str]:
        """The topic's own configuration at the broker."""
        kept = (
            {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
            if self.compacted
            else {"cleanup.policy": "delete", "retention.ms": str(int(retention_s * 1000)), "retention.bytes": "-1"}
        )
        return {
            **kept,
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(max(1, replication - 1)),
            "max.message.bytes": str(self.largest),
            **({} if self.segment_s is None else {"segment.ms": str(1_000 * self.segment_s)}),
        }


TOPICS: Final = (
    Topic(EVENTS),
    Topic(ENRICHED),
    Topic(DELIVERIES),
    Topic(OUTCOMES),
    Topic(TICKETS),
    Topic(ACTIVE, compacted=True),
    Topic(DLQ, largest=LARGEST_PARKED),
    # One partition, because the versions of the configuration have one order.
    Topic(CONFIG, compacted=True, partitions=1),
    Topic(ACTIONS),
    # One partition, because the doors must all read the same in one order; written every few seconds, and read whole at
    # each start.
    Topic(SOURCES, compacted=True, partitions=1, segment_s=3_600),
)


GROWING: Final = tuple(topic.name for topic in TOPICS if topic.partitions is None and not topic.compacted)
"""What a repartition gives more partitions. A compacted topic keeps the newest value of a key in each partition, so it
would keep two of a key that changed places; of one that holds little, the count does not matter."""


def group_of(service: str) -> str:
    """The consumer group of a service."""
    return f"andon-{service}"
