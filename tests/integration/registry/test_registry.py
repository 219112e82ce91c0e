"""Against a real registry: ids are given, found again, cached over its absence, and refused changes are said."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from andon.broker.errors import BrokerError
from andon.kafka.codecs import Undecodable
from andon.kafka.errors import KafkaFailure
from andon.kafka.formats import Formats
from andon.kafka.registry import Access, Registry
from andon.kafka.schemas import RECORDS, schema
from tests.rig.registry import program, registry
from tests.unit.kafka.specimens import SPECIMENS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        program()
    except BrokerError as problem:
        pytest.skip(f"no registry to test with: {problem}")
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


def at(url: str, *, register: bool = True, patience_s: float = 5.0) -> Registry:
    return Registry(Access(url, register=register), deadline_s=30.0, patience_s=patience_s)


def test_every_topic_is_registered_once_and_read_by_who_knows_only_the_registry(url: str) -> None:
    first = Formats(RECORDS, registry=at(url))
    first.settle()
    again = Formats(RECORDS, registry=at(url, register=False))
    again.settle()
    reading = Formats(registry=at(url))
    for topic, record in SPECIMENS.items():
        raw = first.outgoing(topic, msgspec.json.encode(record))
        assert raw[:1] == b"\0"
        assert int.from_bytes(raw[1:5]) < 2_000_000_000
        assert again.outgoing(topic, msgspec.json.encode(record)) == raw
        assert msgspec.json.decode(reading.incoming(raw), type=RECORDS[topic]) == record


def test_what_was_met_is_read_while_the_registry_is_away(url: str) -> None:
    one = Formats({"andon.tickets": RECORDS["andon.tickets"]}, registry=at(url))
    one.settle()
    raw = one.outgoing("andon.tickets", msgspec.json.encode(SPECIMENS["andon.tickets"]))
    one.incoming(raw)
    one._registry = Registry(Access("http://127.0.0.1:1"), patience_s=0.0)
    assert json.loads(one.incoming(raw))["ticket"] == "4711"
    with pytest.raises(KafkaFailure, match="cannot be reached"):
        one.incoming(raw[:4] + b"\x7f" + raw[5:])


def test_an_id_it_does_not_know(url: str) -> None:
    with pytest.raises(Undecodable, match="has no Avro schema 123456"):
        Formats(registry=at(url)).incoming(b"\0" + (123_456).to_bytes(4) + b"x")


def test_a_subject_without_the_right_to_register(url: str) -> None:
    with pytest.raises(KafkaFailure, match="register it there"):
        at(url, register=False).number("another.topic-value", schema("andon.events", "avsc"))


def test_a_schema_the_registry_cannot_read_is_refused(url: str) -> None:
    with pytest.raises(KafkaFailure):
        at(url, patience_s=0.0).number("broken-value", '{"type": "record"}')
