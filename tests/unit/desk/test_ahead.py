"""Intents that are stored ahead of their calls: a place never stands empty, and none is taken twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec

from andon.core.event import Home
from andon.core.failure import Retryable
from andon.core.policy import QueuePolicy, Retry
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.desk.work import Success
from tests.unit.desk.items import HOME, OTHER, item
from tests.unit.desk.rig import Rig
from tests.unit.desk.running import Plant, Run, SlowWork

ROOM = 4
WIDE = QueuePolicy(channel="robot", in_flight=64)


class Counted(SlowWork):
    """Counts the calls under way and all that were made, by home."""

    def __init__(self) -> None:
        super().__init__(WIDE)
        self.lasts = 0.005
        self.calls: Counter[Home] = Counter()
        self.made: Counter[Home] = Counter()
        self.most = 0

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        self.made[item.home] += 1
        self.calls[item.home] += 1
        self.most = max(self.most, self.calls.total())
        try:
            return await super().call(item, line, deadline)
        finally:
            self.calls[item.home] -= 1


def intents(plant: Plant, home: Home = HOME) -> int:
    """Those of a home that are stored and have no result."""
    return sum(1 for entry in [*plant.store.entries.values()] if entry.home == home and entry.ended is None)


def test_the_desk_decides_as_many_ahead_as_it_is_told() -> None:
    at = Rig(SlowWork(WIDE), room=ROOM)
    at.admit(*(item(n, lane=f"m{n}") for n in range(20)))
    assert len(at.desk.decide(at.now, 3).calls) == ROOM + 3
    assert not at.desk.decide(at.now, 3).calls
    assert len(at.desk.decide(at.now, 5).calls) == 2
    assert not at.desk.decide(at.now).calls


def test_while_calls_end_quickly_intents_are_ahead_and_calls_keep_to_their_places(run: Run) -> None:
    most, work = 0, Counted()

    async def scene(plant: Plant) -> None:
        nonlocal most
        plant.work = work
        plant.fill(400)
        async with plant.running(plant.runner(room=ROOM)):
            while len(plant.outcomes()) < 400:
                most = max(most, intents(plant))
                await asyncio.sleep(0.001)

    plant = run(scene)
    assert work.most == ROOM
    assert ROOM < most <= 2 * ROOM
    assert sorted(plant.work.called) == [(n, False) for n in range(400)]
    assert set(plant.outcomes().values()) == {"delivered/delivered"}


def test_where_calls_are_slow_no_intent_is_ahead(run: Run) -> None:
    work = Counted()

    async def scene(plant: Plant) -> None:
        plant.work = work
        plant.work.gate = asyncio.Event()
        plant.fill(20)
        async with plant.running(plant.runner(room=ROOM)):
            await plant.until(lambda: len(plant.work.called) == ROOM)
            await asyncio.sleep(0.2)
            assert intents(plant) == ROOM
            plant.work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 20)

    run(scene)
    assert work.most == ROOM


def test_a_kill_leaves_what_waited_for_a_place_in_doubt_and_the_next_owner_ends_it(run: Run) -> None:
    """At most as many as there are places, beside the calls themselves. Results that were on their way to the store
    when the kill came are in it: where they were so many that nothing had waited for a place, there is another kill."""
    doubted = 0

    async def scene(plant: Plant) -> None:
        nonlocal doubted
        plant.work = Counted()
        plant.fill(200)
        await plant.killed(plant.runner(room=ROOM, deadline=0.3), lambda: intents(plant) > ROOM)
        doubted = intents(plant)
        async with plant.running(plant.runner(room=ROOM, deadline=0.3)):
            await plant.until(lambda: len(plant.outcomes()) == 200)

    for _ in range(10):
        plant = run(scene)
        assert sum(1 for one in plant.store.entries.values() if one.reason is Reason.INTERRUPTED) == doubted
        assert sum(marked for _, marked in plant.work.called) == doubted
        if doubted > ROOM:
            break
    assert ROOM < doubted <= 2 * ROOM


def test_what_waits_for_a_place_is_not_called_when_its_home_leaves(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work = work = Counted()
        plant.fill(100)
        plant.fill(100, OTHER, first=1_000)
        runner = plant.runner(room=ROOM)
        async with plant.running(runner):
            await plant.until(lambda: intents(plant, OTHER) > work.calls[OTHER])
            runner.desk.drop(OTHER)
            await asyncio.sleep(0)  # a call that had begun counts itself now
            made = work.made[OTHER]
            await plant.until(lambda: sum(work.made.values()) - made == 100)
            assert work.made[OTHER] == made

    run(scene)


def test_no_call_begins_once_its_account_asks_to_be_left_alone(run: Run) -> None:
    """Neither of those that wait for a place, nor of those whose intent is being stored."""
    made = 0

    async def scene(plant: Plant) -> None:
        nonlocal made
        plant.work = work = Counted()
        plant.fill(400)
        async with plant.running(plant.runner(room=ROOM)):
            await plant.until(lambda: intents(plant) > ROOM)
            work.fails = Retryable(Reason.THROTTLED, "429", after=1.0)
            await plant.until(lambda: any(one.reason is Reason.THROTTLED for one in plant.store.entries.values()))
            work.fails = None
            # What was under way at that moment may have been throttled too, or not.
            await plant.until(lambda: not intents(plant))
            made = work.made[HOME]
            await asyncio.sleep(0.3)
            assert work.made[HOME] == made
            await plant.until(lambda: len(plant.outcomes()) == 400)

    plant = run(scene)
    throttled = [one for one in plant.store.entries.values() if one.reason is Reason.THROTTLED]
    assert len(throttled) <= ROOM, "called again before its time"
    assert any(one.reason is Reason.NOT_SENT for one in plant.store.entries.values())


def test_who_just_failed_is_called_though_every_place_is_taken(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work = work = Counted()
        work.standard = msgspec.structs.replace(WIDE, retry=Retry(first=0.2))
        work.fails = Retryable(Reason.CONNECTION, "reset")
        plant.fill(1, domain="gone")
        async with plant.running(plant.runner(room=ROOM)):
            await plant.until(lambda: work.made[HOME] == 1 and not work.calls[HOME])
            work.gate, work.fails = asyncio.Event(), None
            plant.fill(10, first=10)
            await plant.until(lambda: work.calls[HOME] == ROOM)
            await plant.until(lambda: work.calls[HOME] == ROOM + 1)
            work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 11)
        assert work.most == ROOM + 1
        assert work.made[HOME] == 12  # ten, and the one that failed a second time

    run(scene)
