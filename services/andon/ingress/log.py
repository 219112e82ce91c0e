"""The log behind the door: `andon.events` in Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from andon.core.event import Position
from andon.core.failure import Retryable
from andon.core.reason import Reason
from andon.ingress.sources.http import Draft
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS


class KafkaLog:
    """Appends events with acks=all; a subject's events go to one partition, in the order they were accepted."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def append(self, drafts: Sequence[Draft], /) -> Sequence[Position | Retryable]:
        """One answer per event: its position once every replica in sync has it, or why that is not known."""
        fates = await self._publisher.append(
            [Outgoing(EVENTS, draft.subject.encode(), draft.record) for draft in drafts]
        )
        return [fate if isinstance(fate, Position) else _unknown(fate) for fate in fates]


def _unknown(why: str) -> Retryable:
    return Retryable(Reason.UNAVAILABLE, why, ambiguous=True)
