"""Offsets on a real broker: marks of transactions are passed, and what may become a record is not."""

from __future__ import annotations

from uuid import uuid4

import pytest
from confluent_kafka import Producer

from andon.core.event import Home
from andon.kafka.scan import past_marks
from tests.rig.client import wait_for
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka


def test_an_offset_goes_past_marks_and_past_nothing_that_is_open(kafka: Kafka) -> None:
    topic = kafka.topic("marks")
    home = Home(topic, 0)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": str(uuid4()), "linger.ms": 0})
    producer.init_transactions(30)

    def begun(value: bytes) -> None:
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(30)

    def marked(end: int) -> bool:
        """Whether the broker has written the mark, as it does after its answer."""
        return wait_for(lambda: kafka.cluster.ends([topic], decided=True) == {home: end}, 30, every_s=0.02)

    begun(b"record 0")
    assert past_marks(kafka.connection, {home: 0}) == {}, "nobody knows yet what becomes of it"
    producer.commit_transaction(30)
    assert marked(2)
    assert past_marks(kafka.connection, {home: 0}) == {}, "a record is to be read"
    assert past_marks(kafka.connection, {home: 1}) == {home: 2}

    begun(b"record 2")
    assert past_marks(kafka.connection, {home: 2}) == {}
    producer.abort_transaction(30)
    assert marked(4)
    assert past_marks(kafka.connection, {home: 2}) == {home: 4}, "it never was one"
    assert past_marks(kafka.connection, {home: 4}) == {}, "there is nothing to go past"
