"""Mutes and maintenance windows, compiled: what is not told now, decided by when the event was accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from andon.config.calendar import Interval
from andon.config.maintenance import Maintenance
from andon.config.times import Days
from andon.core.delivery import Delivery, Hold
from andon.core.event import Event, accepted_at
from andon.core.matchers import Matcher, all_hold, compile_matchers
from andon.core.mute import Mute, Then, by_maintenance, by_mute
from andon.core.outcome import Skipped
from andon.core.reason import Reason
from andon.core.workdays import Workdays


class Silence:
    """One of them. `until` gives the end of the time that a moment lies in, None when it lies in none."""

    __slots__ = ("_tests", "by", "matchers", "reason", "then", "until")

    def __init__(
        self, by: str, reason: Reason, matchers: Sequence[str], then: Then, until: Callable[[float], float | None]
    ) -> None:
        self.by = by
        self.reason = reason
        self.then = then
        self.until = until
        self.matchers: tuple[Matcher, ...] = compile_matchers(matchers)
        self._tests = tuple(matcher.holds for matcher in self.matchers)

    def takes(self, event: Event) -> bool:
        """Whether it is about the event, whenever that was."""
        return all_hold(self._tests, event)


class Silences:
    """All of one configuration version. Raises MatcherError and IntervalError for what `check` would have refused."""

    def __init__(
        self,
        mutes: Sequence[Mute],
        maintenance: Mapping[str, Maintenance],
        zone: str,
        workdays: Workdays | None = None,
    ) -> None:
        self.all: tuple[Silence, ...] = (
            *map(_muting, mutes),
            *(_maintaining(name, each, ZoneInfo(zone), workdays) for name, each in maintenance.items()),
        )

    def __bool__(self) -> bool:
        return bool(self.all)

    def of(self, event: Event) -> Skipped | Hold | None:
        """What they make of an event; None when it is told. One that drops it goes before those that hold it, and of
        these the one that ends last."""
        at = accepted_at(event)
        held: tuple[float, str] | None = None
        for one in self.all:
            end = one.until(at)
            if end is None or not one.takes(event):
                continue
            if one.then == "drop":
                return Skipped(one.reason, one.by)
            if held is None or end > held[0]:
                held = end, one.by
        return Hold(held[1], datetime.fromtimestamp(held[0], UTC)) if held else None


def held(delivery: Delivery, hold: Hold) -> Delivery:
    """The delivery as the desk keeps it until the hold is over: it belongs into one digest with the others, of whatever
    route, and overtakes nothing any more."""
    batch = f"{hold.by} {hold.until.isoformat()}"
    return msgspec.structs.replace(delivery, urgent=False, batch=batch, pace=None, held=hold)


def _muting(mute: Mute) -> Silence:
    begins, ends = mute.begins.timestamp(), mute.ends.timestamp()
    return Silence(
        by_mute(mute.id), Reason.SILENCED, mute.matchers, mute.then, lambda at: ends if begins <= at < ends else None
    )


def _maintaining(name: str, each: Maintenance, zone: ZoneInfo, workdays: Workdays | None) -> Silence:
    """On a day that the working calendar does not know nothing is silenced: people are told rather more than less."""
    interval = Interval(name, [Days(days=each.days, times=each.times)], zone, workdays)

    def until(at: float) -> float | None:
        return interval.until(at) if interval.holds(at) else None

    return Silence(by_maintenance(name), Reason.MAINTENANCE, each.matchers, each.then, until)
