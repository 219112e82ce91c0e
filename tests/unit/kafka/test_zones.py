"""A record's times have a zone: one that has none could not be compared with any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from andon.core.delivery import Delivery, Hold, Tried
from andon.core.digest import merged
from andon.core.mute import Mute
from andon.core.outcome import Attempt
from andon.core.reason import Reason
from andon.kafka.codecs import Json, Undecodable, encode
from andon.kafka.history import refusals
from andon.kafka.schemas import RECORDS, schema
from andon.testing.builders import delivery, event
from tests.unit.kafka.specimens import SPECIMENS

Path = tuple[str | int, ...]


def times(part: Any, at: Path = ()) -> Iterator[Path]:
    """Where in a record times stand."""
    if isinstance(part, dict | list):
        for key, one in part.items() if isinstance(part, dict) else enumerate(part):
            yield from times(one, (*at, key))
    elif isinstance(part, str) and part[:2] == "20" and "T" in part:
        yield at


def without_zone(record: Any, at: Path) -> Any:
    made = deepcopy(record)
    part = made
    for key in at[:-1]:
        part = part[key]
    part[at[-1]] = datetime.fromisoformat(part[at[-1]]).replace(tzinfo=None).isoformat()
    return made


AT = datetime(2026, 11, 22, 6, 3, 5, tzinfo=UTC)
CARRIED = merged(merged(None, event()), event(id="e-2"))
HANDED_ON = delivery(
    tried=Tried(AT, (Attempt(1, AT, AT, Reason.TIMEOUT),), CARRIED), held=Hold("mute m1", AT), fallback=()
)
RECORD = [
    *((RECORDS[topic], record) for topic, record in SPECIMENS.items()),
    (Delivery, HANDED_ON),
    (Mute, Mute("m1", ('line="L3"',), AT, AT, "王晴", "换模")),
]


@pytest.mark.parametrize(("kind", "record"), RECORD)
def test_a_record_with_a_time_without_zone_is_undecodable_wherever_the_time_stands(kind: Any, record: Any) -> None:
    codec, plain = Json(kind), msgspec.json.decode(encode(record))
    assert codec.decode(encode(plain)) == record
    found = list(times(plain))
    assert found
    for at in found:
        with pytest.raises(Undecodable):
            codec.decode(encode(without_zone(plain, at)))


def test_the_published_schemas_ask_for_the_zone() -> None:
    for topic in RECORDS:
        assert '"format": "date-time"' in schema(topic)
    assert json.loads(schema("andon.events"))["$defs"]["Event"]["properties"]["time"]["format"] == "date-time"


# ---- the gate


def of_text(name: str, **more: Any) -> Any:
    """A schema of a record with one field."""
    return {"type": "object", "properties": {name: {"type": "string", **more}}, "required": [name]}


def test_a_time_that_was_published_as_text_may_be_told_as_the_time_it_always_was() -> None:
    today = of_text("time", format="date-time")
    assert refusals(today, {2: of_text("time")}, "json") == []
    ended: Any = {"type": "object", "properties": {"ended": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    timed = deepcopy(ended)
    timed["properties"]["ended"]["anyOf"][0]["format"] = "date-time"
    assert refusals(timed, {2: ended}, "json") == []


def test_other_text_becomes_no_time_and_a_time_no_text_that_becomes_one_later() -> None:
    assert refusals(of_text("subject", format="date-time"), {2: of_text("subject")}, "json")
    before = of_text("time")
    before["properties"]["since"] = {"type": "string", "format": "date-time"}
    after = deepcopy(before)
    after["properties"]["time"]["format"] = "date-time"
    assert refusals(after, {5: before}, "json")
