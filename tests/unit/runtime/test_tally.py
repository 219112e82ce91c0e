"""Counting from the topics, over records that come in any order, twice, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from msgspec.structs import replace

from andon.core.delivery import Delivery, ended_id
from andon.core.event import Event, Position
from andon.core.outcome import Delivered, Evidence, Outcome, OutcomeRecord, Parked, Skipped
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES, TICKETS
from andon.runtime.tally import Count
from andon.testing.builders import delivery, event

AT = 1_700_000_000_000


def record(topic: str, value: object) -> Record:
    return Record(topic, 0, 0, AT, b"k", value if isinstance(value, bytes) else encode(value))


def ended(of: Event, outcome: Outcome, to: Delivery | None = None, after_ms: int = 40) -> OutcomeRecord:
    at = datetime.fromtimestamp((AT + after_ms) / 1000, UTC)
    name: UUID = to.id if to else ended_id(of)
    one = OutcomeRecord(name, of.id, of.source, of.subject, outcome, at, delivery=to.id if to else None)
    return replace(one, origin=(Position(EVENTS, 0, 0, AT),))


def test_conservation_over_all_kinds_of_ends() -> None:
    count = Count()
    events = [event(id=f"e-{n}") for n in range(6)]
    for one in [*events, events[0]]:
        count.take(record(EVENTS, one))
    to = [delivery(one) for one in events[:4]]
    for made in [*to, to[0]]:
        count.take(record(DELIVERIES, made))
    done = Delivered(Evidence.VENDOR_ACCEPTED)
    for end in (
        ended(events[0], done, to[0]),
        ended(events[0], done, to[0]),
        ended(events[1], Parked(Reason.REJECTED), to[1]),
        ended(events[2], done, to[2], after_ms=90),
        ended(events[4], Skipped(Reason.NO_ROUTE)),
    ):
        count.take(record(OUTCOMES, end))
    count.take(record(OUTCOMES, b"no JSON"))
    count.take(record(TICKETS, {"id": str(uuid4()), "state": "ticket_opened"}))
    found = count.snapshot()
    assert (found.accepted, found.deliveries) == (6, 4)
    assert (found.delivered, found.parked, found.skipped, found.merged) == (2, 1, 1, 0)
    assert found.deliveries == found.delivered + found.parked + found.waiting
    assert found.waiting == 1
    assert found.lost == 1, "e-5 has neither a delivery nor an end"
    assert (found.latency_ms_p50, found.latency_ms_p99) == (90.0, 90.0)
    assert (found.tickets_opened, found.tickets_closed) == (1, 0)


def test_what_was_redriven_counts_by_its_later_end() -> None:
    count = Count()
    one = event(id="e")
    to = delivery(one)
    count.take(record(OUTCOMES, ended(one, Parked(Reason.REJECTED), to)))
    count.take(record(OUTCOMES, ended(one, Delivered(Evidence.VENDOR_ACCEPTED), to)))
    found = count.snapshot()
    assert (found.delivered, found.parked) == (1, 0)
