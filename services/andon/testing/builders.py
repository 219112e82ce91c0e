"""Values with every field filled in; a test names only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from andon.core.delivery import Delivery, delivery_id
from andon.core.event import Event
from andon.core.ports import Call, Clock, Content, Context, Wire
from andon.testing.clock import ManualClock

EVENT = Event(
    id="e-1",
    source="mes",
    type="mes.fault.raised",
    subject="line-3/M-07",
    time=datetime(2026, 11, 22, 6, 3, 5, tzinfo=UTC),
    data={"code": "E-104", "temperature": 91.5},
    labels={"state": "raise", "severity": "critical", "line": "L3"},
    facts={"machine": {"name": "冲压机 7", "leader": "王晴"}},
)


def event(**changes: Any) -> Event:
    """A machine fault on line 3, with `changes` to its fields."""
    return replace(EVENT, **changes)


def delivery(of: Event = EVENT, **changes: Any) -> Delivery:
    """The delivery of an event to the receiver "l3-group", with `changes` to its fields."""
    receiver = changes.get("receiver", "l3-group")
    whole = Delivery(
        id=delivery_id(of, receiver),
        event=of,
        receiver=receiver,
        domain="wecom_robot:env:L3_ROBOT_1",
        recipients=(receiver,),
        route="0",
        config_version=1,
    )
    return replace(whole, **changes)


def call(text: str = "冲压机 7 停机", kind: str = "text", **changes: Any) -> Call:
    """A call with one part of that text to one recipient, with `changes` to its fields."""
    whole = Call(
        delivery=UUID("0189d2c4-7f3e-7a52-8b16-3f1f2f3a4b5c"),
        receiver="l3-group",
        recipients=("l3-group",),
        content=Content(kind, text),
    )
    return replace(whole, **changes)


def context(wire: Wire, *, name: str = "l3-robot", directory: Path = Path(), clock: Clock | None = None) -> Context:
    """What a plug-in is built with."""
    return Context(name, directory, clock or ManualClock(), wire)
