"""Kafka is away for longer than a session: a member goes on in its process, and a taken slot is still found out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from andon.core.event import Event, Home
from andon.core.ports import Result
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import SlotTaken
from andon.kafka.records import Record
from andon.runtime import stage as engine
from tests.integration.stage.line import PATIENCE_S, Line, passing
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

QUICK = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 500}


def outlast_the_session(kafka: Kafka, member: Consumer, topic: str) -> None:
    """Kafka is away until the member's session has ended, and back before the member was polled: what the library
    then sends has no member id in it, and is answered as if another process had the slot."""
    kafka.kill()
    deadline = time.monotonic() + 30
    while member.memberid():
        assert time.monotonic() < deadline, "its session does not end"
        time.sleep(0.02)
    kafka.restart()
    told = None
    while told != KafkaError.FENCED_INSTANCE_ID:
        assert time.monotonic() < deadline + 30, f"it is not fenced: {told}"
        with pytest.raises(KafkaException) as refused:
            member.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
        told = refused.value.args[0].code()


def test_a_stage_goes_on_after_an_outage_longer_than_its_session(
    own_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_ALIVE_S", 60.0)  # its poll thread rests, as when it waits for an answer
    line = Line(own_kafka)
    ids = line.send(20)

    async def main() -> None:
        begun, free = asyncio.Event(), asyncio.Event()

        async def held(batch: Sequence[Event]) -> Sequence[Result[Event]]:
            begun.set()
            await free.wait()
            return await passing(batch)

        runner = line.runner(held, consumer=QUICK)
        task = asyncio.create_task(runner.run(asyncio.Event()))
        await begun.wait()
        await asyncio.to_thread(outlast_the_session, own_kafka, runner._consumer._consumer, line.source)
        free.set()
        await line.finished(task)
        ids.extend(await asyncio.to_thread(line.send, 20))
        await line.finished(task)
        assert not task.done()
        async with line.running(line.runner(consumer=QUICK)) as second:
            with pytest.raises(SlotTaken, match=r"slot 0 of .* is in use by another process"):
                await asyncio.wait_for(task, PATIENCE_S)
            ids.extend(await asyncio.to_thread(line.send, 20))
            await line.finished(second)

    asyncio.run(main())
    line.exactly_once(ids)


def test_a_desk_reads_on_from_its_store_after_an_outage_longer_than_its_session(own_kafka: Kafka) -> None:
    topic = own_kafka.topic()
    service, home = own_kafka.service(topic), Home(topic, 0)
    own_kafka.write(topic, [b"a", b"b", b"c"])
    stored = 2  # its store is behind what it has read
    lost: list[Home] = []
    member = GroupConsumer(
        own_kafka.connection,
        service,
        topic,
        0,
        on_assign=lambda homes: dict.fromkeys(homes, stored),
        on_revoke=lost.extend,
        more=QUICK,
    )
    try:
        assert [one.value for one in read(member, 1)] == [b"c"]
        outlast_the_session(own_kafka, member._consumer, topic)
        member.commit({home: 3})
        assert own_kafka.committed(service, topic) == {home: 0}
        own_kafka.write(topic, [b"d"])
        assert [one.value for one in read(member, 2)] == [b"c", b"d"]
        assert lost == [home]
        told: list[bool] = []
        member.offer({home: 4}, {home: "open=0"}, told.append)
        while not told:
            member.poll(10, 0.1)
        assert told == [True]
        assert own_kafka.committed(service, topic) == {home: 4}
    finally:
        member.close()


def read(member: GroupConsumer, count: int) -> list[Record]:
    """The next records of a member, at least `count` of them."""
    found: list[Record] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} were read"
        found += member.poll(100, 0.1)
    return found


def test_of_two_on_a_slot_after_an_outage_one_is_left(own_kafka: Kafka) -> None:
    topic = own_kafka.topic()
    service = own_kafka.service(topic)
    own_kafka.write(topic, [b"a"])
    first = GroupConsumer(own_kafka.connection, service, topic, 0, more=QUICK)
    read(first, 1)
    own_kafka.kill()
    while first._consumer.memberid():
        first.poll(1, 0.1)
    first.poll(1, 0.1)
    own_kafka.restart()
    read(first, 1)  # it has joined again by itself, so what it is told next may be about its former id
    second = GroupConsumer(own_kafka.connection, service, topic, 0, more=QUICK)
    try:
        left = one_left([first, second])
        own_kafka.write(topic, [b"b"])
        assert [one.value for one in read(left, 1)][-1] == b"b"
    finally:
        first.close()
        second.close()


def one_left(members: list[GroupConsumer]) -> GroupConsumer:
    """Polls both until one is told that its slot is taken; the other."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for member, other in (members, members[::-1]):
            try:
                member.poll(1, 0.1)
            except SlotTaken:
                return other
    raise AssertionError("both go on")
