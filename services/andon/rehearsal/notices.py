"""From the calls a vendor took to the notices people were shown, each with the events it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from andon.core.delivery import Delivery
from andon.core.outcome import Merged
from andon.core.reason import Reason
from andon.rehearsal.result import Notice
from andon.rehearsal.vendor import Said


def notices(
    said: Iterable[Said], deliveries: Mapping[UUID, Delivery], merged: Mapping[UUID, Merged], order: Sequence[str]
) -> Iterator[Notice]:
    """In the order of time. `merged` has the outcomes of deliveries that became part of another, `order` all events.

    One call for the people of several receivers is a notice to each.
    """
    place = {event: number for number, event in enumerate(order)}
    spoken: dict[UUID, list[Delivery]] = {}
    for which, delivery in deliveries.items():
        spoken.setdefault(last(merged, which), []).append(delivery)
    for some in _together(said):
        call, delivery = some[0].call, deliveries[some[0].call.delivery]
        names = tuple(dict.fromkeys(name for one in some for name in one.call.recipients))
        others = [one for one in spoken[delivery.id] if _coalesced(merged, one.id)]
        own = sorted((one.event.id for one in spoken[delivery.id] if one not in others), key=place.__getitem__)
        to = tuple(name for name in names if name in delivery.recipients) if others else names
        yield _notice(some, delivery, call.receiver, to, own)
        for one in others:
            reached = tuple(name for name in names if name in one.recipients)
            yield _notice(some, one, one.receiver, reached, (one.event.id,))


def last(merged: Mapping[UUID, Merged], which: UUID) -> UUID:
    """The delivery that one became part of in the end."""
    while which in merged:
        which = merged[which].into
    return which


def _coalesced(merged: Mapping[UUID, Merged], which: UUID) -> bool:
    return which in merged and merged[which].reason is Reason.COALESCED


def _together(said: Iterable[Said]) -> Iterator[list[Said]]:
    """The calls of each notice: its parts, each perhaps for some people first and for the others later."""
    found: dict[tuple[UUID, str], list[Said]] = {}
    for one in said:
        found.setdefault((one.call.delivery, one.call.receiver), []).append(one)
    return iter(found.values())


def _notice(
    said: Sequence[Said], delivery: Delivery, receiver: str, to: tuple[str, ...], events: Sequence[str]
) -> Notice:
    group = delivery.batch.partition(" ")[2] if delivery.batch and not delivery.held else None
    parts = {one.call.part: one.call.content.text for one in said}
    kind = said[0].call.content.kind
    return Notice(said[0].at, receiver, to, tuple(events), delivery.route, group, kind, tuple(parts.values()))
