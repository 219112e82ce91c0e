"""A desk that has too much to do holds its partitions, and goes on when there is room."""

from __future__ import annotations

import asyncio

import pytest

from andon.core.policy import QueuePolicy
from andon.runtime.desk import room
from tests.unit.desk.items import HOME, OTHER
from tests.unit.desk.running import Plant, Run, SlowWork


def test_a_full_queue_holds_its_home_without_a_storm_and_goes_on(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(QueuePolicy(channel="c", cap=10, in_flight=1))
        work.gate = asyncio.Event()
        plant.fill(30, urgent=True)
        plant.fill(5, OTHER, first=1_000, queue="other", domain="other")
        one = plant.runner(work)
        async with plant.running(one):
            await plant.until(lambda: plant.broker.seeks)
            await asyncio.sleep(0.2)
            assert len(plant.broker.seeks) == 1
            assert one.desk.open_of(HOME) == 10
            assert plant.broker.consumers[0].paused == {HOME}
            plant.fill(5, OTHER, first=2_000, queue="other", domain="other")
            work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 40)
        assert [offset for offset, _ in work.called if offset < 30]
        assert len(plant.broker.seeks) < 30

    plant = run(scene)
    assert set(plant.outcomes().values()) == {"delivered/delivered"}


def test_at_the_backlog_everything_is_held_and_new_homes_too(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(400)
        one = plant.runner(window=50, backlog=100)
        async with plant.running(one):
            await plant.until(lambda: plant.broker.consumers and plant.broker.consumers[0].paused)
            await asyncio.sleep(0.1)
            assert 100 <= len(one.desk.items) <= 150
            plant.fill(10, OTHER, first=5_000)
            first = plant.broker.consumers[0]
            plant.broker.move([OTHER], first, first)
            await plant.until(lambda: not first.leaving and not first.coming)
            await plant.until(lambda: first.paused == {HOME, OTHER})
            plant.work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 410)

    run(scene)


def test_what_would_take_too_much_memory_waits_in_the_log(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(400)
        one_weighs = len(plant.broker.logs[HOME][0].value)
        monkeypatch.setattr(room, "_WEIGHT", 60 * one_weighs)
        one = plant.runner(window=50)
        async with plant.running(one):
            await plant.until(lambda: plant.broker.consumers and plant.broker.consumers[0].paused)
            await asyncio.sleep(0.1)
            assert 55 <= len(one.desk.items) <= 110
            plant.work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 400)
            assert one.desk.weight == 0

    run(scene)


def test_a_home_that_comes_while_another_is_held_is_read(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(QueuePolicy(channel="c", cap=5, in_flight=1))
        work.gate = asyncio.Event()
        plant.fill(10, urgent=True)
        async with plant.running(plant.runner(work)):
            first = None
            await plant.until(lambda: plant.broker.seeks)
            first = plant.broker.consumers[0]
            plant.broker.move([OTHER], first, first)
            plant.fill(3, OTHER, first=100, queue="other", domain="other")
            await plant.until(lambda: plant.store.leases[OTHER].offset == 3)
            assert first.paused == {HOME}
            work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 13)

    run(scene)
