"""Avro: what is written comes back equal, others read it, and bytes that are no record are refused cheaply."""

from __future__ import annotations

import io
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.core.event import Event, Position
from andon.kafka.avro.derive import avro_schema
from andon.kafka.avro.read import SchemaUnusable, reader
from andon.kafka.avro.strict import MOST_ITEMS
from andon.kafka.avro.write import Unwritable, writer
from andon.kafka.codecs import Undecodable
from andon.kafka.formats import Formats
from andon.kafka.index import FIRST
from andon.kafka.schemas import RECORDS
from andon.testing.builders import event
from tests.unit.kafka.specimens import SPECIMENS, as_avro

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
LONG = st.integers(-(1 << 63), (1 << 63) - 1)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ANYTHING = st.recursive(
    PLAIN, lambda of: st.lists(of, max_size=4) | st.dictionaries(TEXT, of, max_size=4), max_leaves=20
)
EVENTS_OF_ALL_KINDS = st.builds(
    Event,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    subject=TEXT,
    time=st.datetimes(timezones=st.just(UTC)),
    data=st.dictionaries(TEXT, ANYTHING, max_size=5),
    labels=st.dictionaries(TEXT, TEXT, max_size=5),
    facts=st.dictionaries(TEXT, ANYTHING, max_size=3),
    traceparent=st.none() | TEXT,
    origin=st.lists(st.builds(Position, TEXT, LONG, LONG, LONG), max_size=3).map(tuple),
)
VARINT_2_60 = b"\x80\x80\x80\x80\x80\x80\x80\x80\x20"


def back(topic: str, raw: bytes) -> Any:
    return msgspec.json.decode(Formats().incoming(raw), type=RECORDS[topic])


@pytest.mark.parametrize("topic", RECORDS)
def test_a_record_comes_back_equal_to_what_json_gives(topic: str) -> None:
    record = SPECIMENS[topic]
    raw = as_avro(topic, record)
    assert raw[:1] == b"\0"
    assert int.from_bytes(raw[1:5]) >= FIRST
    assert back(topic, raw) == record == msgspec.json.decode(msgspec.json.encode(record), type=RECORDS[topic])


_write, _read = writer(Event), reader(avro_schema(Event))
_parsed = fastavro.parse_schema(avro_schema(Event))


@given(EVENTS_OF_ALL_KINDS)
@settings(max_examples=50)
def test_any_event_comes_back_equal_and_an_independent_reader_agrees(one: Event) -> None:
    raw = _write(one, b"")
    assert msgspec.json.decode(msgspec.json.encode(_read(raw, 0)), type=Event) == one
    theirs = fastavro.schemaless_reader(io.BytesIO(raw), _parsed, None)
    assert isinstance(theirs, dict)
    assert theirs["time"] == one.time
    assert (theirs["id"], theirs["labels"]) == (one.id, one.labels)
    assert msgspec.json.decode(theirs["data"]) == one.data


@pytest.mark.parametrize("topic", RECORDS)
def test_what_an_independent_writer_writes_is_read(topic: str) -> None:
    schema = fastavro.parse_schema(avro_schema(RECORDS[topic]))
    ours = as_avro(topic, SPECIMENS[topic])[5:]
    theirs = io.BytesIO()
    fastavro.schemaless_writer(theirs, schema, fastavro.schemaless_reader(io.BytesIO(ours), schema, None))
    assert theirs.getvalue() == ours


def test_blocks_with_their_length_as_other_writers_make_them_are_read() -> None:
    read = reader({"type": "array", "items": "string"})
    assert read(b"\x03\x08\x02a\x02b\x02\x02c\x00", 0) == ["a", "b", "c"]


def test_a_time_without_zone_has_no_form() -> None:
    with pytest.raises(Unwritable):
        _write(event(time=datetime(2026, 1, 1)), b"")  # noqa: DTZ001 - the point


RECORD = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["a", "b"]}},
        {"name": "maybe", "type": ["null", "boolean"]},
        {"name": "many", "type": {"type": "array", "items": "long"}},
        {"name": "named", "type": {"type": "map", "values": "string"}},
        {"name": "json", "type": {"type": "string", "logicalType": "json"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
GOOD = b"\x04ab" + b"\x02" + b"\x02\x01" + b"\x02\x08\x00" + b"\x02\x02k\x02v\x00" + b"\x04{}" + b"\x04"
MALFORMED = {
    "nothing": b"",
    "cut in a text": GOOD[:2],
    "cut in the middle": GOOD[:-5],
    "cut at the end": GOOD[:-1],
    "a byte too many": GOOD + b"\0",
    "a negative length": b"\x03" + GOOD[1:],
    "a length beyond the end": b"\x7e" + GOOD[1:],
    "a length of 2^60": VARINT_2_60 + GOOD[1:],
    "text that is not UTF-8": GOOD.replace(b"ab", b"\xff\xfe"),
    "a surrogate in UTF-8": b"\x06\xed\xa0\x80" + GOOD[3:],
    "an enum's index too large": GOOD[:3] + b"\x04" + GOOD[4:],
    "an enum's index negative": GOOD[:3] + b"\x01" + GOOD[4:],
    "a union's index too large": GOOD[:4] + b"\x04" + GOOD[5:],
    "a union's index negative": GOOD[:4] + b"\x01" + GOOD[5:],
    "a boolean of 7": GOOD[:5] + b"\x07" + GOOD[6:],
    "2^60 items": GOOD[:6] + VARINT_2_60 + GOOD[7:],
    "-2^60 items": GOOD[:6] + b"\xff\xff\xff\xff\xff\xff\xff\xff\x1f" + b"\x02" + GOOD[7:],
    "-2^63 items": GOOD[:6] + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"\x02" + GOOD[7:],
    "a block of a negative length": GOOD[:6] + b"\x01\x01\x08\x00" + GOOD[9:],
    "a map of 2^60": GOOD[:9] + VARINT_2_60 + GOOD[10:],
    "a number longer than it need be": GOOD[:7] + b"\x88\x00" + GOOD[8:],
    "a number of eleven bytes": GOOD[:7] + b"\x80" * 10 + b"\x01" + GOOD[8:],
    "a number without end": GOOD[:7] + b"\xff" * 1_000,
    "a number of 65 bits": GOOD[:7] + b"\xff" * 9 + b"\x02" + GOOD[8:],
    "no JSON in a JSON text": GOOD.replace(b"{}", b"{,"),
    "JSON nested deeply": GOOD[:-4] + b"\xc0\x9a\x0c" + b"[" * 100_000 + GOOD[-1:],
    "a time after the calendar": GOOD[:-1] + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
}


def test_the_good_one_is_good() -> None:
    assert reader(RECORD)(GOOD, 0) == {
        "text": "ab",
        "kind": "b",
        "maybe": True,
        "many": [4],
        "named": {"k": "v"},
        "json": {},
        "at": datetime(1970, 1, 1, 0, 0, 0, 2, tzinfo=UTC),
    }


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bytes_are_refused_in_bounded_time_and_memory(name: str) -> None:
    read = reader(RECORD)
    tracemalloc.start()
    try:
        began = time.process_time()
        with pytest.raises(Undecodable) as refused:
            read(MALFORMED[name], 0)
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(refused.value)
    assert len(str(refused.value)) < 400
    assert peak < 1 << 20
    assert took < 5.0


_small = reader(RECORD)


@given(st.binary(max_size=60), st.integers(0, len(GOOD)))
@settings(max_examples=100)
def test_whatever_the_bytes_are_it_ends_in_a_value_or_a_refusal(noise: bytes, at: int) -> None:
    for raw in (noise, GOOD[:at] + noise, GOOD[:at] + noise + GOOD[at:]):
        try:
            assert isinstance(_small(raw, 0), dict)
        except Undecodable:
            continue


def test_no_more_items_than_there_can_be() -> None:
    read = reader({"type": "array", "items": "string"})
    count = MOST_ITEMS + 1
    head = bytearray()
    number = count << 1
    while number >= 0x80:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    head.append(number)
    with pytest.raises(Undecodable, match="more than there can be"):
        read(bytes(head) + b"\0" * (count + 1), 0)


LISTED = {"type": "no type", "logicalType": ["json"]}
UNUSABLE = {
    "a cycle without an end": {"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]},
    "a cycle that could end": {"type": "record", "name": "A", "fields": [{"name": "a", "type": ["null", "A"]}]},
    "a type that is nowhere": {"type": "array", "items": "Nowhere"},
    "an array of nothing": {"type": "array", "items": "null"},
    "a record of nothing": {"type": "record", "name": "A", "fields": []},
    "a field without name": {"type": "record", "name": "A", "fields": [{"type": "long"}]},
    "a union of nothing": [],
    "a union in a union": ["null", {"type": ["null", "long"]}],
    "no schema": 7,
    "nothing": None,
    "a fixed without size": {"type": "fixed", "name": "F", "size": 0},
    "an enum without words": {"type": "enum", "name": "E"},
    "a record without a name": {"type": "record", "fields": [{"name": "a", "type": "long"}]},
    "a type of an object without type": {"type": {}},
    "a logical type that is no text": {"type": "record", "name": "A", "fields": [{"name": "a", "type": LISTED}]},
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_schema_that_nothing_can_be_read_by_is_refused(name: str) -> None:
    with pytest.raises(SchemaUnusable):
        reader(UNUSABLE[name])


@pytest.mark.parametrize("logical", [["json"], {"a": 1}, 7, None])
def test_a_logical_type_that_is_no_text_is_none(logical: Any) -> None:
    assert reader({"type": "string", "logicalType": logical})(b"\x02a", 0) == "a"


def test_a_schema_nested_deeply_is_refused() -> None:
    schema: Any = "long"
    for _ in range(300):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaUnusable, match="deeper"):
        reader(schema)


def test_a_small_schema_cannot_make_much_work() -> None:
    """Thirty types, each twice in the next one: a value of it has 2^30 parts, so no record can hold one."""
    schema: Any = {"type": "record", "name": "T0", "fields": [{"name": "a", "type": "long"}]}
    for number in range(1, 30):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"T{number - 1}"}]
        schema = {"type": "record", "name": f"T{number}", "fields": fields}
    with pytest.raises(Undecodable):
        reader(schema)(b"\2" * 10_000, 0)


@pytest.mark.parametrize("raw", [b"\0", b"\0\0\0\0", b"\0\0\0\0\7x", b"\0" * 100, b"\0\xff\xff\xff\xff"])
def test_an_id_that_nobody_knows_is_said(raw: bytes) -> None:
    with pytest.raises(Undecodable, match=r"five bytes|has no Avro schema"):
        Formats().incoming(raw)


def test_another_topics_record_is_not_taken_for_one_of_ours() -> None:
    raw = as_avro("andon.tickets", SPECIMENS["andon.tickets"])
    with pytest.raises(msgspec.ValidationError):
        back("andon.events", raw)


def test_what_has_no_form_in_avro_is_written_as_json() -> None:
    formats = Formats({"andon.events": Event})
    formats.settle()
    for value in (
        b"{}",
        b"not JSON",
        msgspec.json.encode(event()).replace(b"2026-11-22T06:03:05Z", b"2026-11-22T06:03:05"),
    ):
        assert formats.outgoing("andon.events", value) == value
    assert formats.outgoing("andon.other", b"{}") == b"{}"
    raw = as_avro("andon.events", SPECIMENS["andon.events"])
    assert formats.outgoing("andon.events", raw) == raw
