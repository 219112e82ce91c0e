"""What a desk tells the log and the metrics: outcomes until the log has them, how much is open, and how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from andon.core.event import Home
from andon.core.policy import Limit, Per
from andon.core.work import Write
from andon.runtime.desk import runner, upkeep
from andon.runtime.desk.gauges import DeskGauges
from tests.unit.desk.items import HOME, START, limited
from tests.unit.desk.running import Plant, Run, SlowWork


def test_nothing_is_forgotten_while_the_log_refuses(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.broker.refusing = True
        plant.fill(20)
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.store.closed) == 20)
            assert len(plant.store.notes[HOME]) == 20
            plant.broker.refusing = False
            await plant.until(lambda: len(plant.outcomes()) == 20)

    plant = run(scene)
    assert plant.store.notes[HOME] == {}
    assert len(plant.broker.published) == 20


def test_what_was_stored_and_not_published_is_published_by_the_next(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.broker.refusing = True
        plant.fill(5)
        await plant.killed(plant.runner(), lambda: len(plant.store.closed) == 5)
        plant.broker.refusing = False
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.outcomes()) == 5)

    plant = run(scene)
    assert plant.store.notes[HOME] == {}
    assert len(plant.work.called) == 5, "what was done is told, not done again"


def test_memos_are_stored_as_they_stand_when_the_record_is_taken_in(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3, memo="episode")
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.outcomes()) == 3)

    plant = run(scene)
    assert plant.store.memos[HOME] == {"episode": plant.broker.logs[HOME][2].value}
    assert [one.value for one in plant.broker.published if one.topic == "memos"] == [
        one.value for one in plant.broker.logs[HOME]
    ]


def test_the_advisory_offset_tells_how_much_is_open(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(7)
        async with plant.running(plant.runner()):
            await plant.until(lambda: HOME in plant.broker.committed)
            assert plant.broker.committed[HOME] == (7, "open=7")
            plant.work.gate.set()
            await plant.until(lambda: plant.broker.committed[HOME] == (7, "open=0"))

    run(scene)


def test_what_a_killed_desk_told_last_is_set_right_by_the_next_without_a_new_record(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3)
        await plant.killed(plant.runner(), lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
        plant.broker.committed[HOME] = (2, "open=2")
        async with plant.running(plant.runner()):
            await plant.until(lambda: plant.broker.committed[HOME] == (3, "open=0"))

    plant = run(scene)
    assert plant.broker.told[-1] == (3, "open=0")
    assert len(plant.work.called) == 3


def test_no_item_is_told_as_open_before_its_record_is_told_as_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door would count it twice. The store is slow, so that much is told while records are being stored."""

    async def scene(plant: Plant) -> None:
        monkeypatch.setattr(runner, "_TELL_S", 0.001)
        plant.work.gate = asyncio.Event()
        commit = plant.store.commit

        def slow(writes: Sequence[Write]) -> set[tuple[Home, int]]:
            time.sleep(0.02)
            return commit(writes)

        monkeypatch.setattr(plant.store, "commit", slow)
        async with plant.running(plant.runner(window=10)):
            for n in range(20):
                plant.fill(10, first=10 * n)
                await plant.until(lambda: plant.broker.committed.get(HOME) == (10 * n + 10, f"open={10 * n + 10}"))  # noqa: B023
            plant.work.gate.set()

    told = run(scene).broker.told
    assert len(told) >= 20
    assert all(int(note.removeprefix("open=")) <= offset for offset, note in told), told


def test_an_idle_desk_tells_its_offsets_again_every_hour(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(plant: Plant) -> None:
        monkeypatch.setattr(upkeep, "_HOUR_S", 0.0)
        plant.fill(3)
        async with plant.running(plant.runner()):
            await plant.until(lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
            before = len(plant.broker.told)
            await plant.until(lambda: plant.broker.told[before:].count((3, "open=0")) >= 2)

    plant = run(scene)
    assert plant.broker.told.count((3, "open=0")) >= 3
    assert len(plant.work.called) == 3


def test_a_desk_goes_past_marks_of_transactions_every_hour(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention deletes them with the records before them, and the store's offset would be before everything."""

    async def scene(plant: Plant) -> None:
        monkeypatch.setattr(upkeep, "_HOUR_S", 0.0)
        plant.fill(3)
        plant.broker.marks = 1
        async with plant.running(plant.runner()):
            await plant.until(lambda: plant.broker.committed.get(HOME) == (4, "open=0"))
            assert plant.store.leases[HOME].offset == 4

    run(scene)


def test_what_the_broker_did_not_take_is_told_again(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3)
        plant.broker.deaf = 3
        async with plant.running(plant.runner()):
            await plant.until(lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
            assert plant.broker.deaf == 0

    run(scene)


def test_the_gauges_show_the_fullest_queue_the_oldest_item_and_the_limits(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(limited(10))
        work.gate = asyncio.Event()
        plant.fill(4, domain="wecom_robot:x")
        one = plant.runner(work)
        async with plant.running(one):
            await plant.until(lambda: len(work.called) == 4)
            gauges = DeskGauges(one.desk, work, one._metrics)
            gauges.refresh(START + 30)
            text = one._metrics.text().decode()
            assert 'andon_queue_depth{channel="robot"} 4.0' in text
            assert 'andon_oldest_open_seconds{channel="robot"} 30.0' in text
            assert 'andon_limit_utilisation{domain_kind="wecom_robot"} 0.4' in text
            work.gate.set()
            await plant.until(lambda: len(plant.outcomes()) == 4)
            gauges.refresh(START + 30)
            assert 'andon_queue_depth{channel="robot"} 0.0' in one._metrics.text().decode()
            assert 'andon_oldest_open_seconds{channel="robot"} 0.0' in one._metrics.text().decode()

    run(scene)


def test_a_limit_that_was_handed_to_another_process_is_shown_there_only(run: Run) -> None:
    """The last value would stay for ever, and with it an alarm."""

    async def scene(plant: Plant) -> None:
        plant.fill(4, domain="wecom_robot:x")
        one = plant.runner(SlowWork(limited(10, people=(Limit(10, 86_400.0, Per.PERSON),))))
        async with plant.running(one):
            await plant.until(lambda: len(one.desk.items) == 4)
            gauges = DeskGauges(one.desk, one._work, one._metrics)
            gauges.refresh(START + 30)
            shown = ("andon_limit_utilisation{", "andon_quota_left_ratio{", "andon_quota_runs_out_seconds{")
            text = one._metrics.text().decode()
            assert [name for name in shown if name in text] == list(shown)
            one.desk.drop(HOME)
            gauges.refresh(START + 30)
            text = one._metrics.text().decode()
            assert [name for name in shown if name in text] == []

    run(scene)
