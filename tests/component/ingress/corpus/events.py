"""JSON that is well formed, and no event, alert or mute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.component.ingress.corpus.case import (
    ALERTS,
    BATCH,
    EVENTS,
    HOOK,
    MUTE,
    MUTES,
    Case,
    alert,
    cloud,
    event,
    request,
    text,
)
from tests.component.ingress.corpus.documents import STRUCTURED

_NO_TEXT: tuple[Any, ...] = (None, 1, 1.5, True, [], ["x"], {}, {"a": "b"})
_NO_OBJECT: tuple[Any, ...] = (None, 1, True, "x", [], ["x"])
_CONTROLS = ("\x00", "\x07", "\r", "\n", "\t", "\x1b[31m", "\x7f", "\x85", "a\r\nSet-Cookie: x", "a\x00b")
_NO_TIMES = (
    *("", "now", "yesterday", "2026", "2026-03", "2026-03-01", "08:30:00", "2026-03-01T08:30:00", "1772353800"),
    *("2026-13-01T08:30:00Z", "2026-02-30T08:30:00Z", "2026-03-01T24:00:01Z", "2026-03-01T08:60:00Z"),
    *("2026-03-01T08:30:00+25:00", "2026-03-01T08:30:00 CST", "20260301T083000Z", "0000-01-01T00:00:00Z"),
    *(
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-03-01T08:30:00Z\n",
        "٢٠٢٦-٠٣-٠١T08:30:00Z",
    ),
)
_STRANGE = (
    "facts",
    "origin",
    "traceparent",
    "ID",
    "Type",
    "type ",
    "__proto__",
    "constructor",
    "$ref",
    "",
    "data.code",
    "specversion",
)


def cases() -> Iterator[Case]:
    for number, (wrong, field) in enumerate(_events()):
        name = f"{number} {field}"
        yield _case(f"{EVENTS} {name}", EVENTS, wrong, field)
        yield _case(f"{BATCH} {name}", BATCH, [wrong], field)
    for number, (wrong, field) in enumerate(_clouds()):
        sent = request(EVENTS, text(wrong), content_type=STRUCTURED)
        yield Case("invalid", f"a CloudEvent {number} {field}", sent, 400, "invalid", field)
    for number, (wrong, field) in enumerate(_alerts()):
        for path in (ALERTS, HOOK):
            body = [wrong] if path == ALERTS else {"alerts": [wrong]}
            yield _case(f"{path} {number} {field}", path, body, f"[0].{field}".removesuffix("."))
    for number, (wrong, field) in enumerate(_mutes()):
        yield _case(f"{MUTES} {number} {field}", MUTES, {**MUTE, **wrong}, field)
    for left in ("matchers", "why", "for"):
        yield _case(f"{MUTES} without {left}", MUTES, {name: v for name, v in MUTE.items() if name != left}, left)
    for path in (EVENTS, BATCH, HOOK, MUTES):
        for body in ("x", 1, None, True, *({BATCH: ({},), HOOK: ()}.get(path, ([],)))):
            yield _case(f"{path} {body!r}", path, body, None)
    for key in ("", "a\tb", "x" * 513, "caf\xe9", "\xe5\x8f\xb7"):
        sent = request(EVENTS, text(event()), idempotency_key=key)
        yield Case("invalid", f"Idempotency-Key {key!r:.20}", sent, 400, "invalid", "Idempotency-Key")
    yield Case(
        "invalid",
        "a key for many",
        request(BATCH, text([event()]), idempotency_key="k"),
        400,
        "invalid",
        "Idempotency-Key",
    )


def _case(name: str, path: str, body: object, field: str | None) -> Case:
    return Case("invalid", name, request(path, text(body)), 400, "invalid", field)


def _events() -> Iterator[tuple[object, str | None]]:
    """Each with the field that is wrong in it."""
    yield {}, "type"
    yield {"id": "x", "subject": "y"}, "type"
    for field in ("id", "source", "type", "subject", "time"):
        for value in _NO_TEXT:
            yield event(**{field: value}), field
    for field in ("data", "labels"):
        for value in _NO_OBJECT:
            yield event(**{field: value}), field
    for value in _NO_TEXT:
        yield event(labels={"good": "x", "line": value}), "labels.line"
    for field in ("id", "source", "type", "subject"):
        for wrong in ("", *_CONTROLS, "x" * 513, "号" * 171, "\U0001f6a8" * 129):
            yield event(**{field: wrong}), field
    for moment in _NO_TIMES:
        yield event(time=moment), "time"
    for field in _STRANGE:
        yield event(**{field: "x"}), field or None


def _clouds() -> Iterator[tuple[object, str | None]]:
    value: object
    number: object
    for field in ("specversion", "id", "source", "type"):
        yield {name: value for name, value in cloud().items() if name != field}, field
        for value in ("", 1, True, None, [], {}):
            yield cloud(**{field: value}), field
        for wrong in ("\x00", "\r\n", "\x7f", "\ufffe"):
            yield cloud(**{field: wrong}), field
    for wrong in ("0.3", "1", "1.0.2", "2.0", " 1.0"):
        yield cloud(specversion=wrong), "specversion"
    for wrong in ("a b", "<x>", "{x}", "%zz", "a\\b", "号"):
        yield cloud(source=wrong), "source"
    for moment in ("now", "2026-03-01", "2026-03-01T08:30:00", "2026-02-30T00:00:00Z"):
        yield cloud(time=moment), "time"
    for name in ("Upper", "with-dash", "with_line", "a.b", "号", " "):
        yield cloud(**{name: "x"}), name
    for number in (1 << 31, -(1 << 31) - 1, 1.5, [], {}):
        yield cloud(extension=number), "extension"


def _alerts() -> Iterator[tuple[object, str]]:
    no_alert: object
    moment: object
    for no_alert in (None, 1, "x", True, []):
        yield no_alert, ""
    yield {}, "labels"
    yield {"annotations": {}}, "labels"
    for value in _NO_OBJECT:
        yield alert(labels=value), "labels"
    for value in _NO_TEXT:
        yield alert(annotations={"summary": value}), "annotations[...]"
        if value is not None:
            yield alert(generatorURL=value), "generatorURL"
    for moment in ("", "now", "2026-03-01", "2026-03-01T08:30:00", "9999-01-01T00:00:00Z", 1, [], True):
        yield alert(startsAt=moment), "startsAt"
        yield alert(endsAt=moment), "endsAt"
    for instance in (*_CONTROLS, "x" * 513):
        yield alert(labels={"alertname": "Down", "instance": instance}), "subject"
    yield alert(labels={"alertname": ""}), "labels"
    yield alert(labels={}), "labels"


def _mutes() -> Iterator[tuple[dict[str, Any], str]]:
    value: object
    for value in (None, 1, "x", True, {}):
        yield {"matchers": value}, "matchers"
    for value in (None, 1, True, [], {}):
        yield {"why": value}, "why"
        yield {"for": value}, "for"
    for value in ("", "2", "h", "2 h", "-2h", "2y", "1e3h", "NaN"):
        yield {"for": value}, "for"
    yield {"until": "2030-01-01T00:00:00Z"}, "for"
    yield {"until": "tomorrow", "for": "2h"}, "until"
    yield {"from": "2026-03-01"}, "from"
    yield {"then": "shout"}, "then"
    yield {"colour": 1}, "colour"
