"""Who is told instead: the fallbacks of a delivery whose receiver was given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

import msgspec

from andon.core.delivery import Delivery, Fallback, Tried
from andon.core.event import Position
from andon.core.outcome import Attempt, Parked
from andon.core.reason import Reason
from andon.core.work import Item

# An id that stands for other content never was this delivery's.
_NEVER = Reason.CONFLICT


def patience(delivery: Delivery) -> float:
    """After how many seconds the receiver is given up for the first fallback that has a time; inf when none has."""
    return next((one.after for one in delivery.fallback if one.recipients and one.after is not None), inf)


def begins(delivery: Delivery, born: float) -> float:
    """When that time begins, unless it is redriven: with the event, or when it was handed on."""
    return delivery.tried.at.timestamp() if delivery.tried else born


def handed_on(
    item: Item, delivery: Delivery, parked: Parked, attempts: Sequence[Attempt], now: float
) -> Delivery | None:
    """The delivery as the next receiver gets it; None when nobody else is to be told.

    All attempts so far go with it, and what was merged into it. It bears the mark of a possible repeat if one of them
    may have arrived.
    """
    if parked.reason is _NEVER:
        return None
    rest = list(delivery.fallback)
    while rest and not _meant(rest[0], parked.reason):
        del rest[0]
    if not rest:
        return None
    to, tried = rest[0], delivery.tried
    ours = tuple(msgspec.structs.replace(one, receiver=one.receiver or delivery.receiver) for one in attempts)
    perhaps = any(one.ambiguous or one.reason is Reason.DELIVERED for one in attempts)
    return msgspec.structs.replace(
        delivery,
        receiver=to.receiver,
        domain=to.domain,
        recipients=to.recipients,
        group=to.group,
        batch=None,
        pace=None,
        storm=delivery.storm if to.group is not None else None,
        fallback=tuple(rest[1:]),
        held=None,
        hop=delivery.hop + 1,
        tried=Tried(datetime.fromtimestamp(now, UTC), ours, item.carried, perhaps or bool(tried and tried.marked)),
        origin=(*delivery.origin, Position(item.home.topic, *item.record)),
        carried=None,
    )


def _meant(one: Fallback, reason: Reason) -> bool:
    """Whether this one is told after this end. What was not delivered in time goes to those that have a time."""
    if not one.recipients:
        return False
    if reason is Reason.OVERDUE:
        return one.after is not None
    return not one.reasons or reason in one.reasons
