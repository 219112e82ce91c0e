"""Events as a person writes them into a file, to try rules and templates on."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from andon.core.event import Event


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """An event as a person writes it: only its type is needed."""

    type: str
    id: str = "render-1"
    source: str = "render"
    subject: str = "render"
    time: datetime | None = None
    data: dict[str, Any] = {}
    labels: dict[str, str] = {}
    facts: dict[str, Any] = {}
    traceparent: str | None = None
    origin: Any = None
    """What `andon trace --json` shows beside: taken, so that its event can be piped in, and not looked at."""


def read_events(name: str) -> list[Event]:
    """The events of a file, of the input if it is called `-`: one as JSON, a list of them, or one on each line (JSON
    Lines). SystemExit, with a sentence, when it is something else."""
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        written = _decoded(raw.removeprefix(BOM_UTF8), name)
    except OSError as error:
        raise SystemExit(f"{name} cannot be read: {error.strerror}") from None
    if not written:
        raise SystemExit(f"{name} holds no event")
    return [_event(one) for one in written]


def _decoded(raw: bytes, name: str) -> list[Written]:
    try:
        whole = msgspec.json.decode(raw, type=Written | list[Written])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = _by_line(raw, name)
        if not found:
            raise SystemExit(f"{name} is not an event in JSON: {error}") from None
        return found
    return whole if isinstance(whole, list) else [whole]


def _by_line(raw: bytes, name: str) -> list[Written]:
    """The events of JSON Lines; none when already the first line is no event."""
    found: list[Written] = []
    for number, one in enumerate(raw.split(b"\n"), 1):
        if not one.strip():
            continue
        try:
            found.append(msgspec.json.decode(one, type=Written))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if found:
                raise SystemExit(f"{name}, line {number}, is not an event in JSON: {error}") from None
            return []
    return found


def _event(written: Written) -> Event:
    from andon.core.event import Event

    time = written.time or datetime.now().astimezone()
    if time.tzinfo is None:
        raise SystemExit("the event's time needs a zone, such as 2026-11-26T08:00:00+08:00")
    return Event(
        written.id,
        written.source,
        written.type,
        written.subject,
        time,
        written.data,
        written.labels,
        written.facts,
        written.traceparent,
    )
