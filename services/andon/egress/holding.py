"""What a mute or a maintenance window holds: it waits in a lane of its own, and is told as one when that is over."""

from __future__ import annotations

from collections.abc import Mapping

from andon.config.published import Published
from andon.core.delivery import Delivery
from andon.core.mute import by_maintenance, by_mute
from andon.core.work import APART, AUDIENCE
from andon.runtime.desk.work import Held

_AGAIN_S = 2.0
_LATE_S = 1.0
"""What was accepted in the last moment of a hold is still on its way when it ends."""


def silences(published: Published) -> dict[str, float | None]:
    """The names of all mutes and maintenance windows of a version, with the end of each mute: it may be moved."""
    windows = dict.fromkeys(map(by_maintenance, published.settings.maintenance))
    return {**windows, **{by_mute(one.id): one.ends.timestamp() for one in published.mutes}}


def lane_of(delivery: Delivery, group: str) -> str:
    """Its subject; of what is held one lane for each digest and those who are to have it."""
    if delivery.held is None:
        return delivery.event.subject
    audience = group[1:].partition(AUDIENCE)[0] if group.startswith(AUDIENCE) else ""
    return f"{APART}{delivery.batch}{AUDIENCE}{audience}"


def turn_of(delivery: Delivery, version: int, ends: Mapping[str, float | None], now: float) -> Held | float:
    """That a delivery is held back; once its time is over, or the version in force has its mute no more, since when it
    may leave. `ends` are those in force; a desk that has not seen the version which decided the delivery takes its
    word."""
    held = delivery.held
    if held is None:
        return now
    known = version >= delivery.config_version
    end = ((known and ends.get(held.by)) or held.until.timestamp()) + _LATE_S
    if known and held.by not in ends:
        return min(end, now)
    return end if end <= now else Held(min(end, now + _AGAIN_S))
