"""F22: a record that nobody can read is parked with its bytes, and the partition goes on."""

from __future__ import annotations

import json

import msgspec
import pytest
from confluent_kafka import Producer

from andon.kafka.connection import LARGEST
from andon.testing.builders import event
from tests.integration.stage.line import Line
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

GOOD = event(id="good")
POISON = {
    "no JSON": b"{",
    "another kind of record": b'{"id": 1}',
    "Avro of no schema": b"\0\0\0\0\7" + msgspec.json.encode(GOOD),
    "the beginning of Avro": b"\0\0",
    "nothing at all": b"",
    "invalid UTF-8": msgspec.json.encode(GOOD).replace(b"good", b"\xff\xfe"),
    "a lone surrogate": msgspec.json.encode(GOOD).replace(b"good", b"\\ud800"),
    "a depth bomb": b"[" * 100_000,
    "a depth bomb inside of an event": json.dumps({"id": "x", "data": {}}).encode().replace(b"{}", b'{"a":' * 100_000),
    "a number without end": b"9" * 100_000,
    "not a number": msgspec.json.encode(GOOD).replace(b"91.5", b"NaN"),
    "a time without day": msgspec.json.encode(GOOD).replace(b"2026-11-22", b"2026-11-42"),
    "5 MiB": b'"' + b"x" * (5 << 20) + b'"',
}


def test_poison_never_stops_a_partition(kafka: Kafka) -> None:
    line = Line(kafka, max_message_bytes=str(6 << 20))
    good = msgspec.json.encode(GOOD)
    records = [one for poison in POISON.values() for one in (poison, good)]
    line.send_raw(records)
    line.work()
    assert line.ids() == ["good"] * len(POISON)
    parked = line.parked()
    assert sorted(parked) == list(range(0, 2 * len(POISON), 2))
    for offset, copy in parked.items():
        headers = dict(copy.headers() or ())
        assert copy.value() == records[offset]
        assert headers["andon-reason"] == b"undecodable"
        assert headers["andon-offset"] == str(offset).encode()
        assert headers["andon-class"]
    assert not line.outcomes(), "an unreadable record names no event"


def test_what_compression_hid_is_parked_as_far_as_there_is_room(kafka: Kafka) -> None:
    """A topic's bound is on what was compressed. The dead-letter topic takes 8 MiB, and must not be the end of it."""
    line = Line(kafka, max_message_bytes=str(LARGEST))
    writer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 32 << 20, "compression.type": "zstd"})
    for size in (5 << 20, 12 << 20):
        writer.produce(line.source, b"x" * size)
        assert writer.flush(30) == 0
    line.sent = 2
    line.send_raw([msgspec.json.encode(GOOD)])
    line.work()
    assert line.ids() == ["good"]
    parked = line.parked()
    assert parked[0].value() == b"x" * (5 << 20)
    cut = parked[1].value() or b""
    assert 7 << 20 < len(cut) < 8 << 20
    assert set(cut) == {ord("x")}
    assert dict(parked[1].headers() or ())["andon-cut"] == str(12 << 20).encode()
    assert "andon-cut" not in dict(parked[0].headers() or ())
