"""One request and its one right answer, and how requests are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any

import msgspec

NOW = 1_900_000_000
"""The time by the door's clock, which stands still."""
BODY = 1 << 16
"""The greatest body this door takes, in bytes."""
HTTP = "http"
"""The reason of what the HTTP server refuses before the door sees a request: no problem document, and the connection
ends."""
GONE = 0
"""The status where nobody is left to be answered."""


class How(Enum):
    """On which connection a request is sent, and what is awaited."""

    NEXT = auto()
    """On one that stays open, after the case before it."""
    ALONE = auto()
    """On its own, to its end: one answer may come, and then the other side closes it."""
    HALF = auto()
    """On its own. What is missing of the request never comes: the answer must come all the same."""
    LEAVES = auto()
    """On its own, which is closed by the sender, in the middle of the request."""


EVENTS, BATCH, ALERTS, HOOK, MUTES = "/v1/events", "/v1/events:batch", "/api/v2/alerts", "/v1/alertmanager", "/v1/mutes"
POSTED = {EVENTS: "alpha", BATCH: "alpha", ALERTS: "scrape", HOOK: "scrape", MUTES: "alpha"}
"""Where JSON is posted, and a token that may."""


class Case(msgspec.Struct, frozen=True):
    """What is sent, and what must come back: the status, the reason of the problem (none: it is taken), and the field
    at fault where `field` says so.

    `kept` are bytes of the records that the log has afterwards and had not before, in order, one for each; a request
    that is refused has none. `after` is the number of seconds it is told to wait.
    """

    group: str
    name: str
    request: bytes
    status: int
    reason: str = ""
    field: str | None = None
    kept: tuple[bytes, ...] = ()
    how: How = How.NEXT
    after: int | None = None


def request(
    path: str, body: bytes = b"", /, *, method: str = "POST", token: str | None = None, **headers: str | None
) -> bytes:
    """A request with the token of its path, or another, or none (""); a header that is None is left out."""
    shown = POSTED.get(path, "") if token is None else token
    names: dict[str, str | None] = {"host": "door", "content-length": str(len(body))}
    if shown:
        names["authorization"] = f"Bearer {shown}"
    if path in POSTED:
        names["content-type"] = "application/json"
    names |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in names.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def text(value: object) -> bytes:
    """JSON as most programs write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def event(**more: Any) -> dict[str, Any]:
    """A good event as it is posted."""
    return {"type": "mes.fault.raised", "subject": "line-3/M-07", "data": {"code": "E-217"}, **more}


def alert(**more: Any) -> dict[str, Any]:
    """A good alert as it is posted."""
    return {"labels": {"alertname": "Down", "instance": "m7:9100"}, "startsAt": "2026-03-01T08:30:00Z", **more}


def cloud(**more: Any) -> dict[str, Any]:
    """A good CloudEvent as it is posted."""
    return {"specversion": "1.0", "id": "c-1", "source": "/mes", "type": "t", **more}


MUTE: Mapping[str, Any] = {"matchers": ['line="L3"'], "for": "2h", "why": "换模"}


def wrapped(path: str, one: object) -> object:
    """A good body of this path with one event or alert in it."""
    return {EVENTS: one, BATCH: [one], ALERTS: [one], HOOK: {"alerts": [one]}, MUTES: one}[path]


def good(path: str) -> Any:
    """What this path takes one of."""
    return {EVENTS: event(), BATCH: event(), ALERTS: alert(), HOOK: alert(), MUTES: dict(MUTE)}[path]


def places(raw: bytes, count: int) -> Sequence[int]:
    """Some places in a text, spread evenly over all of it, its beginning among them."""
    return sorted({len(raw) * number // count for number in range(count)})
