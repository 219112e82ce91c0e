"""Whatever is sent, a map answers with events or `Invalid`, within a bounded time."""

from __future__ import annotations

import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.config.maps import Map
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ports import Mapped
from andon.ingress.bodies.draft import draft_of
from andon.ingress.mapping import EventMap
from andon.ingress.mapping.paths import MOST_SECONDS
from tests.unit.ingress.test_mapping import FORM, MES, NOW, SOAP, TRACE, WMS, ZONE

MIB = 1 << 20
BOUND_S = 6 * MOST_SECONDS  # of the processor, far above what it is to be: a busy machine takes its time

JSON_PATHS = ("a", "a.b", "a[*].b", "a[?b > `1`]", "sum(a)", "join('-', a)", "$.b", "sort_by(a, &b)", "to_number(a)")
XML_PATHS = ("a", "a/@b", "//a", "..", "/", "count(//a)", "number(a)", "a[number(b) > 1]", "text()", "sum(a)")
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=4),
    max_leaves=12,
)


def compiled(**rules: Any) -> EventMap:
    return EventMap(Map.model_validate(rules), ZONE)


def every(body: str, paths: tuple[str, ...]) -> list[EventMap]:
    """A map with each path at each place."""
    places: list[dict[str, Any]] = []
    for path in paths:
        places += [{"type": f"t{{{path}}}"}, {"type": "t", "when": path}, {"type": "t", "each": path}]
        places += [{"type": "t", "time": {"from": path, "format": "seconds", "else": "now"}}]
        places += [{"type": "t", "data": {"x": f"{{{path}}}"}}, {"type": "t", "id": f"{{{path}}}"}]
        places += [{"type": "t", "labels": {"state": {"from": path, "table": {"1": "raise"}, "else": "clear"}}}]
    return [compiled(body=body, **one) for one in places]


JSON_MAPS, FORM_MAPS, XML_MAPS = every("json", JSON_PATHS), every("form", JSON_PATHS[:5]), every("xml", XML_PATHS)
REAL = [compiled(**rules) for rules in (MES, WMS, SOAP, FORM)]


def hold(maps: list[EventMap], body: bytes, content_type: str = "") -> None:
    """Each answers with events that a record can hold, or with Invalid."""
    for one in maps:
        try:
            found = one.events(one.read(body, content_type), "s", NOW, TRACE)
        except Invalid:
            continue
        for made in found:
            assert made is None or isinstance(made, Invalid | Mapped)
            if isinstance(made, Mapped):
                assert isinstance(made.event, Event)
                assert draft_of(made.event, "c", made.digest).event.id == made.event.id


@settings(max_examples=25, deadline=None)
@given(TREES)
def test_any_json(tree: Any) -> None:
    hold([*JSON_MAPS, *REAL], json.dumps(tree).encode())


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "text/xml; charset=gbk", "x; charset=utf-8", "\x00;;=\ud800"]))
def test_any_bytes(body: bytes, content_type: str) -> None:
    hold([JSON_MAPS[0], FORM_MAPS[0], XML_MAPS[0], *REAL], body, content_type)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a[b]", ""]) | st.text(), st.text()), max_size=6))
def test_any_form(fields: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    hold([*FORM_MAPS, REAL[3]], urlencode(fields, errors="replace").encode())


@settings(max_examples=25, deadline=None)
@given(
    st.recursive(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5),
        lambda inner: st.lists(st.tuples(st.sampled_from(["a", "b", "é"]), inner), max_size=4),
        max_leaves=10,
    )
)
def test_any_xml(tree: Any) -> None:
    from xml.sax.saxutils import escape, quoteattr

    def written(inner: Any) -> str:
        if isinstance(inner, str):
            return escape(inner)
        return "".join(f"<{name} b={quoteattr(name)}>{written(value)}</{name}>" for name, value in inner)

    hold([*XML_MAPS, REAL[2]], f"<r>{written(tree)}</r>".encode())


def text_xml(count: int, text: str) -> bytes:
    return f"<r>{f'<a>{text}</a>' * count}</r>".encode()


MANY = json.dumps({"a": [{"b": number} for number in range(70_000)]}).encode()
HOSTILE: list[tuple[str, dict[str, Any], bytes]] = [
    ("elements", {"body": "xml"}, b"<r>" + b"<a/>" * (MIB // 4 - 8) + b"</r>"),
    ("attributes", {"body": "xml"}, b"<r " + b" ".join(b'a%d=""' % n for n in range(90_000)) + b"/>"),
    ("text", {"body": "xml", "labels": {"x": "{a}"}}, text_xml(1, "y" * MIB)),
    ("brackets", {}, b"[" * (MIB // 2) + b"]" * (MIB // 2)),
    ("lists", {}, b'{"a":[' + b"[]," * (MIB // 3) + b"[]]}"),
    ("digits", {"subject": "{a}"}, b'{"a":' + b"9" * MIB + b"}"),
    ("fields", {"body": "form"}, b"a=1&" * (MIB // 4)),
    ("escapes", {"body": "form"}, b"%41" * (MIB // 3)),
    ("copies", {"each": "a[:1000]", "data": {"x": "{$}"}}, MANY),
    ("texts", {"each": "a[:1000]", "subject": "{$.length(to_string(@))}"}, MANY),
    ("copies of XML", {"body": "xml", "each": "a", "data": {"x": "{/}"}}, text_xml(990, "y" * 1_000)),
    ("lengths of XML", {"body": "xml", "each": "a", "subject": "{string-length(/)}"}, text_xml(990, "y" * 1_000)),
]
QUADRATIC = (
    "//*[count(//a) > 1]",
    "//a[following::a[following::a]]",
    "//a[not(../zzz)]",
    "count(//*[contains(string(/), 'x')])",
)


@pytest.mark.parametrize(("rules", "body"), [one[1:] for one in HOSTILE], ids=[one[0] for one in HOSTILE])
def test_a_body_of_a_mebibyte_ends_in_time(rules: dict[str, Any], body: bytes) -> None:
    one = compiled(**{"type": "t", **rules})
    began = thread_time()
    hold([one], body)
    assert thread_time() - began < BOUND_S


@pytest.mark.parametrize("path", QUADRATIC)
def test_quadratic_paths_are_given_up(path: str) -> None:
    one = compiled(type="t", body="xml", when=path)
    began = thread_time()
    with pytest.raises(Invalid, match="takes longer than is allowed"):
        one.events(one.read(text_xml(9_000, "1" * 100)), "s", NOW, TRACE)
    assert thread_time() - began < BOUND_S
