"""What is counted as unread is what a reader would be given, however many offsets are none."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from andon.core.event import Home
from andon.kafka.scan import Scan
from andon.kafka.unread import Unread
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka


@pytest.fixture
def scan(kafka: Kafka) -> Iterator[Scan]:
    scan = Scan(kafka.connection)
    yield scan
    scan.close()


def producer(kafka: Kafka, name: str) -> Producer:
    made = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": name})
    made.init_transactions(30)
    return made


def transaction(made: Producer, topic: str, values: list[bytes], partition: int = 0, *, commit: bool = True) -> None:
    made.begin_transaction()
    for value in values:
        made.produce(topic, value, partition=partition)
    made.flush(30)
    if commit:
        made.commit_transaction(30)
    else:
        made.abort_transaction(30)


def written(kafka: Kafka, topic: str, ends: dict[Home, int]) -> None:
    """Returns when the topic ends there: the broker writes the marks after its answer to a commit."""
    deadline = time.monotonic() + 30
    while kafka.cluster.ends([topic]) != ends:
        assert time.monotonic() < deadline, f"{kafka.cluster.ends([topic])}, not {ends}"
        time.sleep(0.02)


def test_marks_and_what_was_aborted_are_no_records_and_each_offset_is_read_once(kafka: Kafka, scan: Scan) -> None:
    topic = kafka.topic(partitions=2)
    one, other = Home(topic, 0), Home(topic, 1)
    made = producer(kafka, topic)
    for n in range(4):
        transaction(made, topic, [b"%d" % n])  # 0, 2, 4, 6, each with a mark behind it
    transaction(made, topic, [b"no"] * 5, commit=False)  # 8 to 12, and the mark
    transaction(made, topic, [b"last"])  # 14
    transaction(made, topic, [b"x", b"y"], partition=1)
    unread, ends = Unread(scan), {one: 16, other: 3}
    written(kafka, topic, ends)
    assert unread.gaps({one: 0, other: 0}, ends, 1_000) == 11 + 1
    assert scan.read == 5 + 2
    assert unread.gaps({one: 4, other: 2}, ends, 1_000) == 9 + 1, "the reader has gone on"
    assert scan.read == 5 + 2
    transaction(made, topic, [b"new"])
    written(kafka, topic, {one: 18, other: 3})
    assert unread.gaps({one: 4}, {one: 18}, 1_000) == 10
    assert scan.read == 5 + 2 + 1
    assert unread.gaps({one: 1}, {one: 18}, 1_000) == 17 - 5, "it was set back"
    assert unread.gaps({one: 18}, {one: 18}, 1_000) == 0


def test_it_reads_no_more_than_it_must(kafka: Kafka, scan: Scan) -> None:
    topic = kafka.topic()
    home = Home(topic, 0)
    kafka.write(topic, [b"%d" % n for n in range(500)])
    unread = Unread(scan)
    assert unread.gaps({home: 0}, {home: 500}, 100) == 0
    assert scan.read == 100
    assert unread.gaps({home: 60}, {home: 500}, 100) == 0
    assert scan.read == 160


def test_what_is_undecided_does_not_count(kafka: Kafka, scan: Scan) -> None:
    topic = kafka.topic()
    home = Home(topic, 0)
    kafka.write(topic, [b"a", b"b"])
    made = producer(kafka, topic)
    made.begin_transaction()
    made.produce(topic, b"perhaps", partition=0)
    made.flush(30)
    assert kafka.cluster.ends([topic])[home] == 3
    ends = kafka.cluster.ends([topic], decided=True)
    assert ends == {home: 2}
    assert Unread(scan).gaps({home: 0}, ends, 1_000) == 0
    made.abort_transaction(30)
