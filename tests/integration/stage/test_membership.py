"""Slow work, rebalances, slots and an orderly end: nothing is lost, nothing is told twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from andon.core.event import Event
from andon.core.ports import Result
from andon.kafka.errors import KafkaFailure, OffsetsMissing, PartitionsChanged, SlotTaken
from andon.runtime import stage as engine
from tests.integration.stage.line import PATIENCE_S, Line, passing, until
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

QUICK = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500}


class Gate:
    """A stage that waits in each batch until it is opened."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.batches: list[list[str]] = []

    async def __call__(self, batch: Sequence[Event]) -> Sequence[Result[Event]]:
        self.batches.append([one.id for one in batch])
        self.entered.set()
        await self.open.wait()
        return await passing(batch)


def test_stop_finishes_what_is_in_work_and_commits_it(kafka: Kafka) -> None:
    line = Line(kafka)
    ids = line.send(20)

    async def main() -> None:
        gate, stop = Gate(), asyncio.Event()
        task = asyncio.create_task(line.runner(gate).run(stop))
        await gate.entered.wait()
        stop.set()
        await asyncio.sleep(0.1)
        assert not task.done()
        gate.open.set()
        await task
        done = sum(map(len, gate.batches))
        assert await asyncio.to_thread(line.ids) == ids[:done]
        await until(lambda: line.committed() == done)  # the broker writes the markers after its answer

    asyncio.run(main())
    line.work()
    line.exactly_once(ids)


def test_a_stage_slower_than_the_poll_interval_keeps_its_partitions(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stage that never polls breaks the poll interval, not the session: heartbeats have a thread of their own.
    monkeypatch.setattr(engine, "_ALIVE_S", 0.2)
    line = Line(kafka)
    ids = line.send(30)
    limits = {"session.timeout.ms": 6_000, "max.poll.interval.ms": 6_000}

    async def main() -> None:
        gate = Gate()
        runner = line.runner(gate, consumer=limits)
        async with line.running(runner) as task:
            await gate.entered.wait()
            member = runner._consumer._consumer.memberid()
            for _ in range(8):
                await asyncio.sleep(0.9)
            assert runner._consumer._consumer.memberid() == member
            gate.open.set()
            await line.finished(task)
            assert len(gate.batches) == len({tuple(batch) for batch in gate.batches}), "a batch was read twice"
            assert runner._producer.rebuilt == 0

    asyncio.run(main())
    line.exactly_once(ids)


def test_a_second_slot_joins_in_the_middle_of_a_batch(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_ALIVE_S", 0.1)
    line = Line(kafka, partitions=4)
    ids = line.send(400, subjects=40)

    async def main() -> None:
        gate = Gate()
        first, second = line.runner(gate, slot=0, consumer=QUICK), line.runner(slot=1, consumer=QUICK)
        async with line.running(first) as one:
            await gate.entered.wait()
            async with line.running(second) as other:
                # The second slot has done its share of the batch that the first one still holds, and has it committed.
                await until(lambda: bool(first._left) and line.committed() > 0)
                gate.open.set()
                await line.finished(one, other)

    asyncio.run(main())
    line.exactly_once(ids)


def test_slots_come_and_go_under_load(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_ALIVE_S", 0.05)
    line = Line(kafka, partitions=4)
    ids: list[str] = []

    async def slow(batch: Sequence[Event]) -> Sequence[Result[Event]]:
        await asyncio.sleep(0.15)
        return await passing(batch)

    async def load() -> None:
        for _ in range(20):
            ids.extend(await asyncio.to_thread(line.send, 50, 40))
            await asyncio.sleep(0.1)

    async def main() -> None:
        async with line.running(line.runner(slow, slot=0, consumer=QUICK, window=500)) as one:
            loading = asyncio.create_task(load())
            for slot in (1, 2):
                runner = line.runner(slow, slot=slot, consumer=QUICK)
                async with line.running(runner):
                    await until(lambda runner=runner: runner.assigned)  # type: ignore[misc]
            await loading
            await line.finished(one)

    asyncio.run(main())
    line.exactly_once(ids)


def test_a_second_process_on_a_slot_stops_the_earlier_one(kafka: Kafka) -> None:
    line = Line(kafka)
    ids = line.send(20)

    async def main() -> None:
        stop = asyncio.Event()
        first, second = line.runner(consumer=QUICK), line.runner(consumer=QUICK)
        earlier = asyncio.create_task(first.run(stop))
        await line.finished(earlier)
        async with line.running(second) as later:
            ids.extend(await asyncio.to_thread(line.send, 20))
            with pytest.raises(SlotTaken, match=re.escape(f"slot 0 of andon-{line.service} is in use by another")):
                await asyncio.wait_for(earlier, PATIENCE_S)
            ids.extend(await asyncio.to_thread(line.send, 20))
            await line.finished(later)

    asyncio.run(main())
    line.exactly_once(ids)


def test_a_zombie_that_wakes_with_a_batch_commits_nothing(kafka: Kafka) -> None:
    line = Line(kafka)
    ids = line.send(20)

    async def main() -> None:
        stop, gate = asyncio.Event(), Gate()
        zombie = asyncio.create_task(line.runner(gate, consumer=QUICK).run(stop))
        await gate.entered.wait()
        async with line.running(line.runner(consumer=QUICK)) as later:
            await line.finished(later)
            gate.open.set()
            with pytest.raises(SlotTaken):
                await asyncio.wait_for(zombie, PATIENCE_S)

    asyncio.run(main())
    line.exactly_once(ids)
    everything = [one.value() for one in kafka.read(line.sink, committed=False)]
    assert len(everything) >= len(ids)


def stopped(line: Line, kind: type[KafkaFailure], **settings: Any) -> str:
    """The sentence with which the stage stops by itself."""

    async def main() -> str:
        with pytest.raises(kind) as failure:
            await asyncio.wait_for(line.runner(**settings).run(asyncio.Event()), PATIENCE_S)
        return str(failure.value)

    return asyncio.run(main())


def test_an_idle_stage_commits_its_offsets_again(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_HOUR_S", 0.1)
    line = Line(kafka, partitions=2)
    ids = line.send(10)

    def written() -> int:
        return sum(kafka.cluster.ends(["__consumer_offsets"]).values())

    async def main() -> None:
        async with line.running(line.runner()) as works:
            await line.finished(works)
            # More than the marks of its last transaction can still be.
            enough = await asyncio.to_thread(written) + 20
            await until(lambda: written() > enough)
            assert line.committed() == len(ids)

    asyncio.run(main())
    line.exactly_once(ids)


def test_a_group_whose_offsets_are_gone_stops_the_service_and_names_the_command(kafka: Kafka) -> None:
    line = Line(kafka)
    line.send(5)
    line.work(consumer=QUICK)
    kafka.forget_group(line.service)
    assert f"`andon topics offsets andon-{line.service}`" in stopped(line, OffsetsMissing)
    assert line.ids() == [f"e-{n}" for n in range(5)]


def test_an_offset_behind_what_is_kept_stops_the_service(kafka: Kafka) -> None:
    line = Line(kafka)
    line.send(5)
    kafka.delete_records(line.source, 3)
    assert "topics offsets" in stopped(line, OffsetsMissing)


def test_a_topic_that_is_not_there_stops_the_service(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.kafka.consumer._UNKNOWN_S", 0.5)
    line = Line(kafka)
    said = stopped(line, KafkaFailure, source="no-such-topic")
    assert "no-such-topic does not exist" in said
    assert "andon topics create" in said


def test_a_sink_that_is_not_there_stops_the_service(kafka: Kafka) -> None:
    line = Line(kafka)
    line.send(5)
    assert "no-such-sink does not exist" in stopped(
        line, KafkaFailure, sink="no-such-sink", producer={"message.timeout.ms": 1_500}
    )
    assert line.committed() == 0
    line.work()
    assert line.ids() == [f"e-{n}" for n in range(5)]


def test_partitions_added_while_it_runs_stop_the_service(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    line.send(5)

    async def main() -> None:
        runner = line.runner(consumer={"topic.metadata.refresh.interval.ms": 500})
        running = asyncio.create_task(runner.run(asyncio.Event()))
        await line.finished(running)
        await asyncio.to_thread(kafka.add_partitions, line.source, 3)
        with pytest.raises(PartitionsChanged, match=f"{line.source} has 3 partitions; 2 were recorded"):
            await asyncio.wait_for(running, PATIENCE_S)

    asyncio.run(main())
