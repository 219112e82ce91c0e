"""Good requests of every kind, as many as one likes, made with a fixed seed: none of them may be refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.component.ingress.corpus.callbacks import CLICK, called, message
from tests.component.ingress.corpus.callbacks import text as written
from tests.component.ingress.corpus.case import (
    ALERTS,
    BATCH,
    EVENTS,
    HOOK,
    NOW,
    Case,
    alert,
    cloud,
    event,
    request,
    text,
)
from tests.component.ingress.corpus.data import CONTROLS, HARMLESS
from tests.component.ingress.corpus.documents import STRUCTURED
from tests.component.ingress.wecom import ERP, MES

_TIMES = (
    "2026-03-01T08:30:00Z",
    "2026-03-01T08:30:00.123456+08:00",
    "2026-03-01t08:30:00-03:30",
    "2026-02-28T23:59:59+0800",
)
_VALUES: tuple[Any, ...] = (None, True, 0, -1, 1.5, 1e300, 1 << 60, "", [], {}, [[]], {"a": {"b": [1, {"c": None}]}})


def cases(count: int, seed: int = 7) -> Iterator[Case]:
    rng = random.Random(seed)
    kinds = (_event, _batch, _cloud, _binary, _alerts, _hook, _message, _click)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        sent, status, ids = kind(rng, f"g-{number}")
        yield Case(kind.__name__.strip("_"), str(number), sent, status, kept=tuple(one.encode() for one in ids))


_Good = tuple[bytes, int, list[str]]
"""What is sent, the status of the answer, and a mark for each event that has to be in the log then."""


def _fields(rng: random.Random, name: str) -> dict[str, Any]:
    """An event with some of all that there may be."""
    more: dict[str, Any] = {"id": name}
    if rng.random() < 0.5:
        more["subject"] = rng.choice(HARMLESS)
    if rng.random() < 0.5:
        more["time"] = rng.choice(_TIMES)
    if rng.random() < 0.5:
        more["labels"] = {rng.choice(HARMLESS): rng.choice((*HARMLESS, *CONTROLS)) for _ in range(rng.randrange(6))}
    more["data"] = {rng.choice((*HARMLESS, *CONTROLS)): rng.choice(_VALUES) for _ in range(rng.randrange(8))}
    return event(**more)


def _event(rng: random.Random, name: str) -> _Good:
    headers = {
        "content_type": rng.choice(
            ("application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8")
        )
    }
    if rng.random() < 0.2:
        headers["idempotency_key"] = f"key {name}"
    body = rng.choice((b"", b" ", b"\r\n\t")) + text(_fields(rng, name)) + rng.choice((b"", b"\n"))
    return request(EVENTS, body, token=rng.choice(("alpha", "beta")), **headers), 202, [f'"id":"{name}"']


def _batch(rng: random.Random, name: str) -> _Good:
    names = [f"{name}-{n}" for n in range(1)]
    return request(BATCH, text([_fields(rng, one) for one in names])), 200, [f'"id":"{one}"' for one in names]


def _cloud(rng: random.Random, name: str) -> _Good:
    body = cloud(id=name, time="2026-03-01T08:30:00Z", data=rng.choice(_VALUES), extension=rng.choice(("x", 1, True)))
    return request(EVENTS, text(body), content_type=STRUCTURED), 202, [f'"id":"{name}"']


def _binary(rng: random.Random, name: str) -> _Good:
    headers = {"ce_specversion": "1.0", "ce_id": name, "ce_source": "/mes/%25E5%258F%25B7", "ce_type": "t"}
    return request(EVENTS, text(rng.choice(_VALUES)), **headers), 202, [f'"id":"{name}"']


def _alert(rng: random.Random, name: str) -> dict[str, Any]:
    labels = {"alertname": rng.choice(HARMLESS), "instance": name, "severity": rng.choice(("critical", "warning"))}
    said = {"summary": rng.choice((*HARMLESS, *CONTROLS))}
    return alert(labels=labels, annotations=said, startsAt=rng.choice(_TIMES[:2]), generatorURL="http://x/graph?g0=1")


def _alerts(rng: random.Random, name: str) -> _Good:
    return request(ALERTS, text([_alert(rng, name)])), 200, [f'"instance":"{name}"']


def _hook(rng: random.Random, name: str) -> _Good:
    one = _alert(rng, name) | {"status": rng.choice(("firing", "resolved")), "fingerprint": "c0ffee"}
    body = {"version": "4", "status": "firing", "receiver": "andon", "groupLabels": {}, "alerts": [one]}
    return request(HOOK, text(body)), 200, [f'"instance":"{name}"']


def _callback(rng: random.Random, plain: bytes) -> bytes:
    return called(plain, rng.choice((MES, ERP)), timestamp=str(NOW + rng.randint(-600, 600)), random=rng.randbytes(16))


def _message(rng: random.Random, name: str) -> _Good:
    said = rng.choice(HARMLESS).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _callback(rng, written(said, name)), 200, [f'"MsgId":"{name}"']


def _click(rng: random.Random, name: str) -> _Good:
    plain = message(CLICK.format(key=name), user=rng.choice(("zhang", "李", "x" * 64)))
    return _callback(rng, plain), 200, [f'"EventKey":"{name}"']
