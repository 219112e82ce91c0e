"""From a topic of others to another, through every service as a process: the event out equals the event in."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Producer

from andon.core.outcome import Delivered, Evidence, OutcomeRecord
from andon.kafka.topics import DLQ, OUTCOMES
from tests.bench.plant import Plant
from tests.integration.stage.line import headers_of, until
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port

pytestmark = pytest.mark.kafka

CONFIG = """\
version: 1
kafka: {{partitions: 2}}
sources:
  mes: {{kind: kafka, topic: {source}, begin: earliest}}
channels:
  office: {{kind: kafka, topic: {sink}, mode: binary}}
receivers:
  office: {{channel: office}}
route: {{receiver: office}}
"""
COUNT = 30


def event(number: int) -> CloudEvent:
    given: dict[str, Any] = {"id": f"w-{number}", "source": "/mes", "type": "mes.fault.raised", "severity": "critical"}
    given |= {"subject": f"产线-{number % 3}", "partitionkey": f"p-{number % 3}", "datacontenttype": "application/json"}
    return CloudEvent(given, {"n": number, "values": [1.5, None, "三"]})


def sent(kafka: Kafka, topic: str, events: list[CloudEvent]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for one in events:
        message = to_binary_event(one)
        producer.produce(topic, message.value, key=message.key, headers=list(message.headers.items()))
    producer.produce(topic, b"no event", key=b"p-0")
    assert producer.flush(30) == 0


def appended(kafka: Kafka, topic: str) -> int:
    """How many records stand in a topic that no transaction writes to."""
    return sum(kafka.cluster.ends([topic]).values())


def test_from_topic_to_topic_through_every_service(empty_kafka: Kafka, tmp_path: Path) -> None:
    kafka = empty_kafka
    source, sink = kafka.topic("in", 2), kafka.topic("out", 2)
    events = [event(number) for number in range(COUNT)]
    sent(kafka, source, events)
    plant = Plant(tmp_path, kafka.connection, CONFIG.format(source=source, sink=sink))
    try:
        plant.prepare()
        plant.start("ingress", "--listen", f"127.0.0.1:{free_port()}")
        for service in ("enrichment", "routing", "egress"):
            plant.start(service)
        plant.wait_ready(within=240)
        asyncio.run(until(lambda: appended(kafka, sink) >= COUNT and appended(kafka, OUTCOMES) >= COUNT, within_s=240))
    finally:
        plant.stop()
    out = kafka.read(sink)
    found = [from_kafka_event(KafkaMessage(headers_of(one), one.key(), one.value() or b"")) for one in out]
    by_id = {one.get_id(): one for one in found}
    assert len(out) == len(by_id) == COUNT
    for one in events:
        back = by_id[one.get_id()]
        assert back.get_attributes() == one.get_attributes()
        assert back.get_data() == one.get_data()
    for key in {one.key() for one in out}:
        numbers = [
            int((one.get_id() or "").partition("-")[2]) for one, r in zip(found, out, strict=True) if r.key() == key
        ]
        assert numbers == sorted(numbers), "a subject's events stay in order"
    outcomes = [msgspec.json.decode(one.value() or b"", type=OutcomeRecord) for one in kafka.read(OUTCOMES)]
    assert {one.outcome for one in outcomes} == {Delivered(Evidence.RECEIPT)}
    assert [one.value() for one in kafka.read(DLQ)] == [b"no event"]
