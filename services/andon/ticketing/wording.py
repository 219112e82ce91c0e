"""What a ticket says: its title and its texts, from an event. Pure; the first comment holds the whole event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from andon.core.event import SEVERITY, Event

_TITLE = 200


def title_of(event: Event) -> str:
    """The event's own words (`data.message`), else its type, in one line; over 200 characters it ends in "…"."""
    line = " ".join(_said(event).split())
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…"


def _said(event: Event) -> str:
    said = event.data.get("message")
    return said if isinstance(said, str) and said.strip() else event.type


def raised_text(event: Event) -> str:
    """The first comment of a ticket: what was reported, and what was known about it."""
    lines = [
        _said(event),
        "",
        f"对象: {event.subject}",
        f"时间: {event.time.isoformat(sep=' ', timespec='seconds')}",
        f"级别: {event.labels.get(SEVERITY, '-')}",
        f"来源: {event.source} ({event.type}, {event.id})",
        *_listed("数据", event.data),
    ]
    for connector, known in sorted(event.facts.items()):
        lines += _listed(connector, known if isinstance(known, Mapping) else {connector: known})
    return "\n".join(lines)


def repeated_text(event: Event, count: int) -> str:
    """The comment on a fault that was reported again."""
    return f"第 {count} 次报警: {event.time.isoformat(sep=' ', timespec='seconds')} {title_of(event)} ({event.id})"


def cleared_text(event: Event, when: datetime, raises: int) -> str:
    """The comment with which a ticket is closed; `when` is the moment the fault ended."""
    local = when.astimezone(event.time.tzinfo).isoformat(sep=" ", timespec="seconds")
    return f"故障已消除: {local}, 共报警 {raises} 次 ({event.id})"


def _listed(heading: str, values: Mapping[str, Any]) -> list[str]:
    rows = [f"- {name}: {_shown(value)}" for name, value in sorted(values.items()) if name != "message"]
    return ["", f"{heading}:", *rows] if rows else []


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
