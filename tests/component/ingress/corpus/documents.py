"""What is no JSON, or no JSON that says one thing: each is malformed, and a key that is to blame is named."""

from __future__ import annotations

from collections.abc import Iterator

from tests.component.ingress.corpus.case import (
    ALERTS,
    BATCH,
    EVENTS,
    HOOK,
    MUTES,
    POSTED,
    Case,
    alert,
    cloud,
    event,
    good,
    places,
    request,
    text,
    wrapped,
)

STRUCTURED = "application/cloudevents+json"
_WRONG_VALUES = (
    *("NaN", "Infinity", "-Infinity", "nan", "01", "-01", "+1", ".5", "1.", "1e", "1e+", "0x10", "1_000", "--1", "-"),
    *("TRUE", "True", "None", "undefined", "nul", "truefalse", "'x'", "x", "`x`", "", ",", ":", "@", "1 2", '"a" "b"'),
    *(
        '"\x01"',
        '"\t"',
        '"\n"',
        '"\\q"',
        '"\\u12"',
        '"\\uZZZZ"',
        '"\\x41"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\ud800x"',
    ),
    *("// x\n1", "/* x */ 1", "# x\n1", "[1,]", "[,1]", "[1 2]", "[1", "]", "{", "}", '{"a":1,}', "{,}", "{a:1}"),
    *(
        "{1:1}",
        '{"a" 1}',
        '{"a":}',
        '{"a"}',
        '{"a":1 "b":2}',
        "{'a':1}",
        '"open',
        '"open\\',
        "\\u0031",
        "\x00",
        "\x0c1",
    ),
)
_NOT_UTF8 = (
    *(b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xc3", b"\xc3\x28", b"\xe0\x80\xaf", b"\xe2\x82", b"\xe2\x28\xa1"),
    *(
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x9f\x98",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
    ),
    *(b"\xfe", b"\xff", b"caf\xe9", b"\xb9\xca\xd5\xcf"),
)
_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig", "utf-7-like")
_TWICE = (
    (b'{"type":"t","type":"u"}', "type"),
    (b'{"type":"t","type":"t"}', "type"),
    (b'{"id":"a","type":"t","id":"b"}', "id"),
    (b'{"type":"t","subject":"a","subject":"b"}', "subject"),
    (b'{"type":"t","time":"2026-03-01T08:30:00Z","time":"2026-03-01T08:30:00Z"}', "time"),
    (b'{"type":"t","data":{},"data":{"a":1}}', "data"),
    (b'{"type":"t","labels":{"a":"1"},"labels":{}}', "labels"),
    (b'{"type":"t","labels":{"a":"1","a":"2"}}', "labels.a"),
    (b'{"type":"t","data":{"a":1,"a":1}}', "data.a"),
    (b'{"type":"t","data":{"a":{"b":{"c":1,"c":2}}}}', "data.a.b.c"),
    (b'{"type":"t","data":{"a":[0,{"b":1,"b":2}]}}', "data.a[1].b"),
    (b'{"type":"t","\\u0074ype":"u"}', "type"),
    (b'{"type":"t","data":{"a":1,"\\u0061":2}}', "data.a"),
    (b'{"type":"t","data":{"x":"\\u003a","a":1,"a":2}}', "data.a"),
    (b'{"type":"t","data":{"":1,"":2}}', "data."),
    (b'{"type":"t","data":{"\xe5\x8f\xb7":1,"\\u53f7":2}}', "data.\u53f7"),
)


def cases() -> Iterator[Case]:
    yield from _cut()
    yield from _wrong_values()
    yield from _not_utf8()
    yield from _twice()
    yield from _deep()


def _case(kind: str, name: str, path: str, body: bytes, field: str | None = None, **headers: str) -> Case:
    return Case(f"malformed: {kind}", f"{path} {name}", request(path, body, **headers), 400, "malformed", field)


def _cut() -> Iterator[Case]:
    """A good body that ends early, or goes on after its end."""
    for path in POSTED:
        body = text(wrapped(path, good(path)))
        for at in places(body, 24):
            yield _case("cut", f"after {at}", path, body[:at])
        for more in (b"}", b"]", b",", b"null", b"\x00", b"{}", body, b"//", b"\xff", b"%"):
            yield _case("goes on", repr(more)[:20], path, body + more)
    whole = text(cloud())
    for at in places(whole, 12):
        yield _case("cut", f"a CloudEvent after {at}", EVENTS, whole[:at], content_type=STRUCTURED)


def _wrong_values() -> Iterator[Case]:
    for wrong in _WRONG_VALUES:
        value, name = wrong.encode(), repr(wrong)
        yield _case("value", name, EVENTS, b'{"type":"t","data":{"v":%b}}' % value)
        yield _case("value", name, BATCH, b'[{"type":"t","data":{"v":%b}}]' % value)
        if wrong.startswith('"'):  # the type of anything else is looked at before its end
            yield _case("value", name, MUTES, b'{"matchers":["a=b"],"for":"2h","why":%b}' % value)
        sent = b'{"specversion":"1.0","id":"1","source":"/a","type":"t","data":%b}' % value
        yield _case("value", f"a CloudEvent with {name}", EVENTS, sent, content_type=STRUCTURED)
        if wrong:  # a CloudEvent without a body has no data
            binary = {"ce_specversion": "1.0", "ce_id": "b-1", "ce_source": "/a", "ce_type": "t"}
            yield _case("value", f"binary {name}", EVENTS, value, **binary)


def _not_utf8() -> Iterator[Case]:
    for raw in _NOT_UTF8:
        bodies = {
            EVENTS: text(event(data={"v": "?"})),
            BATCH: text([event(labels={"?": "v"})]),
            ALERTS: text([alert(annotations={"summary": "?"})]),
            HOOK: text({"alerts": [alert(labels={"a": "?"})]}),
            MUTES: text({"matchers": ["a=b"], "for": "2h", "why": "?"}),
        }
        for path, body in bodies.items():
            yield _case("not UTF-8", repr(raw), path, body.replace(b"?", raw))
    for path in POSTED:
        whole = text(wrapped(path, good(path))).decode()
        for encoding in _ENCODINGS[:-1]:
            yield _case("not UTF-8", encoding, path, whole.encode(encoding))


def _twice() -> Iterator[Case]:
    for body, field in _TWICE:
        yield _case("a key twice", body.decode(), EVENTS, body, field)
        yield _case("a key twice", body.decode(), BATCH, b"[%b]" % body, field)
        whole = b'{"specversion":"1.0","source":"/a",%b' % body.replace(b'"id":"a",', b"", 1).removeprefix(b"{")
        if b'"id"' not in whole:
            whole = whole[:-1] + b',"id":"1"}'
            yield _case("a key twice", f"a CloudEvent {body.decode()}", EVENTS, whole, field, content_type=STRUCTURED)
    for body, field in ((b'"why":"a","why":"b"', "why"), (b'"why":"a","for":"2h"', "for")):
        yield _case("a key twice", body.decode(), MUTES, b'{"matchers":["a=b"],"for":"2h",%b}' % body, field)


def _deep() -> Iterator[Case]:
    """More than 64 levels; with `data` the object of an event has two of them."""
    for levels in (63, 64, 100, 1_000, 10_000):
        for name, opening, closing in (("arrays", b"[", b"]"), ("objects", b'{"a":', b"}"), ("both", b'[{"a":', b"}]")):
            count = (levels + 1) // 2 if name == "both" else levels
            bomb = opening * count + b"1" + closing * count
            yield _case("deep", f"{levels} {name}", EVENTS, b'{"type":"t","data":{"v":%b}}' % bomb)
            yield _case("deep", f"{levels} {name}", BATCH, b'[{"type":"t","data":{"v":%b}}]' % bomb)
            sent = b'{"specversion":"1.0","id":"1","source":"/a","type":"t","data":[%b]}' % bomb
            yield _case("deep", f"a CloudEvent {levels} {name}", EVENTS, sent, content_type=STRUCTURED)
        if levels >= 1_000:
            for path in (BATCH, ALERTS):
                yield _case("deep", f"{levels} open", path, b"[" * levels)
            yield _case("deep", f"{levels} open objects", HOOK, b'{"a":' * levels)
