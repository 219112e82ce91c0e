"""A ticket that failed is opened, and closed, when its event is taken out of the dead-letter topic."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from andon.config.routing import EpisodeRule
from andon.core.outcome import Parked
from andon.core.ports import Ticket
from andon.core.reason import Reason
from andon.core.work import Item, Note
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DLQ, ENRICHED
from andon.runtime.dlq import REDRIVE, redrive_of
from andon.runtime.metrics import Metrics
from andon.testing.builders import event
from andon.testing.clock import ManualClock
from andon.ticketing.desk import Systems, TicketWork, compiled

RAISE = event(labels={"state": "raise", "severity": "critical", "code": "E-104"})
CLEAR = event(id="e-2", time=RAISE.time + timedelta(minutes=3), labels={"state": "clear", "code": "E-104"})


class Tracker:
    """A tracker that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def find(self, _key: str) -> Ticket | None:
        return Ticket("7", "open")

    async def open(self, key: str, title: str, _text: str, _severity: str) -> Ticket:
        self.told.append(f"open {key} {title}")
        return Ticket("7", "open", "http://tracker/7")

    async def move(self, ticket: str, state: str, _text: str) -> Ticket:
        self.told.append(f"{state} {ticket}")
        return Ticket("7", "closed", closed=True)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker()


@pytest.fixture
def work(tracker: Tracker) -> TicketWork:
    rule = EpisodeRule(matchers=('type=~"mes.*"',), key=("subject", "code"), ticket_system="tracker")
    systems = Systems(compiled({"fault": rule}), {"tracker": tracker}, {"tracker": "tracker"})  # type: ignore[dict-item]
    return TicketWork(systems, Metrics(), ManualClock())


def taken(work: TicketWork, one: Any, offset: int, redrive: int = 0) -> Item | None:
    headers = ((REDRIVE, str(redrive).encode()),) if redrive else ()
    return work.read(Record(ENRICHED, 0, offset, 0, one.subject.encode(), encode(one), headers)).take({}).item


def failed(work: TicketWork, item: Item | None) -> Note:
    """Parks the item; what lies in the dead-letter topic then."""
    assert item is not None
    told = work.closed(item, Parked(Reason.REJECTED, "the tracker refuses"), (), 100.0)
    return next(note for note in told.notes if note.topic == DLQ)


def test_the_ticket_of_a_fault_that_lasts_is_opened(work: TicketWork, tracker: Tracker) -> None:
    lying = failed(work, taken(work, RAISE, 0))
    item = taken(work, msgspec.json.decode(lying.value or b"", type=type(RAISE)), 1, redrive=1)
    assert item is not None
    asyncio.run(work.call(item, 0, 15.0))
    assert tracker.told == ["open line-3/M-07/E-104#1 mes.fault.raised"]


def test_the_ticket_of_a_fault_that_ended_is_opened_and_closed(work: TicketWork, tracker: Tracker) -> None:
    failed(work, taken(work, RAISE, 0))
    failed(work, taken(work, CLEAR, 1))
    item = taken(work, RAISE, 2, redrive=1)
    assert item is not None
    asyncio.run(work.call(item, 0, 15.0))
    assert tracker.told == ["open line-3/M-07/E-104#1 mes.fault.raised", "closed 7"]


def test_a_ticket_that_did_not_fail_is_left_alone(work: TicketWork) -> None:
    first = taken(work, RAISE, 0)
    assert first is not None
    assert taken(work, RAISE, 1, redrive=1) is None
    asyncio.run(work.call(first, 0, 15.0))
    assert taken(work, RAISE, 2, redrive=1) is None


def test_a_repeat_without_a_redrive_changes_nothing(work: TicketWork) -> None:
    failed(work, taken(work, RAISE, 0))
    assert taken(work, RAISE, 1) is None


def test_the_parked_copy_carries_the_number_of_its_redrive(work: TicketWork) -> None:
    failed(work, taken(work, RAISE, 0))
    item = taken(work, RAISE, 1, redrive=1)
    assert item is not None
    item.redrive = 1  # as the intake does
    lying = failed(work, item)
    assert redrive_of(Record(DLQ, 0, 0, 0, lying.key, lying.value or b"", lying.headers)) == 1
