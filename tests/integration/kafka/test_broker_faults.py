"""The broker is killed, or stands still: services wait, go on by themselves, and nothing is torn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from andon.config.load import load
from andon.core.event import Position
from andon.kafka import transactions
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS
from andon.runtime.bootstrap import prepare
from andon.runtime.follower import Follower
from andon.runtime.tally import Tally
from andon.testing.builders import event
from tests.integration.stage.line import PATIENCE_S, Line, until
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

STEP_S = 1.0
PLANT = """\
version: 1
site: {{name: {name}}}
kafka: {{partitions: 2}}
channels: {{robot: {{kind: wecom_robot, keys: [env:ROBOT]}}}}
receivers: {{it: {{channel: robot}}}}
route: {{receiver: it}}
"""


@pytest.fixture(autouse=True)
def thawed(own_kafka: Kafka) -> Iterator[None]:
    yield
    own_kafka.thaw()


def test_a_broker_killed_and_restarted_in_the_middle_of_the_work(own_kafka: Kafka) -> None:
    line = Line(own_kafka, partitions=2)
    ids = line.send(300, subjects=20)

    async def main() -> None:
        runner = line.runner(window=500)
        async with line.running(runner) as task:
            await until(lambda: line.committed() > 0)
            ids.extend(await asyncio.to_thread(line.send, 300, 20))
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_kafka.restart)
            ids.extend(await asyncio.to_thread(line.send, 300, 20))
            await line.finished(task)
            assert not task.done()

    asyncio.run(main())
    line.exactly_once(ids)


def freezing(kafka: Kafka, most: int) -> tuple[type, list[float]]:
    """A producer in whose commits, the first `most`, the broker stands still until the client has given them up."""
    frozen: list[float] = []

    class Freezing(Producer):
        froze = False

        def begin_transaction(self) -> None:
            self.froze = False
            super().begin_transaction()

        def commit_transaction(self, *args: Any) -> None:
            # A client may be told to call again in place of timing out: then the commit happens after all.
            if self.froze or len(frozen) == most:
                return super().commit_transaction(*args)
            self.froze = True
            self.flush(30)
            frozen.append(time.monotonic())
            kafka.freeze()
            try:
                super().commit_transaction(*args)
            finally:
                # Only once the client has given it up, however long that took.
                threading.Timer(0.8 * STEP_S, kafka.thaw).start()
            return None

    return Freezing, frozen


def test_a_commit_that_timed_out_tears_nothing(own_kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """F09. The broker reads the commit after the client has given it up; a new producer instance goes on."""
    turns, most = 4, 12
    kind, frozen = freezing(own_kafka, most)
    monkeypatch.setattr(transactions, "Producer", kind)
    line = Line(own_kafka, partitions=2)
    ids: list[str] = []

    async def main() -> None:
        runner = line.runner(step_s=STEP_S)
        async with line.running(runner) as task:
            while runner._producer.rebuilt < turns:
                assert len(frozen) < most, "the commits do not time out"
                ids.extend(await asyncio.to_thread(line.send, 40, 8))
                await line.finished(task)
                # Both or neither, at every time: nothing is open now, and outputs and offsets agree.
                assert sorted(await asyncio.to_thread(line.ids)) == sorted(ids)

    asyncio.run(main())
    line.exactly_once(ids)


def test_stop_while_the_broker_stands_still(own_kafka: Kafka) -> None:
    line = Line(own_kafka)
    ids = line.send(10)

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(line.runner(step_s=STEP_S).run(stop))
        await line.finished(task)
        own_kafka.freeze()
        stop.set()
        await asyncio.wait_for(task, PATIENCE_S)

    asyncio.run(main())
    own_kafka.thaw()
    line.work()
    line.exactly_once(ids)


def test_a_publisher_never_calls_a_record_written_that_is_not(own_kafka: Kafka) -> None:
    topic = own_kafka.topic()

    async def main() -> list[tuple[bytes, object]]:
        publisher = Publisher(own_kafka.connection, "test", timeout_s=2.0)
        publisher.start()
        fates: list[tuple[bytes, object]] = []

        async def append(name: str) -> None:
            values = [f"{name}-{n}".encode() for n in range(20)]
            told = await publisher.append([Outgoing(topic, b"k", value) for value in values])
            fates.extend(zip(values, told, strict=True))

        await append("before")
        own_kafka.freeze()
        # Its own timeout is 2 s, and the library's would be 300 s: none but ours can end it while nothing answers.
        await asyncio.wait_for(append("frozen"), PATIENCE_S)
        own_kafka.thaw()
        own_kafka.kill()
        await asyncio.wait_for(append("away"), PATIENCE_S)
        await asyncio.to_thread(own_kafka.restart)
        while not isinstance(fates[-1][1], Position):
            await append(f"after-{len(fates)}")
        await asyncio.to_thread(publisher.close)
        return fates

    fates = asyncio.run(main())
    by_name = {name.split(b"-")[0]: fate for name, fate in fates}
    assert isinstance(by_name[b"frozen"], str)
    assert isinstance(by_name[b"away"], str)
    standing = {(one.partition(), one.offset()): one.value() for one in own_kafka.read(topic)}
    for value, fate in fates:
        if isinstance(fate, Position):
            assert standing[fate.partition, fate.offset] == value


def test_those_who_only_read_go_on_after_a_restart(own_kafka: Kafka, tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(PLANT.format(name="before"))
    asyncio.run(prepare(load(tmp_path), own_kafka.bootstrap))
    tally = Tally(own_kafka.connection, from_start=False)

    async def main() -> None:
        follower = Follower(own_kafka.connection)
        heard: asyncio.Queue[str] = asyncio.Queue()
        follower.then(lambda newer: heard.put_nowait(newer.settings.site.name))
        try:
            assert (await follower.first(PATIENCE_S)).settings.site.name == "before"
            await until(lambda: bool(tally._next))
            await asyncio.to_thread(write_event, own_kafka, "before")
            await until(lambda: tally.snapshot().accepted == 1)
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.restart)
            await asyncio.to_thread(write_event, own_kafka, "after")
            (tmp_path / "andon.yaml").write_text(PLANT.format(name="after"))
            await prepare(load(tmp_path), own_kafka.bootstrap)
            assert await asyncio.wait_for(heard.get(), PATIENCE_S) == "after"
            await until(lambda: tally.accepted_ids() == {"before", "after"})
        finally:
            await asyncio.to_thread(follower.close)
            await asyncio.to_thread(tally.close)

    asyncio.run(main())


def write_event(kafka: Kafka, name: str) -> None:
    kafka.write(EVENTS, [msgspec.json.encode(event(id=name))])
