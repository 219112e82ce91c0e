"""The edge of the desk on a broker in memory: nothing is lost between its loop, its threads and its end."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from andon.core.failure import Rejected, Retryable
from andon.core.fence import fenced
from andon.core.policy import Retry
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, Item, StoreFailure, Write
from andon.runtime.clock import SystemClock
from andon.runtime.desk.work import Success
from andon.runtime.dlq import REDRIVE
from tests.unit.desk.items import HOME, OTHER, Said, item, limited, record
from tests.unit.desk.running import Plant, Run, SlowWork


def test_records_become_outcomes_and_a_stop_leaves_nothing_open(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(300)
        plant.fill(300, OTHER, first=1_000, domain="hook")
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.outcomes()) == 600)

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
        async with plant.running(plant.runner()):
            await plant.until(lambda: plant.work.called)

    plant = run(scene)
    assert len(plant.outcomes()) == len(plant.work.called)
    assert all(entry.ended for entry in plant.store.entries.values())


def test_a_kill_between_call_and_result_is_ambiguous_and_the_repeat_is_marked(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.fill(1)
        plant.work.gate = asyncio.Event()
        await plant.killed(plant.runner(deadline=0.3), lambda: plant.work.called)
        plant.work.gate = None
        async with plant.running(plant.runner(deadline=0.3)):
            await plant.until(plant.outcomes)

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
        async with plant.running(plant.runner(deadline=0.1)):
            await plant.until(lambda: any(one.reason is Reason.TIMEOUT for one in plant.store.entries.values()))
            plant.work.gate.set()
            await plant.until(plant.outcomes)

    plant = run(scene)
    assert [one.reason for one in plant.store.entries.values()] == [Reason.TIMEOUT, Reason.DELIVERED]
    assert plant.work.called == [(0, False), (0, True)]


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
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.outcomes()) == 3)

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
        async with plant.running(plant.runner()):
            await plant.until(plant.outcomes)
            plant.work.fails = None
            log = plant.broker.logs[HOME]
            log += [record(1, Said(0, lane="m0"), headers=((REDRIVE, b"1"),)), record(2, Said(0, lane="m0"))]
            await plant.until(lambda: len(plant.outcomes()) == 2)

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
        async with plant.running(plant.runner()):
            await plant.until(plant.outcomes)
            for home in (HOME, OTHER):
                plant.store.acquire(home, "another process", 0.0)
            plant.fill(50, first=100)
            await asyncio.sleep(0.2)

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
        async with plant.running(one):
            await plant.until(lambda: one.desk.open_of(HOME))
            await asyncio.sleep(0.2)

    assert run(scene).work.called == [], "a day holds one call, and it was made 22 hours ago"


def test_an_intent_that_waited_past_the_deadline_is_never_called(run: Run) -> None:
    """A process frozen between its intent and the call: by then a new owner may have taken it for ambiguous."""

    async def scene(plant: Plant) -> None:
        plant.fill(1)
        clock = Ahead()
        one = plant.runner(deadline=5.0, clock=clock)
        async with plant.running(one):
            await plant.until(lambda: plant.store.entries)
            clock.ahead = 0.0
            await plant.until(plant.outcomes)

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
        async with plant.running(plant.runner(work, deadline=0.2)):
            await plant.until(plant.outcomes)
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


def test_another_configuration_is_acted_on_at_once(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.standard = limited(1, 3_600.0)
        plant.fill(3)
        runner = plant.runner()
        async with plant.running(runner):
            await plant.until(plant.outcomes)
            plant.work.standard = limited(10, 3_600.0)
            runner.reconsider()
            await plant.until(lambda: len(plant.outcomes()) == 3)

    assert len(run(scene).work.called) == 3


def test_why_calls_fail_is_said_once_a_minute_for_each_account(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(plant: Plant) -> None:
        plant.work.standard = msgspec.structs.replace(plant.work.standard, retry=Retry(first=0.02))
        plant.work.fails = Retryable(Reason.NOT_SENT, "no connection to qyapi.weixin.qq.com (refused)")
        plant.fill(3)
        plant.fill(1, first=10, domain="other")
        async with plant.running(plant.runner()):
            await plant.until(lambda: len(plant.work.called) > 8)
            plant.work.fails = Retryable(Reason.THROTTLED, "429")
            await plant.until(lambda: any(one.reason is Reason.THROTTLED for one in [*plant.store.entries.values()]))

    run(scene)
    said = [one for one in caplog.records if one.getMessage() == "a call failed"]
    assert [(vars(one)["reason"], vars(one)["detail"]) for one in said] == [
        (Reason.NOT_SENT, "no connection to qyapi.weixin.qq.com (refused)")
    ] * 2


def test_a_store_that_knows_nothing_of_what_was_open_is_told_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """It was lost, or is another one: nobody hears of what was open, and that must not stay unsaid."""

    async def scene(plant: Plant) -> None:
        plant.broker.committed = {HOME: (3, "open=2"), OTHER: (1, "open=0")}
        for done in (2, 4):  # the second one finds what the first one has stored
            plant.fill(1, first=done)
            plant.fill(1, OTHER, first=done + 1)
            plant.stop.clear()
            async with plant.running(plant.runner()):
                await plant.until(lambda done=done: len(plant.outcomes()) == done)  # type: ignore[misc]
            plant.broker.consumers.clear()

    run(scene)
    (said,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert said.getMessage().startswith("the store knows nothing of what was open: put the right one back")
    assert (vars(said)["open"], vars(said)["partitions"]) == (2, [HOME.partition])
