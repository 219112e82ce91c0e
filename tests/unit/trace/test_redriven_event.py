"""What a trace says of what was parked, and of an event that was redriven since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from msgspec.structs import replace

from andon.cli.commands.trace import _was_parked
from andon.core.delivery import ended_id
from andon.core.event import Home, Position
from andon.core.outcome import Delivered, Evidence, Outcome, OutcomeRecord, Parked, Skipped
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, OUTCOMES
from andon.runtime.trace import Tracer
from andon.testing.builders import delivery, event

EVENT = event(id="E1", origin=(Position(EVENTS, 0, 7, 1_000), Position(ENRICHED, 0, 3, 1_000)))
PARKED = Parked(Reason.STAGE_FAILED, "ValueError")
TO = delivery(EVENT, receiver="shift")


class Topics:
    """One partition of each topic, with what is put into it."""

    def __init__(self) -> None:
        self.read = 0
        self.of: dict[str, list[Record]] = {EVENTS: [], ENRICHED: [], DELIVERIES: [], OUTCOMES: []}

    def put(self, topic: str, value: object) -> Position:
        place = Position(topic, 0, len(self.of[topic]), 1_000)
        self.of[topic].append(Record(topic, 0, place.offset, place.at, b"", encode(value)))
        return place

    def partitions(self) -> dict[str, int]:
        return dict.fromkeys(self.of, 1)

    def at_time(self, homes: list[Home], _at: float) -> dict[Home, int]:
        return dict.fromkeys(homes, 0)

    def ends(self, homes: list[Home]) -> dict[Home, int]:
        return {home: len(self.of[home.topic]) for home in homes}

    def first_from(self, home: Home, start: int, _end: int) -> Record:
        return self.of[home.topic][start]

    def stretch(self, starts: Mapping[Home, int], _ends: Any, **_: Any) -> Iterator[Record]:
        for home in starts:
            yield from self.of[home.topic]


def ended(outcome: Outcome, place: Position | None = None) -> OutcomeRecord:
    """The end of the event, or of the delivery that stands there."""
    which, at = TO.id if place else None, datetime.fromtimestamp(1, UTC)
    one = OutcomeRecord(which or ended_id(EVENT), EVENT.id, EVENT.source, EVENT.subject, outcome, at, which)
    return replace(one, origin=(place,)) if place else one


def test_its_own_outcome_is_the_last_one() -> None:
    topics = Topics()
    topics.put(OUTCOMES, ended(PARKED))
    topics.put(OUTCOMES, ended(Skipped(Reason.NO_ROUTE)))
    sent, own = Tracer(cast("Scan", topics)).sent(EVENT, (), {})
    assert not sent
    assert own is not None
    assert own.outcome == Skipped(Reason.NO_ROUTE)


def test_one_that_was_parked_again_is_parked() -> None:
    topics = Topics()
    topics.put(OUTCOMES, ended(PARKED))
    topics.put(OUTCOMES, ended(Parked(Reason.TOO_LARGE)))
    _, own = Tracer(cast("Scan", topics)).sent(EVENT, (), {})
    assert own is not None
    assert own.outcome == Parked(Reason.TOO_LARGE)


def test_one_that_led_to_a_delivery_has_no_outcome_of_its_own() -> None:
    topics = Topics()
    topics.put(OUTCOMES, ended(PARKED))
    place = topics.put(DELIVERIES, TO)
    topics.put(OUTCOMES, ended(Delivered(Evidence.VENDOR_ACCEPTED), place))
    nothing: dict[UUID, str] = {}
    for expected in (nothing, {TO.id: "robot"}):
        sent, own = Tracer(cast("Scan", topics)).sent(EVENT, (), expected)
        assert own is None
        assert [[type(one.outcome) for one in each.outcomes] for each in sent] == [[Delivered]]


def test_a_command_of_its_ticket_that_was_parked_is_looked_for() -> None:
    plain: dict[str, Any] = {"deliveries": [{"state": "delivered", "before": []}], "ticket": None, "outcome": None}
    assert not _was_parked(plain)
    failed = {"state": "ticket_failed", "this": True}
    assert _was_parked(plain | {"ticket": {"changes": [{"state": "raised", "this": True}, failed]}})
    assert not _was_parked(plain | {"ticket": {"changes": [failed | {"this": False}]}})
    assert _was_parked(plain | {"outcome": {"outcome": "parked"}})
    assert _was_parked(plain | {"deliveries": [{"state": "delivered", "before": ["parked"]}]})
