"""CloudEvents: what comes in goes out again as it came, and what is none is refused by the name of its attribute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from andon.core import cloudevents
from andon.core.cloudevents import CloudEvent, checked, from_json, to_binary, to_json
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.reason import Reason
from andon.core.translation import ADDED, OTHERS, cloud_event_of, event_of
from andon.ingress.bodies import cloud

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
# Hypothesis adds the zone.
FIRST, LAST = datetime(1971, 1, 1), datetime(9997, 1, 1)  # noqa: DTZ001
LEAST = {"specversion": "1.0", "id": "A-1", "source": "/plant/1", "type": "mes.fault.raised"}

strings = st.text(st.characters(exclude_categories=["Cs", "Cn", "Cc"]), max_size=30)
filled = strings.filter(bool)
names = st.from_regex(r"[a-z0-9]{1,24}", fullmatch=True)
extensions = names.filter(lambda name: name not in {*LEAST, "subject", "time", "data", OTHERS} and name[:4] != "data")
references = st.one_of(
    st.sampled_from(["/plant/1", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", "mailto:a@b.example", "a", "?x=1#y"]),
    st.from_regex(r"https?://[a-z]{1,8}\.example(/[a-z0-9%_-]{0,9})?", fullmatch=True).filter(lambda u: "%" not in u),
)
zones = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(FIRST, LAST, timezones=zones).map(lambda one: one.isoformat())
finer = st.tuples(st.integers(0, 59), st.from_regex(r"[0-9]{6,9}", fullmatch=True)).map(
    lambda found: f"2026-03-01T08:30:{found[0]:02}.{found[1]}Z"
)
# JSON numbers beyond 64 bits are no matter of CloudEvents.
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def cloud_events(draw: st.DrawFn) -> CloudEvent:
    """Any event the specification allows, but for its reserved extension and for binary data."""
    given: dict[str, Any] = {
        "specversion": "1.0",
        "id": draw(filled),
        "source": draw(references),
        "type": draw(filled),
        **draw(st.dictionaries(extensions, strings | st.booleans() | st.integers(-(2**31), 2**31 - 1), max_size=4)),
    }
    for name, some in (
        ("subject", filled | st.just(given["source"])),
        ("time", moments | finer),
        ("dataschema", st.sampled_from(["https://a.example/s.json#/x", "urn:a:b"])),
    ):
        if draw(st.booleans()):
            given[name] = draw(some)
    media = draw(st.sampled_from([None, "application/json", "application/vnd.a+json; charset=utf-8", "text/plain"]))
    if media:
        given["datacontenttype"] = media
    if draw(st.booleans()):
        return checked(given)
    return checked(given, draw(filled if media == "text/plain" else values))


def comparable(event: CloudEvent) -> tuple[dict[str, Any], Any]:
    """An event with its time as the moment and the zone it names: `.5` and `.500` of a second are one."""
    attributes: dict[str, Any] = dict(event.attributes)
    if "time" in attributes:
        moment = cloudevents.moment(attributes["time"])
        fraction = attributes["time"].partition(".")[2].rstrip("Z").partition("+")[0].partition("-")[0].rstrip("0")
        attributes["time"] = (moment, moment.utcoffset(), fraction)
    return attributes, event.data


@settings(max_examples=100)
@given(cloud_events())
def test_the_event_out_equals_the_event_in(one: CloudEvent) -> None:
    event = event_of(one, NOW)
    # As it stands in a topic: what leaves was read from there.
    stored = msgspec.json.decode(msgspec.json.encode(event), type=Event)
    assert comparable(cloud_event_of(stored)) == comparable(one)


@settings(max_examples=60)
@given(cloud_events())
def test_each_form_says_the_same(one: CloudEvent) -> None:
    assert cloud.structured(to_json(one)) == one
    form = to_binary(one)
    assert cloud.binary(form.attributes, form.content_type, form.body or b"") == one


labels = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != ADDED),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    max_size=4,
)


@settings(max_examples=60)
@given(filled, filled, moments, st.dictionaries(strings, values, max_size=3), labels, references)
def test_an_event_of_our_own_comes_back_with_all_its_labels(
    name: str, kind: str, time: str, data: dict[str, Any], given: dict[str, str], source: str
) -> None:
    for reserved in ("id", "time", "data", "datacontenttype", "dataschema", OTHERS, "班组"):
        given.setdefault(reserved, kind)
    event = Event(name, source, kind, name, cloudevents.moment(time), data, given)
    out = cloud.structured(to_json(cloud_event_of(event)))
    assert event_of(out, NOW) == event


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("产线 3", "%E4%BA%A7%E7%BA%BF%203"),
        ("a%zz", "a%25zz"),
        ("1:2", "1%3A2"),
        ("a#b#c", "a%23b%23c"),
        ("mes", "mes"),
    ],
)
def test_a_source_that_is_no_uri_reference_is_percent_encoded(source: str, out: str) -> None:
    assert cloud_event_of(Event("1", source, "t", "s", NOW, {})).attributes["source"] == out


def test_what_becomes_of_each_part() -> None:
    one = from_json({**LEAST, "data": [1, 2], "severity": "critical", "sampled": True, "none": None})
    event = event_of(one, NOW, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert (event.subject, event.time, event.data) == ("/plant/1", NOW, {"value": [1, 2]})
    assert event.labels == {"severity": "critical", "sampled": "true", ADDED: "subject time data"}
    assert event.traceparent == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"specversion": None}, "specversion", "required"),
        ({"specversion": "0.3"}, "specversion", "must be 1.0"),
        ({"specversion": 1.0}, "specversion", "must be a text"),
        ({"id": None}, "id", "required"),
        ({"id": ""}, "id", "must not be empty"),
        ({"id": 7}, "id", "must be a text"),
        ({"source": "产线 3"}, "source", "URI reference"),
        ({"source": "a b"}, "source", "URI reference"),
        ({"source": "a%2"}, "source", "URI reference"),
        ({"source": "1:2"}, "source", "URI reference"),
        ({"type": "a\nb"}, "type", "control character"),
        ({"type": "a\x85b"}, "type", "control character"),
        ({"subject": ""}, "subject", "must not be empty"),
        ({"time": "2026-03-01 08:30"}, "time", "RFC 3339"),
        ({"time": "2026-02-30T08:30:00Z"}, "time", "RFC 3339"),
        ({"time": "2026-03-01T08:30:00"}, "time", "RFC 3339"),
        ({"time": 1_700_000_000}, "time", "must be a text"),
        ({"dataschema": "/schema"}, "dataschema", "URI with its scheme"),
        ({"datacontenttype": "json"}, "datacontenttype", "media type"),
        ({"datacontenttype": "text/plain", "data": {}}, "data", "must be a text"),
        ({"Severity": "x"}, "Severity", "a to z and 0 to 9"),
        ({"fault_code": "x"}, "fault_code", "a to z and 0 to 9"),
        ({"weight": 1.5}, "weight", "whole number"),
        ({"weight": 2**31}, "weight", "whole number"),
        ({"place": {"line": 3}}, "place", "whole number"),
        ({"place": "\ufffe"}, "place", "control character"),
        ({OTHERS: "[]"}, OTHERS, "an object of texts"),
    ],
)
def test_what_is_no_cloud_event_is_refused_by_name(change: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        event_of(from_json({**LEAST, **change}), NOW)
    assert (refused.value.field, refused.value.reason) == (field, Reason.INVALID)


@pytest.mark.parametrize(
    "change",
    [
        {"data_base64": "AAEC"},
        {"datacontenttype": "application/octet-stream", "data": "x"},
        {"datacontenttype": "application/json; charset=gb18030", "data": "x"},
    ],
)
def test_data_that_is_neither_json_nor_text_is_refused_as_a_media_type(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        from_json({**LEAST, **change})
    assert refused.value.reason is Reason.MEDIA_TYPE
    assert refused.value.field in ("data_base64", "datacontenttype")


def test_unset_says_that_there_is_no_data_and_null_that_it_is_null() -> None:
    assert from_json(LEAST).data is UNSET
    assert from_json({**LEAST, "data": None}).data is None
    assert event_of(from_json({**LEAST, "data": None}), NOW).data == {"value": None}
