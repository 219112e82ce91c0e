"""A quota that runs out is an event like any other: it is routed, told and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import inf

from andon.core.event import CLEAR, QUOTA, RAISE, SEVERITY, STATE, TELLER, Event
from andon.core.work import Note
from andon.kafka.codecs import encode
from andon.kafka.topics import EVENTS
from andon.runtime.desk.meter import Quota


class QuotaWatch:
    """Tells once in each block of a quota that less than a share of it is left, or that it will not last at the present
    pace; and when the next block begins, that it is over.

    `share` gives the share now in force, None when nobody wants to know. What is told of a block has the same id after
    a restart, so that it counts once.
    """

    def __init__(self, share: Callable[[], float | None]) -> None:
        self._share = share
        self._told: dict[str, float] = {}

    def __call__(self, channel: str, quota: Quota, now: float) -> Sequence[Note]:
        share, told = self._share(), self._told.get(channel)
        if share is None:
            return ()
        if told is not None and told < quota.begun:
            del self._told[channel]
            return (_note(channel, quota.total, told, now, CLEAR),)
        # A burst in the morning is no pace: before half of it is used nobody need worry.
        ends = quota.out < inf and quota.left < quota.total / 2
        if told is None and (quota.left < share * quota.total or ends):
            self._told[channel] = quota.begun
            return (_note(channel, quota.total, quota.begun, now, RAISE, quota.out),)
        return ()


def _note(channel: str, count: int, begun: float, now: float, state: str, out: float = inf) -> Note:
    since = datetime.fromtimestamp(begun, UTC)
    ends = {"runs_out": datetime.fromtimestamp(out, UTC).isoformat(timespec="minutes")} if out < inf else {}
    event = Event(
        id=f"quota-{channel}-{since:%Y%m%dT%H%M}-{state}",
        source=TELLER,
        type=QUOTA,
        subject=f"channel/{channel}",
        time=datetime.fromtimestamp(now, UTC),
        data={"channel": channel, "quota": count, "since": since.isoformat(), **ends},
        labels={STATE: state, SEVERITY: "major", "channel": channel},
    )
    return Note(EVENTS, event.subject.encode(), encode(event))
