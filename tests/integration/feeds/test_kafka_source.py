"""A topic of CloudEvents is taken over into `andon.events`, each event once; what is none is parked with its reason."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

from andon.core.event import Event
from andon.ingress.feeds import Feeds
from andon.ingress.sources.kafka import KafkaSource
from andon.kafka.errors import GroupInUse, OffsetsMissing
from andon.kafka.scan import Scan
from andon.kafka.topics import DLQ, EVENTS
from andon.runtime.clock import SystemClock
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from andon.runtime.parked import entries, redrive
from tests.integration.feeds.process import reading
from tests.integration.stage.line import headers_of, until
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[3]
DLQ_HEADERS = {f"andon-{name}" for name in ("topic", "partition", "offset", "reason", "class", "redrive", "source")}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Foreign:
    """A topic of others, and what an outside reader finds that came of it."""

    def __init__(self, kafka: Kafka, partitions: int = 1) -> None:
        self.kafka = kafka
        self.topic = kafka.topic("foreign", partitions)
        self.service = kafka.service(self.topic, name="source")
        self.feed = Feed("mes", KafkaSource.Config(topic=self.topic))
        self.mark = uuid.uuid4().hex[:8]
        self.sent = 0

    def process(self, *point: str, other: str = "own") -> subprocess.Popen[bytes]:
        """A feed of it in a process of its own, which kills itself at `point`."""
        module = [sys.executable, "-m", "tests.integration.feeds.process"]
        arguments = [self.kafka.bootstrap, self.service, self.topic, other, *point]
        return subprocess.Popen([*module, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)

    def event(self, number: int, **attributes: Any) -> CloudEvent:
        subject = f"m-{number % 5}"
        given = {"id": f"{self.mark}-{number}", "source": "/mes", "type": "t", "subject": subject}
        return CloudEvent({**given, "partitionkey": subject, "severity": "critical", **attributes}, {"n": number})

    def send(self, messages: Sequence[KafkaMessage | tuple[dict[str, bytes], bytes]]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "partitioner": "murmur2_random"})
        for one in messages:
            headers, key, value = (
                (one.headers, one.key, one.value) if isinstance(one, KafkaMessage) else (one[0], b"k", one[1])
            )
            producer.produce(self.topic, value, key=key, headers=list(headers.items()))
        assert producer.flush(30) == 0
        self.sent += len(messages)

    def taken(self) -> bool:
        return sum(self.kafka.committed(self.service, self.topic).values()) >= self.sent

    def events(self) -> list[Event]:
        found = [one.value() or b"" for one in self.kafka.read(EVENTS)]
        return [msgspec.json.decode(one, type=Event) for one in found if self.mark.encode() in one]

    def parked(self) -> dict[int, tuple[dict[str, bytes], bytes]]:
        origin = "andon-topic", self.topic.encode()
        ours = [one for one in self.kafka.read(DLQ) if origin in dict(one.headers() or ()).items()]
        found = [(headers_of(one), one.value() or b"") for one in ours]
        return {int(headers["andon-offset"]): (headers, value) for headers, value in found}

    def run(self, **more: Any) -> None:
        """Reads the topic until every record of it is committed."""

        async def main() -> None:
            failed: list[BaseException] = []
            feeds = Feeds(self.kafka.connection, SystemClock(), Metrics(), None, 0, failed.append)
            wanted = {self.service: (self.feed, reading("mes", self.topic, **more))}
            await feeds.take(wanted, 500, 1)
            try:
                await until(lambda: bool(failed) or self.taken())
                assert feeds.assigned or failed
            finally:
                await feeds.close()
            if failed:
                raise failed[0]

        asyncio.run(main())


def test_events_of_both_modes_are_taken_and_what_is_none_is_parked_with_its_reason(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    structured = to_structured_event(foreign.event(0, traceparent=TRACE))
    binary = to_binary_event(foreign.event(1))
    bad: list[tuple[dict[str, bytes], bytes, bytes, bytes]] = [
        ({}, b'{"id": "1"}', b"invalid", b"no CloudEvent"),
        ({**binary.headers, "ce_specversion": b"0.3"}, binary.value, b"invalid", b"specversion"),
        ({**binary.headers, "ce_subject": b"\xff"}, binary.value, b"invalid", b"not valid UTF-8"),
        ({**binary.headers, "content-type": b"application/octet-stream"}, b"\0\1", b"media_type", b"JSON or text"),
        ({"content-type": b"application/cloudevents+json"}, b'{"specversion":', b"malformed", b""),
        ({"content-type": b"application/cloudevents-batch+json"}, b"[]", b"media_type", b"never a batch"),
        (structured.headers, b'{"specversion":"1.0","data_base64":"AA=="}', b"media_type", b"binary data"),
        ({**binary.headers, "ce_type": b"t" * 513}, binary.value, b"invalid", b"longer than 512"),
        ({**binary.headers, "ce_time": b"1969-01-01T00:00:00Z"}, binary.value, b"invalid", b"1970"),
        ({**binary.headers, "andon-delivery": b"d"}, b'"' + b"x" * 5_000 + b'"', b"too_large", b"at most 5,000"),
    ]
    foreign.send([structured, *((headers, value) for headers, value, _, _ in bad), binary])
    foreign.run(largest=5_000)
    first, second = sorted(foreign.events(), key=lambda one: one.id)
    assert (first.subject, first.source, first.data, first.traceparent) == ("m-0", "/mes", {"n": 0}, TRACE)
    assert (second.data, second.labels["severity"]) == ({"n": 1}, "critical")
    parked = foreign.parked()
    assert sorted(parked) == list(range(1, len(bad) + 1))
    for offset, (headers, value, reason, words) in enumerate(bad, 1):
        found, bytes_ = parked[offset]
        assert found["andon-reason"] == reason
        assert found["andon-source"] == b"mes"
        assert words in found["andon-class"]
        assert bytes_ == value
        assert {name: text for name, text in found.items() if name not in DLQ_HEADERS} == headers


def test_headers_of_ours_that_others_write_are_read_or_parked_and_the_next_is_taken(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    binary = to_binary_event(foreign.event(0))
    hostile: list[tuple[str, str | bytes | None]] = [
        ("other", None),
        ("andon-redriven", b"0-0"),
        ("andon-redrive", None),
    ]
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for given in (hostile, [*hostile[:2], ("andon-redrive", b"9" * 5_000)]):
        producer.produce(foreign.topic, b"{}", key=None, headers=given)
        producer.produce(foreign.topic, binary.value, headers=[*binary.headers.items(), *given])
    assert producer.flush(30) == 0
    foreign.sent += 4
    foreign.run()
    assert {one.id for one in foreign.events()} == {f"{foreign.mark}-0"}
    scan = Scan(kafka.connection)
    lying = [one for one in entries(scan) if one.origin.topic == foreign.topic]
    scan.close()
    assert [(one.reason, one.redrive, one.redriven) for one in lying] == [("invalid", 0, None)] * 2
    assert asyncio.run(redrive(kafka.connection, {one.id for one in lying}, (foreign.feed,))) == 2
    again = kafka.read(foreign.topic)[-2:]
    assert [(one.key(), one.value(), headers_of(one)) for one in again] == [
        (None, b"{}", {"other": b"", "andon-redrive": b"1"})
    ] * 2


def test_what_is_of_a_source_that_is_gone_stays_where_it_is(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    foreign.send([({}, b"no event")])
    foreign.run()
    scan = Scan(kafka.connection)
    (entry,) = [one for one in entries(scan) if one.origin.topic == foreign.topic]
    told: list[str] = []
    assert asyncio.run(redrive(kafka.connection, {entry.id}, (), told.append)) == 0
    assert "mes, which is gone" in told[0]
    assert [one.redriven for one in entries(scan) if one.id == entry.id] == [None]
    scan.close()
    assert len(kafka.read(foreign.topic)) == 1


def test_a_redriven_record_keeps_its_headers(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    binary = to_binary_event(foreign.event(0))
    foreign.send([(binary.headers, b'"' + b"x" * 2_000 + b'"')])
    foreign.run(largest=1_000)
    assert not foreign.events()
    scan = Scan(kafka.connection)
    (entry,) = [one for one in entries(scan) if one.origin.topic == foreign.topic]
    scan.close()
    assert asyncio.run(redrive(kafka.connection, {entry.id}, (foreign.feed,))) == 1
    foreign.sent += 1
    foreign.run()
    assert [one.data for one in foreign.events()] == [{"value": "x" * 2_000}]


def test_while_the_backlog_is_full_nothing_is_taken(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    foreign.send([to_binary_event(foreign.event(0))])
    asked: list[bool] = []

    def full() -> bool:
        asked.append(not foreign.events() and len(asked) < 2)
        return asked[-1]

    foreign.run(full=full)
    assert asked == [True, True, False]
    assert len(foreign.events()) == 1


def test_lost_offsets_stop_it_and_name_the_command(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    foreign.service = f"source-{foreign.mark}"  # a group that never had any
    foreign.send([to_binary_event(foreign.event(0))])
    with pytest.raises(OffsetsMissing, match=f"andon topics offsets andon-source-{foreign.mark}"):
        foreign.run()
    assert not foreign.events()


def test_while_its_group_has_members_no_other_topic_gets_first_offsets(kafka: Kafka) -> None:
    foreign, other = Foreign(kafka), kafka.topic("other")
    foreign.send([to_binary_event(foreign.event(0))])
    process = foreign.process()
    try:
        asyncio.run(until(foreign.taken, within_s=90))
        with pytest.raises(GroupInUse, match=foreign.service):
            kafka.cluster.seed_offsets(foreign.service, other)
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_kills_in_the_middle_lose_nothing_and_double_nothing(kafka: Kafka) -> None:
    foreign = Foreign(kafka, partitions=2)
    for point in ("produced", "offered", "committed"):
        batch = range(foreign.sent, foreign.sent + 40)
        foreign.send([(to_binary_event, to_structured_event)[n % 2](foreign.event(n)) for n in batch])
        assert foreign.process(point).wait(90) == -signal.SIGKILL
    process = foreign.process()
    try:
        asyncio.run(until(foreign.taken, within_s=90))
    finally:
        process.terminate()
        assert process.wait(60) == 0
    found = foreign.events()
    assert sorted(one.data["n"] for one in found) == list(range(foreign.sent)), "read_committed: each once"
    for subject in {one.subject for one in found}:
        numbers = [one.data["n"] for one in found if one.subject == subject]
        assert numbers == sorted(numbers)
    uncommitted = [one for one in kafka.read(EVENTS, committed=False) if foreign.mark.encode() in (one.value() or b"")]
    assert len(uncommitted) > len(found), "the kills left nothing behind that a reader must not see"


def test_from_another_cluster_nothing_is_lost_and_what_comes_again_has_its_id(kafka: Kafka) -> None:
    """To a stage another cluster is one whose offsets are in no transaction; that it is the same node is no matter."""
    foreign = Foreign(kafka)
    foreign.send([to_binary_event(foreign.event(n)) for n in range(20)])
    assert foreign.process("committed", other=kafka.bootstrap).wait(90) == -signal.SIGKILL
    first = foreign.events()
    assert first, "what was in the transaction is there"
    assert not foreign.taken()
    process = foreign.process(other=kafka.bootstrap)
    try:
        asyncio.run(until(foreign.taken, within_s=90))
    finally:
        process.terminate()
        assert process.wait(60) == 0
    found = foreign.events()
    assert {one.data["n"] for one in found} == set(range(20))
    assert len(found) == 20 + len(first)
    assert {one.id for one in found} == {f"{foreign.mark}-{n}" for n in range(20)}
