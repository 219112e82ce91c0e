"""What our channel writes is what our source read, and the official SDK reads it as the event it sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from andon.core.delivery import delivery_id
from andon.core.event import Event
from andon.core.failure import Failure, Retryable
from andon.core.outcome import Evidence
from andon.core.ports import Call, Context
from andon.egress.channels.kafka import KafkaTopic
from andon.runtime.clock import SystemClock
from andon.testing.builders import event
from tests.integration.feeds.test_kafka_source import TRACE, Foreign
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka


def channel(kafka: Kafka, topic: str, mode: Literal["structured", "binary"]) -> KafkaTopic:
    context = Context("out", Path(), SystemClock(), None, kafka.connection)  # type: ignore[arg-type]  # no HTTP here
    return KafkaTopic(KafkaTopic.Config(topic=topic, mode=mode), context)


def call(one: KafkaTopic, of: Event, deadline: float = 15.0) -> Call:
    return Call(delivery_id(of, "out"), "out", ("out",), one.content(of), 0, deadline)


def sent(kafka: Kafka, topic: str, mode: Literal["structured", "binary"], events: list[Event]) -> list[Any]:
    """What a consumer that is not Andon's finds after these events were sent."""

    async def main() -> None:
        one = channel(kafka, topic, mode)
        for of in events:
            (receipt,) = await one.send(call(one, of))
            assert (receipt.failed, receipt.evidence) == (None, Evidence.RECEIPT)
        await one.close()

    asyncio.run(main())
    return kafka.read(topic)


def said(one: CloudEvent) -> tuple[dict[str, Any], Any]:
    return one.get_attributes(), one.get_data()


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_event_out_equals_the_event_in(kafka: Kafka, mode: Literal["structured", "binary"]) -> None:
    foreign = Foreign(kafka)
    more = {"datacontenttype": "application/json", "dataschema": "https://a.example/s", "partitionkey": "p-7"}
    events = [foreign.event(0, traceparent=TRACE, **more), foreign.event(1, subject="产线 3", **more)]
    events.append(CloudEvent({**events[1].get_attributes(), "id": f"{foreign.mark}-2"}, None))
    foreign.send([to_binary_event(events[0]), to_structured_event(events[1]), to_binary_event(events[2])])
    foreign.run()
    taken = sorted(foreign.events(), key=lambda one: one.id)
    assert len(taken) == 3
    out = sent(kafka, kafka.topic("out"), mode, taken)
    for given, record, own in zip(events, out, taken, strict=True):
        headers = dict(record.headers())
        assert record.key() == b"p-7"
        assert UUID(headers["andon-delivery"].decode()) == delivery_id(own, "out")
        assert headers["traceparent"] == (own.traceparent or "").encode()
        back = from_kafka_event(KafkaMessage(headers, record.key(), record.value() or b""))
        attributes, data = said(back)  # type: ignore[arg-type]  # version 1.0
        wanted, _ = said(given)
        if mode == "structured" or given.get_data() is None:
            wanted.pop("datacontenttype")  # plain JSON is taken for granted, and of no data nothing is said
        assert attributes == wanted
        assert (data or None) == given.get_data()


def test_what_a_channel_wrote_in_binary_mode_a_source_reads_as_the_same_event(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    foreign.send([to_binary_event(foreign.event(0)), to_structured_event(foreign.event(1, severity="info"))])
    foreign.run()
    first = sorted(foreign.events(), key=lambda one: one.id)
    sent(kafka, foreign.topic, "binary", first)
    foreign.sent += 2
    foreign.run()
    both = sorted(foreign.events(), key=lambda one: one.id)
    assert [both[0], both[2]] == first
    assert both[0::2] == both[1::2], "the trace too, which travels beside the event"


def test_a_broker_that_stands_still_has_acknowledged_nothing(kafka: Kafka) -> None:
    foreign = Foreign(kafka)
    one_event = event()

    async def main() -> None:
        one = channel(kafka, foreign.topic, "structured")
        await one.send(call(one, one_event))
        kafka.freeze()
        try:
            with pytest.raises(Retryable) as unknown:
                await one.send(call(one, one_event, deadline=1.0))
        finally:
            kafka.thaw()
        assert unknown.value.ambiguous
        await one.send(call(one, one_event))
        await one.close()

    asyncio.run(main())
    found = kafka.read(foreign.topic)
    assert len({dict(one.headers() or ())["andon-delivery"] for one in found}) == 1, "by this every reader deduplicates"
    assert len(found) in (2, 3)


def test_an_event_too_large_for_the_topic_is_rejected(kafka: Kafka) -> None:
    topic = kafka.topic("small", max_message_bytes="1000")
    large = event(data={"text": "x" * 5_000})

    async def main() -> Failure:
        one = channel(kafka, topic, "binary")
        with pytest.raises(Failure) as failed:
            await one.send(call(one, large))
        await one.close()
        return failed.value

    failure = asyncio.run(main())
    assert (type(failure).__name__, failure.reason) == ("Rejected", "too_large")
