"""The edge of the desk on a broker in memory: nothing is lost between its loop, its threads and its end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from andon.core.failure import Rejected, Retryable
from andon.core.fence import fenced
from andon.core.policy import QueuePolicy
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, Item, StoreFailure, Write
from andon.kafka.connection import Connection
from andon.runtime.clock import SystemClock
from andon.runtime.desk import runner, upkeep
from andon.runtime.desk.gauges import DeskGauges
from andon.runtime.desk.runner import DeskRunner, DeskSettings
from andon.runtime.desk.work import Success
from andon.runtime.dlq import REDRIVE
from andon.runtime.metrics import Metrics
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.fakes import FakeBroker
from tests.unit.desk.items import HOME, OTHER, START, Ended, Said, ScriptedWork, item, limited, record


class SlowWork(ScriptedWork):
    """Calls take `lasts` seconds, or fail as `fails` says."""

    def __init__(self, policy: QueuePolicy | None = None) -> None:
        super().__init__(policy)
        self.lasts = 0.0
        self.fails: Exception | None = None
        self.called: list[tuple[int, bool]] = []
        self.gate: asyncio.Event | None = None

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        self.called.append((item.offset, item.marked))
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(self.lasts)
        if self.fails:
            raise self.fails
        return Success()


class Plant:
    """A broker, a store, and as many runners as a test starts."""

    def __init__(self) -> None:
        self.broker = FakeBroker([HOME, OTHER])
        self.store = MemoryDeskStore()
        self.work = SlowWork()
        self.stop = asyncio.Event()

    def runner(
        self, work: SlowWork | None = None, slot: int = 0, clock: Clock | None = None, **settings: Any
    ) -> DeskRunner:
        whole = DeskSettings(service="egress", topic=HOME.topic, slot=slot, **settings)
        clock = clock or SystemClock()
        return DeskRunner(whole, work or self.work, self.store, Connection("fake"), clock, Metrics())

    def fill(self, count: int, home: Any = HOME, *, first: int = 0, **said: Any) -> None:
        log = self.broker.logs[home]
        for n in range(first, first + count):
            log.append(record(len(log), Said(n, **{"lane": f"m{n}", **said}), home=home))

    def outcomes(self) -> dict[UUID, str]:
        notes = [one for one in self.broker.published if one.topic == "outcomes"]
        told = [msgspec.json.decode(one.value or b"", type=Ended) for one in notes]
        return {one.id: one.outcome for one in told}

    async def until(self, reached: Callable[[], object], within: float = 5.0) -> None:
        ends = time.monotonic() + within
        while not reached():
            assert time.monotonic() < ends, "did not come about"
            await asyncio.sleep(0.005)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Plant], Awaitable[None]]], Plant]]:
    def begin(scene: Callable[[Plant], Awaitable[None]]) -> Plant:
        async def whole() -> Plant:
            plant = Plant()
            monkeypatch.setattr(runner, "GroupConsumer", plant.broker.consumer)
            monkeypatch.setattr(runner, "Publisher", plant.broker.publisher)
            await scene(plant)
            return plant

        return asyncio.run(whole())

    threads = set(threading.enumerate())
    yield begin
    assert not [one for one in threading.enumerate() if one not in threads and "egress" in one.name]


Run = Callable[[Callable[[Plant], Awaitable[None]]], Plant]


def test_records_become_outcomes_and_a_stop_leaves_nothing_open(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(300)
        plant.fill(300, OTHER, first=1_000, domain="hook")
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.outcomes()) == 600)
        plant.stop.set()
        await running

    plant = run(scene)
    assert set(plant.outcomes().values()) == {"delivered/delivered"}
    assert len(plant.broker.published) == 600
    assert plant.store.notes == {HOME: {}, OTHER: {}}
    assert {home: lease.offset for home, lease in plant.store.leases.items()} == {HOME: 300, OTHER: 300}
    assert len(plant.work.called) == 600


def test_a_stop_waits_for_calls_in_flight_and_stores_their_results(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3)
        plant.work.lasts = 0.3
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.work.called)
        plant.stop.set()
        await running

    plant = run(scene)
    assert len(plant.outcomes()) == len(plant.work.called)
    assert all(entry.ended for entry in plant.store.entries.values())


def test_a_kill_between_call_and_result_is_ambiguous_and_the_repeat_is_marked(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        plant.work.gate = asyncio.Event()
        killed = asyncio.create_task(plant.runner(deadline=0.3).run(plant.stop))
        await plant.until(lambda: plant.work.called)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        plant.broker.consumers.clear()
        plant.work.gate = None
        running = asyncio.create_task(plant.runner(deadline=0.3).run(plant.stop))
        await plant.until(plant.outcomes)
        plant.stop.set()
        await running

    plant = run(scene)
    assert plant.work.called == [(0, False), (0, True)]
    assert [(one.reason, one.ambiguous) for one in plant.store.entries.values()] == [
        (Reason.INTERRUPTED, True),
        (Reason.DELIVERED, False),
    ]


def test_a_call_that_hangs_ends_at_its_deadline(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        plant.work.gate = asyncio.Event()
        running = asyncio.create_task(plant.runner(deadline=0.1).run(plant.stop))
        await plant.until(lambda: any(one.reason is Reason.TIMEOUT for one in plant.store.entries.values()))
        plant.work.gate.set()
        await plant.until(plant.outcomes)
        plant.stop.set()
        await running

    run(scene)


def test_repeats_conflicts_and_poison_are_told_apart(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        log = plant.broker.logs[HOME]
        log += [
            record(0, Said(1, text="news")),
            record(1, Said(1, text="news")),
            record(2, Said(1, text="other news")),
            msgspec.structs.replace(record(3, Said(2)), value=b"{"),
            record(4, Said(3)),
        ]
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.outcomes()) == 3)
        plant.stop.set()
        await running

    plant = run(scene)
    assert sorted(plant.outcomes().values()) == ["delivered/delivered", "delivered/delivered", "parked/conflict"]
    (poison,) = [one for one in plant.broker.published if one.topic == "andon.dlq"]
    assert poison.value == b"{"
    assert len(plant.work.called) == 2
    assert plant.store.leases[HOME].offset == 5


def test_a_redriven_record_is_done_once_more(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.fails = Rejected(Reason.REJECTED, "no")
        plant.fill(1)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(plant.outcomes)
        plant.work.fails = None
        log = plant.broker.logs[HOME]
        log += [record(1, Said(0, lane="m0"), headers=((REDRIVE, b"1"),)), record(2, Said(0, lane="m0"))]
        await plant.until(lambda: len(plant.outcomes()) == 2)
        plant.stop.set()
        await running

    plant = run(scene)
    assert sorted(plant.outcomes().values()) == ["delivered/delivered", "parked/rejected"]
    assert len(plant.work.called) == 2


def test_a_home_goes_to_another_process_without_an_effect_too_many(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(200)
        plant.fill(200, OTHER, first=1_000)
        works = [SlowWork(), SlowWork()]
        for work in works:
            work.lasts = 0.01
        running = [asyncio.create_task(plant.runner(work, slot).run(plant.stop)) for slot, work in enumerate(works)]
        await plant.until(lambda: len(plant.broker.consumers) == 2 and len(works[0].called) > 50)
        first, second = plant.broker.consumers
        plant.broker.move([HOME], first, second)
        await plant.until(lambda: works[1].called)
        await plant.until(lambda: len(plant.outcomes()) == 400)
        plant.stop.set()
        await asyncio.gather(*running)
        assert works[1].called
        assert len(works[0].called) + len(works[1].called) == 400

    plant = run(scene)
    assert set(plant.outcomes().values()) == {"delivered/delivered"}
    assert not any(entry.ambiguous for entry in plant.store.entries.values())


def test_a_desk_whose_lease_moved_begins_nothing_more(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(plant.outcomes)
        for home in (HOME, OTHER):
            plant.store.acquire(home, "another process", 0.0)
        plant.fill(50, first=100)
        await asyncio.sleep(0.2)
        plant.stop.set()
        await running

    plant = run(scene)
    assert len(plant.work.called) == 1
    assert plant.store.leases[HOME].offset == 1
    assert len(plant.store.items) == 1


def test_a_store_that_fails_stops_the_desk(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(plant.outcomes)
        plant.store.failure = StoreFailure("the disk is full")
        plant.fill(5, first=10)
        began = time.monotonic()
        with pytest.raises(StoreFailure, match="the disk is full"):
            await running
        assert time.monotonic() - began < 10

    plant = run(scene)
    assert len(plant.work.called) == 1


def test_a_store_that_fails_while_it_stops_is_no_clean_end(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        plant.work.gate = asyncio.Event()
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.work.called)
        plant.stop.set()
        await asyncio.sleep(0.05)
        plant.store.failure = StoreFailure("the disk is full")
        plant.work.gate.set()
        with pytest.raises(StoreFailure, match="the disk is full"):
            await running

    run(scene)


def test_a_store_that_fails_on_assignment_stops_the_desk(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.store.failure = StoreFailure("no such disk")
        with pytest.raises(StoreFailure, match="no such disk"):
            await plant.runner().run(plant.stop)

    run(scene)


def test_a_full_queue_holds_its_home_without_a_storm_and_goes_on(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(QueuePolicy(channel="c", cap=10, in_flight=1))
        work.gate = asyncio.Event()
        plant.fill(30, urgent=True)
        plant.fill(5, OTHER, first=1_000, queue="other", domain="other")
        one = plant.runner(work)
        running = asyncio.create_task(one.run(plant.stop))
        await plant.until(lambda: plant.broker.seeks)
        await asyncio.sleep(0.2)
        assert len(plant.broker.seeks) == 1
        assert one.desk.open_of(HOME) == 10
        assert plant.broker.consumers[0].paused == {HOME}
        plant.fill(5, OTHER, first=2_000, queue="other", domain="other")
        work.gate.set()
        await plant.until(lambda: len(plant.outcomes()) == 40)
        plant.stop.set()
        await running
        assert [offset for offset, _ in work.called if offset < 30]
        assert len(plant.broker.seeks) < 30

    plant = run(scene)
    assert set(plant.outcomes().values()) == {"delivered/delivered"}


def test_at_the_backlog_everything_is_held_and_new_homes_too(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(400)
        one = plant.runner(window=50, backlog=100)
        running = asyncio.create_task(one.run(plant.stop))
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
        plant.stop.set()
        await running

    run(scene)


def test_what_would_take_too_much_memory_waits_in_the_log(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(400)
        one_weighs = len(plant.broker.logs[HOME][0].value)
        monkeypatch.setattr(runner, "_WEIGHT", 60 * one_weighs)
        one = plant.runner(window=50)
        running = asyncio.create_task(one.run(plant.stop))
        await plant.until(lambda: plant.broker.consumers and plant.broker.consumers[0].paused)
        await asyncio.sleep(0.1)
        assert 55 <= len(one.desk.items) <= 110
        plant.work.gate.set()
        await plant.until(lambda: len(plant.outcomes()) == 400)
        assert one.desk.weight == 0
        plant.stop.set()
        await running

    run(scene)


def test_a_home_that_comes_while_another_is_held_is_read(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(QueuePolicy(channel="c", cap=5, in_flight=1))
        work.gate = asyncio.Event()
        plant.fill(10, urgent=True)
        running = asyncio.create_task(plant.runner(work).run(plant.stop))
        first = None
        await plant.until(lambda: plant.broker.seeks)
        first = plant.broker.consumers[0]
        plant.broker.move([OTHER], first, first)
        plant.fill(3, OTHER, first=100, queue="other", domain="other")
        await plant.until(lambda: plant.store.leases[OTHER].offset == 3)
        assert first.paused == {HOME}
        work.gate.set()
        await plant.until(lambda: len(plant.outcomes()) == 13)
        plant.stop.set()
        await running

    run(scene)


def test_nothing_is_forgotten_while_the_log_refuses(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.broker.refusing = True
        plant.fill(20)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.store.closed) == 20)
        assert len(plant.store.notes[HOME]) == 20
        plant.broker.refusing = False
        await plant.until(lambda: len(plant.outcomes()) == 20)
        plant.stop.set()
        await running

    plant = run(scene)
    assert plant.store.notes[HOME] == {}
    assert len(plant.broker.published) == 20


def test_what_was_stored_and_not_published_is_published_by_the_next(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.broker.refusing = True
        plant.fill(5)
        killed = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.store.closed) == 5)
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
        plant.broker.refusing = False
        plant.broker.consumers.clear()
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.outcomes()) == 5)
        plant.stop.set()
        await running

    run(scene)


def test_memos_are_stored_as_they_stand_when_the_record_is_taken_in(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3, memo="episode")
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: len(plant.outcomes()) == 3)
        plant.stop.set()
        await running

    plant = run(scene)
    assert plant.store.memos[HOME] == {"episode": plant.broker.logs[HOME][2].value}
    assert [one.value for one in plant.broker.published if one.topic == "memos"] == [
        one.value for one in plant.broker.logs[HOME]
    ]


def test_the_advisory_offset_tells_how_much_is_open(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.gate = asyncio.Event()
        plant.fill(7)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: HOME in plant.broker.committed)
        assert plant.broker.committed[HOME] == (7, "open=7")
        plant.work.gate.set()
        await plant.until(lambda: plant.broker.committed[HOME] == (7, "open=0"))
        plant.stop.set()
        await running

    run(scene)


def test_what_a_killed_desk_told_last_is_set_right_by_the_next_without_a_new_record(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        plant.broker.consumers.clear()
        plant.broker.committed[HOME] = (2, "open=2")
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.broker.committed[HOME] == (3, "open=0"))
        plant.stop.set()
        await running

    run(scene)


def test_no_item_is_told_as_open_before_its_record_is_told_as_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door would count it twice. The store is slow, so that much is told while records are being stored."""

    async def scene(plant: Plant) -> None:
        monkeypatch.setattr(runner, "_TELL_S", 0.001)
        plant.work.gate = asyncio.Event()
        commit = plant.store.commit
        plant.store.commit = lambda writes: (time.sleep(0.02), commit(writes))[1]  # type: ignore[method-assign]
        running = asyncio.create_task(plant.runner(window=10).run(plant.stop))
        for n in range(20):
            plant.fill(10, first=10 * n)
            await plant.until(lambda: plant.broker.committed.get(HOME) == (10 * n + 10, f"open={10 * n + 10}"))  # noqa: B023
        plant.work.gate.set()
        plant.stop.set()
        await running

    told = run(scene).broker.told
    assert len(told) >= 20
    assert all(int(note.removeprefix("open=")) <= offset for offset, note in told), told


def test_an_idle_desk_tells_its_offsets_again_every_hour(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(plant: Plant) -> None:
        monkeypatch.setattr(upkeep, "_HOUR_S", 0.0)
        plant.fill(3)
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
        before = len(plant.broker.told)
        await plant.until(lambda: plant.broker.told[before:].count((3, "open=0")) >= 2)
        plant.stop.set()
        await running

    run(scene)


def test_what_the_broker_did_not_take_is_told_again(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(3)
        plant.broker.deaf = 3
        running = asyncio.create_task(plant.runner().run(plant.stop))
        await plant.until(lambda: plant.broker.committed.get(HOME) == (3, "open=0"))
        assert plant.broker.deaf == 0
        plant.stop.set()
        await running

    run(scene)


def test_a_restarted_process_remembers_as_far_as_the_longest_limit(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.standard = limited(1, 86_400.0)
        done, day = item(1), SystemClock().now() - 80_000
        plant.store.acquire(HOME, "earlier", 0.0)
        call = Entry(done.id, 0, 0, 1, HOME, done.domain, 0, 0, 1, day, done.queue, ended=day, reason=Reason.DELIVERED)
        closed = [Closed(done.id, b"{}", day)]
        plant.store.commit([Write(HOME, 1, offset=0, taken=[done], began=[call], closed=closed)])
        plant.fill(1, first=2)
        one = plant.runner()
        running = asyncio.create_task(one.run(plant.stop))
        await plant.until(lambda: one.desk.open_of(HOME))
        await asyncio.sleep(0.2)
        plant.stop.set()
        await running

    assert run(scene).work.called == [], "a day holds one call, and it was made 22 hours ago"


def test_an_intent_that_waited_past_the_deadline_is_never_called(run: Run) -> None:
    """A process frozen between its intent and the call: by then a new owner may have taken it for ambiguous."""

    async def scene(plant: Plant) -> None:
        plant.fill(1)
        clock = Ahead()
        one = plant.runner(deadline=5.0, clock=clock)
        running = asyncio.create_task(one.run(plant.stop))
        await plant.until(lambda: plant.store.entries)
        clock.ahead = 0.0
        await plant.until(plant.outcomes)
        plant.stop.set()
        await running

    plant = run(scene)
    *early, last = [one.reason for one in plant.store.entries.values()]
    assert set(early) == {Reason.NOT_SENT}
    assert last is Reason.DELIVERED
    assert len(plant.work.called) == 1


class Frozen(SlowWork):
    """Stands still in the middle of its first call, as a stopped process does, and asks then whether it may write."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write: list[bool] = []

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        loop = asyncio.get_running_loop()
        if not self.may_write:
            time.sleep(deadline)  # noqa: ASYNC251 - nothing else runs meanwhile
        self.may_write.append(not fenced(loop.time()))
        if not self.may_write[-1]:
            raise Retryable(Reason.NOT_SENT, "fenced")
        return await super().call(item, line, deadline)


def test_a_call_that_stood_still_past_its_deadline_is_fenced_and_the_next_one_is_not(run: Run) -> None:
    work = Frozen()

    async def scene(plant: Plant) -> None:
        plant.fill(1)
        running = asyncio.create_task(plant.runner(work, deadline=0.2).run(plant.stop))
        await plant.until(plant.outcomes)
        plant.stop.set()
        await running
        assert not fenced(asyncio.get_running_loop().time()), "outside of a call there is no fence"

    run(scene)
    assert work.may_write == [False, True]


class Ahead(SystemClock):
    """Jumps 10 s at every look, as a process sees it that is frozen again and again."""

    def __init__(self) -> None:
        self.ahead = 10.0
        self._jumped = 0.0

    def now(self) -> float:
        self._jumped += self.ahead
        return super().now() + self._jumped


def test_the_gauges_show_the_fullest_queue_the_oldest_item_and_the_limits(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        work = SlowWork(limited(10))
        work.gate = asyncio.Event()
        plant.fill(4, domain="wecom_robot:x")
        one = plant.runner(work)
        running = asyncio.create_task(one.run(plant.stop))
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
        plant.stop.set()
        await running

    run(scene)
