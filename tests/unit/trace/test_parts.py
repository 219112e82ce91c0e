"""A delivery to more people than one record has room for: each of its parts is on the path of its event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from msgspec.structs import replace

from andon.core.delivery import Delivery, delivery_id
from andon.core.event import Home, Position
from andon.core.outcome import Delivered, Evidence, OutcomeRecord
from andon.kafka.scan import Scan
from andon.kafka.topics import DELIVERIES, OUTCOMES
from andon.runtime.trace import Tracer
from andon.store.lookup import Kept
from tests.unit.trace.test_redriven_event import EVENT, TO, Topics

PARTS = (TO, *(replace(TO, id=delivery_id(EVENT, f"shift#{number}")) for number in (2, 3)))


class Store:
    """What the desk has of deliveries that were put there."""

    def __init__(self) -> None:
        self.of: dict[UUID, Kept] = {}

    def put(self, one: Delivery, place: Position, queue: str) -> None:
        home = Home(place.topic, place.partition)
        self.of[one.id] = Kept(one.id, home, place.offset, queue, 0.0, 0, 0, None, None, ())

    def items(self, ids: Iterable[UUID]) -> dict[UUID, Kept]:
        return {one: self.of[one] for one in ids if one in self.of}


def test_without_the_store_each_part_is_found_whether_it_has_ended_or_not() -> None:
    topics = Topics()
    places = [topics.put(DELIVERIES, one) for one in PARTS]
    at, told = datetime.fromtimestamp(1, UTC), Delivered(Evidence.VENDOR_ACCEPTED)
    for one, place in list(zip(PARTS, places, strict=True))[:2]:
        ended = OutcomeRecord(one.id, EVENT.id, EVENT.source, EVENT.subject, told, at, one.id)
        topics.put(OUTCOMES, replace(ended, origin=(place,)))
    sent, _ = Tracer(cast("Scan", topics)).sent(EVENT, (), {one.id: "robot" for one in PARTS})
    assert [(one.delivery.id, len(one.outcomes)) for one in sent] == [
        (part.id, ended) for part, ended in zip(PARTS, (1, 1, 0), strict=True)
    ]


def test_each_part_is_found_after_the_first_was_handed_on() -> None:
    topics, store = Topics(), Store()
    for one, queue in zip(PARTS, ("mail", "shift", "shift"), strict=True):
        store.put(one, topics.put(DELIVERIES, one), queue)
    tracer = Tracer(cast("Scan", topics), egress=cast("Any", store))
    sent, _ = tracer.sent(EVENT, ("shift", "mail"), {})
    assert {one.delivery.id for one in sent} == {one.id for one in PARTS}
