"""CloudEvents at the door, as the official Python SDK produces them: structured, binary and batched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from andon.core.event import Event
from andon.core.translation import ADDED
from andon.ingress.log import KafkaLog
from andon.kafka.producer import Publisher
from andon.kafka.topics import EVENTS
from andon.runtime.clock import SystemClock
from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.test_door_http import problem
from tests.rig.kafka import Kafka

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"
LEAST = {"ce_specversion": "1.0", "ce_id": "B-1", "ce_source": "/plant/1", "ce_type": "t"}


def sdk(name: str, data: Any = None, **attributes: Any) -> CloudEvent:
    """An event of the SDK's, with something in every kind of attribute that it has."""
    given = {
        "id": name,
        "source": "/plant/1",
        "type": "mes.fault.raised",
        "subject": '产线 3 "急" 100%',
        "time": datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC),
        "dataschema": "https://mes.example/fault.json",
        "datacontenttype": "application/json",
        "severity": "critical",
        "traceparent": TRACE,
        **attributes,
    }
    return CloudEvent({key: value for key, value in given.items() if value is not None}, data)


async def sent(stand: Stand, message: Any) -> httpx2.Response:
    headers = {"authorization": "Bearer alpha", **message.headers}
    return await stand.client.post("/v1/events", content=message.body, headers=headers)


async def batched(stand: Stand, events: list[CloudEvent]) -> httpx2.Response:
    body = b"[" + b",".join(JSONFormat().write(one) for one in events) + b"]"
    return await stand.batch(body, content_type=BATCH)


@pytest.mark.kafka
def test_all_three_forms_of_the_sdk_reach_the_log_as_the_same_event(kafka: Kafka, tmp_path: Path) -> None:
    data = {"code": "E-217", "values": [1, 2.5, None]}
    subjects = {"ce-s", "ce-b", "ce-1", "ce-2"}

    async def run() -> None:
        publisher = Publisher(kafka.connection, "door")
        publisher.start()
        async with standing(tmp_path, log=KafkaLog(publisher, SystemClock())) as stand:
            one, two = sdk("ce-s", data), sdk("ce-b", data)
            for _ in range(2):  # a repeat is the same event
                assert (await sent(stand, to_structured_event(one))).json() == {"id": "ce-s"}
                assert (await sent(stand, to_binary_event(two))).json() == {"id": "ce-b"}
            # In whatever form it comes: one event is one.
            assert (await sent(stand, to_binary_event(one))).status_code == 202
            problem(await sent(stand, to_binary_event(sdk("ce-s", {"other": 1}))), 409, "conflict", "id")
            many = await batched(stand, [sdk("ce-1", data), two, sdk("ce-2", data)])
            assert [item["status"] for item in many.json()] == [202, 202, 202]
            assert stand.counts.taken == {"mes": 4}
        await asyncio.to_thread(publisher.close)

    asyncio.run(run())
    values = [one.value() or b"" for one in kafka.read(EVENTS)]
    stored = [msgspec.json.decode(value, type=Event) for value in values if b'"ce-' in value]
    events = {one.id: one for one in stored}
    assert (len(stored), set(events)) == (4, subjects)
    for event in events.values():
        assert event.source == "/plant/1"
        assert event.type == "mes.fault.raised"
        assert event.subject == '产线 3 "急" 100%'
        assert event.time == datetime(2026, 3, 1, 8, 30, 0, 123456, tzinfo=UTC)
        assert event.data == data
        assert event.traceparent == TRACE
        given = {"severity": "critical", "dataschema": "https://mes.example/fault.json", "traceparent": TRACE}
        assert event.labels == given


def test_what_the_door_adds_is_marked(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path) as stand:
            bare = sdk("1", subject=None, dataschema=None, severity=None, traceparent=None)
            assert (await sent(stand, to_binary_event(bare))).status_code == 202
            text = sdk("2", "三号线停机", datacontenttype="text/plain")
            assert (await sent(stand, to_structured_event(text))).status_code == 202
            quoted = {**LEAST, "ce_subject": r'"a \"b\""', "traceparent": TRACE, "content_type": ""}
            assert (await stand.post(b"", **quoted)).status_code == 202
            first, second, third = stand.log.events
            assert first.subject == "/plant/1"
            assert first.labels == {ADDED: "subject data"}  # the SDK says a time of its own
            assert first.traceparent
            assert second.data == {"value": "三号线停机"}
            assert second.labels["datacontenttype"] == "text/plain"
            assert (third.subject, third.traceparent, third.labels) == ('a "b"', TRACE, {ADDED: "time data"})

    asyncio.run(run())


def test_refusals_name_the_attribute(tmp_path: Path) -> None:
    async def run() -> None:
        async with standing(tmp_path, body=4_096) as stand:
            body: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/p", "type": "t"}

            async def structured(**change: Any) -> httpx2.Response:
                return await stand.post({**body, **change}, content_type=STRUCTURED)

            problem(await structured(specversion="0.3"), 400, "invalid", "specversion")
            problem(await structured(fault_code="x"), 400, "invalid", "fault_code")
            problem(await structured(type="x" * 513), 400, "invalid", "type")
            problem(await structured(time="1969-01-01T00:00:00Z"), 400, "invalid", "time")
            problem(await structured(data_base64="AAEC"), 415, "media_type", "data_base64")
            problem(await structured(data="x" * 5_000), 413, "too_large")
            problem(await stand.post(b'{"id":"1","id":"2"}', content_type=STRUCTURED), 400, "malformed", "id")
            problem(await stand.post(b"[" * 99 + b"]" * 99, content_type=STRUCTURED), 400, "malformed")
            problem(await stand.post(b"[]", content_type=STRUCTURED), 400, "invalid")
            problem(
                await stand.post(body, content_type=STRUCTURED, authorization=""), 401, "unauthorised", "Authorization"
            )
            # Each address has its forms.
            problem(await stand.post([body], content_type=BATCH), 415, "media_type", "Content-Type")
            problem(await stand.batch([body], content_type=STRUCTURED), 415, "media_type", "Content-Type")
            problem(await stand.batch([body], **LEAST), 415, "media_type", "Content-Type")
            problem(await stand.batch([body] * 1_001, content_type=BATCH), 413, "too_large")
            problem(await stand.batch(body, content_type=BATCH), 400, "invalid")
            # Binary: the attributes are headers.
            problem(await stand.post({}, **{**LEAST, "ce_specversion": ""}), 400, "invalid", "specversion")
            problem(await stand.post({}, **LEAST, ce_subject="%FF"), 400, "invalid", "subject")
            problem(await stand.post({}, **LEAST, ce_subject="a%0Ab"), 400, "invalid", "subject")
            problem(await stand.post({}, **LEAST, ce_data="x"), 400, "invalid", "data")
            problem(await stand.post({}, **LEAST, ce_datacontenttype="a/b"), 400, "invalid", "datacontenttype")
            problem(await stand.post(b"{", **LEAST), 400, "malformed")
            octets = await stand.post(b"\0", **LEAST, content_type="application/octet-stream")
            problem(octets, 415, "media_type", "datacontenttype")
            problem(await stand.post(b"\xff", **LEAST, content_type="text/plain"), 400, "malformed", "data")
            twice = [("ce-id", "1"), ("ce-id", "2"), ("authorization", "Bearer alpha"), ("ce-specversion", "1.0")]
            problem(await stand.client.post("/v1/events", headers=twice), 400, "invalid", "id")
            assert not stand.log.events
            mixed = (await stand.batch([body, {**body, "id": ""}, {**body, "id": "2"}], content_type=BATCH)).json()
            assert [item["status"] for item in mixed] == [202, 400, 202]
            assert mixed[1]["problem"]["field"] == "id"

    asyncio.run(run())
