"""The records of refusals: a bounded number of them, and none is lost while they can be written again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from andon.core.action import Action
from andon.core.reason import Reason
from andon.ingress import refusals
from andon.ingress.refusals import OTHERS, Refusal, Refusals
from andon.testing.clock import ManualClock


class Kept:
    def __init__(self) -> None:
        self.failing = False
        self.actions: list[Action] = []
        self.counted = 0

    async def append(self, actions: Sequence[Action], /) -> Sequence[bool]:
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
