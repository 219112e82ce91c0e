"""Time intervals: named parts of the year in a zone, in Alertmanager's words (`time_intervals`).

An interval holds when one of its entries holds; an entry holds when its days, months and years and its `times` do. A
time window may pass midnight ("20:00-08:00"); it then belongs to the day it begins on, as a night shift does: with
`days: [friday]` it holds on Saturday at 02:00, and not on Friday at 02:00.

`workday` and `holiday` ask the working calendar that is published with the configuration. Of a day that it does not
know nothing is said: the interval neither holds nor does not hold.

The time asked about is always the one at which the event was accepted, never the present: the same event under the
same configuration has the same verdict in every replay.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from andon.config.spans import (
    DAY,
    HOLIDAY,
    WORKDAY,
    parse_days,
    parse_days_of_month,
    parse_months,
    parse_window,
    parse_years,
)
from andon.config.times import Days
from andon.core.workdays import Workdays, WorkingCalendar

Holds = bool | None  # None: it cannot be known
DayTest = Callable[[date], Holds]

# Times outside of these (1970-01-02 to 9999-12-30) cannot be put in every zone; they are drawn to the nearer end.
_FIRST_MINUTE, _LAST_MINUTE = 1_440, 4_223_370_000
_ONE_DAY = timedelta(days=1)
_DAY_S = 86_400.0
# What has not ended then is taken not to end. Plants do shut for months, and no mute is longer than this.
_NEVER = 366 * DAY


class Interval:
    """One named interval, compiled. Raises spans.IntervalError when it cannot be read."""

    def __init__(self, name: str, entries: Sequence[Days], zone: ZoneInfo, workdays: Workdays | None = None) -> None:
        self.name = name
        calendar = WorkingCalendar(workdays or Workdays())
        self._entries = [_Entry(entry, zone, calendar) for entry in entries]
        # Events of one batch were accepted within the same minutes, so the verdict is worked out once per minute; and
        # once per window, how it goes on after it, which may be a year of days.
        self._verdict = lru_cache(maxsize=64)(self._at_minute)
        self._end = lru_cache(maxsize=64)(self._end_after)
        self._last_end = lru_cache(maxsize=64)(self._last_end_from)

    def holds(self, at: float) -> Holds:
        """Whether the interval holds at this time (seconds since 1970); None when that hangs on a day that the working
        calendar does not know. Never raises."""
        return self._verdict(_minute_of(at))

    def until(self, at: float) -> float:
        """When the time is over in which the interval holds at this time, which is the first minute in which it does
        not; about a year later, for one that never ends; `at` itself when it does not hold. Never raises."""
        minute = _minute_of(at)
        return self._last_end(self._end(minute)) * 60.0 if self._verdict(minute) else at

    def edges(self, days: Sequence[date]) -> Iterator[float]:
        """The times, while those days last, at which the answer of `holds` may change; in no order."""
        for entry in self._entries:
            yield from entry.edges(days)

    def _at_minute(self, minute: int) -> Holds:
        return _any(entry.at(minute) for entry in self._entries)

    def _end_after(self, minute: int) -> int:
        return max(entry.end(minute) for entry in self._entries if entry.at(minute))

    def _last_end_from(self, minute: int) -> int:
        end, never = minute, min(minute + _NEVER, _LAST_MINUTE)
        while end < never and self._at_minute(end):
            end = self._end_after(end)
        return end


class _Entry:
    __slots__ = ("_day", "_windows", "_zone")

    def __init__(self, entry: Days, zone: ZoneInfo, calendar: WorkingCalendar) -> None:
        self._zone = ZoneInfo(entry.location) if entry.location else zone
        self._windows = [parse_window(text) for text in entry.times] or [(0, DAY)]
        self._day = _day_test(entry, calendar)

    def edges(self, days: Sequence[date]) -> Iterator[float]:
        minutes = {0, *(minute for window in self._windows for minute in window)}
        for day in days:
            midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
            yield from ((midnight + timedelta(minutes=minute)).timestamp() for minute in minutes)
            begin, end = midnight.timestamp(), (midnight + _ONE_DAY).timestamp()
            if end - begin != _DAY_S:  # the clock on the wall jumps, and may come to a time twice or never
                yield from (float(at) for at in range(int(begin), int(end), 60))

    def at(self, minute: int) -> Holds:
        local = self._local(minute)
        today, now = local.date(), local.hour * 60 + local.minute
        begun = [today] if any(begin <= now < end for begin, end in self._windows) else []
        if any(begin <= now + DAY < end for begin, end in self._windows):
            begun.append(today - _ONE_DAY)
        return _any(map(self._day, begun))

    def end(self, minute: int) -> int:
        """The minute in which the longest of the windows is over that a minute lies in, or before that the clock on the
        wall jumps: whether it holds behind a jump must be asked anew."""
        local = self._local(minute)
        today, now = local.date(), local.hour * 60 + local.minute
        left = [
            end - ago - now
            for begin, end in self._windows
            for ago, day in ((0, today), (DAY, today - _ONE_DAY))
            if begin <= now + ago < end and self._day(day)
        ]
        end = min(minute + max(left), _LAST_MINUTE)
        offset = local.utcoffset()
        if self._local(end).utcoffset() == offset:
            return end
        jumped = bisect_left(range(minute, end), True, key=lambda another: self._local(another).utcoffset() != offset)
        return minute + jumped

    def _local(self, minute: int) -> datetime:
        return datetime.fromtimestamp(minute * 60, self._zone)


def intervals(
    settings: Mapping[str, Sequence[Days]], zone: str, workdays: Workdays | None = None
) -> dict[str, Interval]:
    """All intervals of the configuration by name. Raises IntervalError, and ZoneInfoNotFoundError for the zone."""
    site = ZoneInfo(zone)
    return {name: Interval(name, entries, site, workdays) for name, entries in settings.items()}


def _day_test(entry: Days, calendar: WorkingCalendar) -> DayTest:
    tests: list[DayTest] = []
    if entry.days:
        tests.append(_week_test(entry.days, calendar))
    if entry.days_of_month:
        parts = [parse_days_of_month(text) for text in entry.days_of_month]
        tests.append(lambda day: any(part(day) for part in parts))
    if entry.months:
        months = frozenset().union(*map(parse_months, entry.months))
        tests.append(lambda day: day.month in months)
    if entry.years:
        spans = [parse_years(text) for text in entry.years]
        tests.append(lambda day: any(first <= day.year <= last for first, last in spans))
    return lambda day: _all(test(day) for test in tests)


def _week_test(words: Sequence[str], calendar: WorkingCalendar) -> DayTest:
    weekdays = frozenset().union(*(parse_days(word) for word in words))
    by_calendar = {word: word == WORKDAY for word in words if word in (WORKDAY, HOLIDAY)}
    if not by_calendar:
        return lambda day: day.weekday() in weekdays

    def holds(day: date) -> Holds:
        works = calendar.works(day)
        return day.weekday() in weekdays or (None if works is None else works in by_calendar.values())

    return holds


def _minute_of(at: float) -> int:
    return int(max(_FIRST_MINUTE * 60.0, min(at, _LAST_MINUTE * 60.0)) // 60)


def _any(verdicts: Iterable[Holds]) -> Holds:
    """Whether one holds, where some cannot be known."""
    seen = list(verdicts)
    return True if True in seen else None if None in seen else False


def _all(verdicts: Iterable[Holds]) -> Holds:
    """Whether all hold, where some cannot be known."""
    seen = list(verdicts)
    return False if False in seen else None if None in seen else True
