"""What happened, as a machine, a business system or a person reported it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

STATE = "state"
SEVERITY = "severity"
RAISE = "raise"
CLEAR = "clear"
TELLER = "andon"
"""The `source` of what Andon itself tells. Nobody else may say it, for rules go by it."""
ALERT = "prometheus.alert"
"""The type of Prometheus' alerts."""
QUOTA = "andon.quota"
"""The type of what is told of a quota that runs out."""
TOLD_AGAIN = frozenset({ALERT, QUOTA})
"""Types whose senders tell an event again until it is over, or after a restart, each time with other `data`: what was
measured now, until when it holds unless it is told again. The id of one is made of all that makes it another."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time of a record. One without a zone is not read: no other time could be compared with it."""


class Home(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A topic partition: the unit that one process owns at a time."""

    topic: str
    partition: int


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a record stands in Kafka. `at` is the broker's append time in milliseconds since 1970, 0 when unknown."""

    topic: str
    partition: int
    offset: int
    at: int = 0


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened; its attributes carry the names of CloudEvents 1.0.

    `time` always has a zone. `labels` are what routing matches on; `state` (raise | clear) and `severity` are
    reserved among them. `facts` holds what enrichment added, one key per connector. `origin` lists the record
    positions the event has passed, the first being its place in `andon.events`, so `origin[0].at` is the time
    of acceptance.
    """

    id: str
    source: str
    type: str
    subject: str
    time: Moment
    data: dict[str, Any]
    labels: dict[str, str] = {}
    facts: dict[str, Any] = {}
    traceparent: str | None = None
    origin: tuple[Position, ...] = ()


def at_position(event: Event, position: Position) -> Event:
    """The event with one more position on its way."""
    return msgspec.structs.replace(event, origin=(*event.origin, position))


def accepted_at(event: Event) -> float:
    """Seconds since 1970 at which the log took the event; its own time when it has not been in the log."""
    return event.origin[0].at / 1000 if event.origin else event.time.timestamp()
