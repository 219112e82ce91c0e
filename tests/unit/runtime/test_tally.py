"""Counting from the topics, over records that come in any order, twice, or not at all."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec.structs import replace

from andon.core.delivery import Delivery, ended_id
from andon.core.event import Event, Position
from andon.core.outcome import Delivered, Evidence, Merged, Outcome, OutcomeRecord, Parked, Skipped
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


def test_a_delivery_counts_once_however_often_it_was_redriven() -> None:
    count = Count()
    one = event(id="e")
    to = delivery(one)
    count.take(record(DELIVERIES, to))
    again = replace(ended(one, Delivered(Evidence.VENDOR_ACCEPTED), to), id=uuid4())
    for end in (ended(one, Parked(Reason.REJECTED), to), again, again):
        count.take(record(OUTCOMES, end))
    found = count.snapshot()
    assert (found.deliveries, found.delivered, found.parked, found.waiting) == (1, 1, 0, 0)


def anything(seed: int, events: int = 60) -> list[Record]:
    """Records of all four topics as several readers side by side may see them: some twice, some before what led to
    them, some that never come, and ends that change."""
    dice = random.Random(seed)
    found: list[Record] = []
    for number in range(events):
        one = event(id=f"e-{number}")
        to = [delivery(one, receiver=f"r-{n}") for n in range(dice.randrange(4))]
        found += [record(EVENTS, one)] * dice.choice((1, 1, 2))
        found += [record(DELIVERIES, made) for made in to for _ in range(dice.choice((1, 1, 2)))]
        ends: list[Outcome] = [
            Delivered(Evidence.VENDOR_ACCEPTED),
            Merged(uuid4(), Reason.GROUPED),
            Parked(Reason.REJECTED),
        ]
        for made in to:
            found += [record(OUTCOMES, ended(one, dice.choice(ends), made)) for _ in range(dice.choice((0, 1, 1, 2)))]
        if not to and dice.random() < 0.8:
            found.append(record(OUTCOMES, ended(one, Skipped(Reason.NO_ROUTE))))
        state = dice.choice(("raised", "ticket_opened", "ticket_closed"))
        found += [record(TICKETS, {"id": str(uuid4()), "state": state})] * dice.choice((1, 2))
    dice.shuffle(found)
    return found


def by_sets(records: Sequence[Record]) -> dict[str, int]:
    """The same figures from whole sets, made anew."""
    bodies = [(one.topic, msgspec.json.decode(one.value)) for one in records]
    accepted = {(one["source"], one["id"]) for topic, one in bodies if topic == EVENTS}
    told = {(one["event"]["source"], one["event"]["id"]) for topic, one in bodies if topic == DELIVERIES}
    told |= {(one["source"], one["event"]) for topic, one in bodies if topic == OUTCOMES}
    deliveries = {one["id"] for topic, one in bodies if topic == DELIVERIES}
    finished = {one.get("delivery") for topic, one in bodies if topic == OUTCOMES}
    ends = list({one["id"]: one["outcome"]["outcome"] for topic, one in bodies if topic == OUTCOMES}.values())
    tickets = list({one["id"]: one["state"] for topic, one in bodies if topic == TICKETS}.values())
    return {
        "accepted": len(accepted),
        "deliveries": len(deliveries),
        **{word: ends.count(word) for word in ("delivered", "merged", "skipped", "parked")},
        "waiting": len(deliveries - finished),
        "lost": len(accepted - told),
        "tickets_opened": tickets.count("ticket_opened"),
        "tickets_closed": tickets.count("ticket_closed"),
    }


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_counting_on_is_counting_anew_whatever_the_order(seed: int, whole: bool) -> None:
    count, so_far = Count(whole=whole), []
    for one in anything(seed):
        count.take(one)
        so_far.append(one)
        if len(so_far) % 50 == 0:
            wanted = by_sets(so_far)
            assert {name: getattr(count.snapshot(), name) for name in wanted} == wanted
    assert count.accepted_ids() == {f"e-{n}" for n in range(60)}


def passed(count: Count, number: int) -> None:
    """An event, its delivery and its ticket, all ended."""
    one = event(id=f"e-{number}")
    to = delivery(one)
    count.take(record(EVENTS, one))
    count.take(record(DELIVERIES, to))
    count.take(record(OUTCOMES, ended(one, Delivered(Evidence.VENDOR_ACCEPTED), to)))
    for state in ("ticket_opened", "ticket_closed"):
        count.take(record(TICKETS, {"id": str(uuid4()), "state": state}))


def test_what_has_ended_is_forgotten_and_stays_counted() -> None:
    count = Count(whole=False, remembered=100, undone=100)
    for number in range(300):
        passed(count, number)
    tracemalloc.start()
    try:
        for number in range(300, 3_300):
            passed(count, number)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 300_000, "3,000 events, each with a delivery and a ticket, would be more than 2 MB"
    found = count.snapshot()
    assert (found.accepted, found.deliveries, found.delivered) == (3_300, 3_300, 3_300)
    assert (found.waiting, found.lost, found.tickets_opened, found.tickets_closed) == (0, 0, 3_300, 3_300)


def test_what_never_ends_is_forgotten_from_its_oldest_on() -> None:
    count = Count(whole=False, remembered=10, undone=10)
    for number in range(30):
        count.take(record(DELIVERIES, delivery(event(id=f"e-{number}"))))
    assert (count.snapshot().deliveries, count.snapshot().waiting) == (30, 10)


def test_a_redrive_soon_after_changes_how_it_ended_and_one_long_after_counts_once_more() -> None:
    count = Count(whole=False, remembered=10, undone=10)
    one = event(id="parked")
    to = delivery(one)
    for made in (
        record(EVENTS, one),
        record(DELIVERIES, to),
        record(OUTCOMES, ended(one, Parked(Reason.REJECTED), to)),
    ):
        count.take(made)
    count.take(record(DELIVERIES, to))
    count.take(record(OUTCOMES, ended(one, Delivered(Evidence.VENDOR_ACCEPTED), to)))
    assert (count.snapshot().delivered, count.snapshot().parked, count.snapshot().waiting) == (1, 0, 0)
    for number in range(30):
        passed(count, number)
    count.take(record(DELIVERIES, to))
    count.take(record(OUTCOMES, ended(one, Delivered(Evidence.VENDOR_ACCEPTED), to)))
    assert (count.snapshot().delivered, count.snapshot().waiting) == (32, 0)


def test_a_look_costs_no_more_after_many_events() -> None:
    count = Count()

    def look(upto: int) -> float:
        for number in range(count.snapshot().skipped, upto):
            one = event(id=f"e-{number}")
            count.take(record(EVENTS, one))
            count.take(record(OUTCOMES, ended(one, Skipped(Reason.NO_ROUTE))))
        times = []
        for _ in range(50):
            began = time.thread_time()
            count.snapshot()
            times.append(time.thread_time() - began)
        return min(times)

    few, many = look(100), look(10_000)
    assert many < 10 * few + 1e-4
