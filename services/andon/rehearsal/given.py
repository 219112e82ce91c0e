"""The events of a test, each with the moment at which it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from andon.core.event import Event, Position
from andon.kafka.topics import EVENTS
from andon.rehearsal.moments import moment
from andon.rehearsal.written import Case, Given, Pattern

_NUMBER = "{n}"
_SOURCE = _SUBJECT = "test"


def names(case: Case) -> dict[str, tuple[str, ...]]:
    """The ids of the events by the names that expectations may use: of each entry, and of each of its repetitions."""
    found: dict[str, tuple[str, ...]] = {}
    for number, given in enumerate(case.given):
        ids = ids_of(given, number)
        found[_name(given, number)] = ids
        found.update((each, (each,)) for each in ids)
    return found


def ids_of(given: Given, number: int) -> tuple[str, ...]:
    """The ids of the events of one entry, which stands in this place of the list."""
    name = _name(given, number)
    return (name,) if given.times == 1 else tuple(f"{name}-{n}" for n in range(1, given.times + 1))


def _name(given: Given, number: int) -> str:
    return given.id or f"e{number + 1}"


def events(case: Case, patterns: Mapping[str, Pattern], begins: float, zone: ZoneInfo) -> list[Event]:
    """In the order of their acceptance. `origin` says when that is."""
    planned = [
        (moment(given.at, begins, zone) + n * given.every, given, which, n)
        for number, given in enumerate(case.given)
        for n, which in enumerate(ids_of(given, number))
    ]
    planned.sort(key=lambda one: one[0])
    return [_event(offset, at, given, which, n, patterns) for offset, (at, given, which, n) in enumerate(planned)]


def _event(offset: int, at: float, given: Given, which: str, repetition: int, patterns: Mapping[str, Pattern]) -> Event:
    base = patterns[given.event] if given.event else Pattern()
    n = str(repetition + 1)
    return Event(
        id=which,
        source=_filled(given.source or base.source or _SOURCE, n),
        type=_filled(given.type or base.type or "", n),
        subject=_filled(given.subject or base.subject or _SUBJECT, n),
        time=datetime.fromtimestamp(at, UTC),
        data=_filled({**base.data, **given.data}, n),
        labels=_filled({**base.labels, **given.labels}, n),
        facts=_filled({**base.facts, **given.facts}, n),
        origin=(Position(EVENTS, 0, offset, round(at * 1000)),),
    )


def _filled(value: Any, n: str) -> Any:
    if isinstance(value, str):
        return value.replace(_NUMBER, n) if _NUMBER in value else value
    if isinstance(value, dict):
        return {key: _filled(inner, n) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, n) for inner in value]
    return value
