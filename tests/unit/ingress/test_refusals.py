"""The records of refusals: a bounded number of them, and none is lost while they can be written again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from andon.core.action import Action
from andon.core.event import Position
from andon.core.reason import Reason
from andon.ingress import refusals
from andon.ingress.log import KafkaActions
from andon.ingress.refusals import OTHERS, Refusal, Refusals
from andon.kafka.producer import Late, Undecided, Written
from andon.testing.clock import ManualClock


class Kept:
    def __init__(self) -> None:
        self.failing = False
        self.actions: list[Action] = []
        self.counted = 0

    async def append(self, actions: Sequence[Action], _lost: object, /) -> Sequence[bool]:
        kept = [not self.failing or number % 2 == 0 for number in range(len(actions))]
        self.actions += [one for one, good in zip(actions, kept, strict=True) if good]
        return kept

    def refused(self, _reason: str, /) -> None:
        self.counted += 1


def times(action: Action) -> int:
    return int(action.why.partition(", ")[2].partition(" ")[0] or 1)


def test_an_attack_from_everywhere_fills_neither_memory_nor_the_topic() -> None:
    async def case() -> None:
        kept = Kept()
        door = Refusals(kept, kept, ManualClock())
        for turn in range(3):
            kept.failing = turn < 2
            for number in range(5_000):
                door.note(Refusal(Reason.UNAUTHORISED, f"{turn} {number}", "/v1/events"))
            await door.flush()
            assert len(kept.actions) <= (turn + 1) * (refusals.MOST + 1)
        assert sum(times(one) for one in kept.actions) == kept.counted == 15_000, "each is told of, once"
        assert sum(times(one) for one in kept.actions if one.actor == OTHERS) >= 3 * 4_000

    asyncio.run(case())


def test_records_are_written_every_ten_seconds_and_none_where_nothing_was_refused() -> None:
    async def case() -> None:
        kept, clock = Kept(), ManualClock()
        door = Refusals(kept, kept, clock)
        running = asyncio.create_task(door.run())
        await asyncio.sleep(0)
        for second in range(30):
            if second == 12:
                door.note(Refusal(Reason.OVER_RATE, "mes", "/v1/events", "mes"))
                door.note(Refusal(Reason.OVER_RATE, "mes", "/v1/events", "mes"))
            clock.advance(1)
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(kept.actions) == (second >= 19)
        (action,) = kept.actions
        assert (action.actor, action.client, action.why, action.done) == ("mes", "mes", "over_rate, 2 times", False)
        running.cancel()

    asyncio.run(case())


class Away:
    """A publisher whose broker is away: after ten seconds nothing is known, and each record is still on its way."""

    def __init__(self) -> None:
        self.away = True
        self.records: list[Any] = []
        self.late: list[tuple[Late, int]] = []

    async def append(self, records: Sequence[Any], late: Late) -> Sequence[Written]:
        self.records += records
        if self.away:
            self.late += [(late, number) for number in range(len(records))]
            return [Undecided("no acknowledgement")] * len(records)
        return [Position("andon.actions", 0, 0)] * len(records)


def test_a_record_on_its_way_is_not_written_again_unless_it_does_not_arrive() -> None:
    async def case() -> None:
        kafka = Away()
        door = Refusals(Kept(), KafkaActions(kafka), ManualClock())  # type: ignore[arg-type]
        for _ in range(3):
            door.note(Refusal(Reason.UNAUTHORISED, "10.0.0.7", "/v1/events"))
            await door.flush()
        await door.flush()
        assert len(kafka.records) == 3
        (first, one), (second, two), (third, three) = kafka.late
        first(one, Position("andon.actions", 0, 0))
        second(two, "timed out")
        third(three, "timed out")
        kafka.away = False
        await door.flush()
        await door.flush()
        assert len(kafka.records) == 4
        whys = [msgspec.json.decode(record.value, type=Action).why for record in kafka.records]
        assert whys == ["unauthorised"] * 3 + ["unauthorised, 2 times"], "two that did not arrive, told together"

    asyncio.run(case())
