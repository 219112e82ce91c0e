"""The log behind the door: `andon.events` in Kafka."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from andon.core.action import Action
from andon.core.event import Position
from andon.core.failure import Retryable
from andon.core.fate import Fate, Late, Undecided
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.ingress.bodies.draft import Draft
from andon.kafka import producer
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import ACTIONS, EVENTS
from andon.runtime.seldom import Seldom

log = logging.getLogger(__name__)

APART_S = 60.0
AGAIN_S = 600.0


class KafkaLog:
    """Appends events with acks=all; a subject's events go to one partition, in the order they were accepted."""

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        self._publisher = publisher
        self._clock = clock
        self._seldom = Seldom(AGAIN_S, clock)

    async def append(self, drafts: Sequence[Draft], late: Late | None = None, /) -> Sequence[Fate]:
        """One answer per event: its position once every replica in sync has it, or why that is not known."""

        def told(index: int, fate: Position | str) -> None:
            if late is not None:
                late(index, _answer(fate))

        records = [Outgoing(EVENTS, draft.subject.encode(), draft.record) for draft in drafts]
        fates = await self._publisher.append(records, told)
        self._compare(fates)
        return [_answer(fate) for fate in fates]

    def _compare(self, fates: Sequence[Position | str]) -> None:
        """Tells when a broker's clock is not ours: its time is the one that retention and episodes go by."""
        now = self._clock.now()
        for fate in fates:
            if isinstance(fate, Position) and fate.at and abs(fate.at / 1_000 - now) >= APART_S:
                if self._seldom.due():
                    log.warning(_apart(fate, fate.at / 1_000 - now))
                return


class KafkaActions:
    """`andon.actions` in Kafka."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def append(self, actions: Sequence[Action], lost: Callable[[int], None], /) -> Sequence[bool]:
        """Whether each is kept, or still on its way, so that it must not be written again; of one that was, and is not
        kept after all, `lost` hears."""

        def told(index: int, fate: Position | str) -> None:
            if isinstance(fate, str):
                lost(index)

        records = [Outgoing(ACTIONS, one.actor.encode(), msgspec.json.encode(one)) for one in actions]
        fates = await self._publisher.append(records, told)
        return [isinstance(fate, Position | producer.Undecided) for fate in fates]


def _apart(position: Position, apart_s: float) -> str:
    return (
        f"the clock of the broker that leads {position.topic}-{position.partition} is {abs(apart_s):.0f} s "
        f"{'ahead of' if apart_s > 0 else 'behind'} this machine's; set both by the same time server"
    )


def _answer(fate: Position | str) -> Fate:
    if isinstance(fate, Position):
        return fate
    kind = Undecided if isinstance(fate, producer.Undecided) else Retryable
    return kind(Reason.UNAVAILABLE, fate, ambiguous=True)
