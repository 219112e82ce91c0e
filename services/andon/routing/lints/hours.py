"""Time intervals over a year or some, to the minute: when each holds, and when a route speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from andon.config.calendar import Interval
from andon.config.routing import Route
from andon.config.spans import DAY, parse_years
from andon.config.times import Days

Minutes = int
"""A set of minutes, as a number with one bit for each minute of the years that are looked at."""

_CYCLE = 4  # years, of which one is a leap year
_LAST = 9_990


class Verdict(NamedTuple):
    """When an interval holds for certain, and when it may: what asks for a day that nobody knows may hold."""

    certain: Minutes
    possible: Minutes


class Hours:
    """When the intervals of a configuration hold in the years that are looked at."""

    def __init__(self, known: Mapping[str, Interval], years: Iterable[int]) -> None:
        days = [day for year in years for day in _days(year)]
        self._of = {name: _verdict(interval, days) for name, interval in known.items()}
        self._always = (1 << len(days) * DAY) - 1

    def opens(self, name: str) -> bool:
        """Whether the interval may ever hold."""
        return bool(self._of[name].possible)

    def always(self, name: str) -> bool:
        """Whether the interval holds at any time."""
        return self._of[name].certain == self._always

    def muted(self, route: Route) -> Minutes:
        """When a route is muted."""
        return _union(self._of[name].certain for name in route.mute_time_intervals)

    def speaks(self, route: Route) -> Minutes:
        """When a route says what it has to say, as `Node.silenced` has it."""
        active = _union(self._of[name].possible for name in route.active_time_intervals)
        return (active if route.active_time_intervals else self._always) & ~self.muted(route)


def years_of(intervals: Mapping[str, Iterable[Days]], year: int) -> list[int]:
    """The years to look at from this one on: it alone where every week is the same, else some, and those named."""
    entries = [entry for several in intervals.values() for entry in several]
    if not any(entry.days_of_month or entry.months or entry.years for entry in entries):
        return [year]
    named = {end for entry in entries for text in entry.years for end in parse_years(text) if year <= end < _LAST}
    return sorted({*range(year, year + _CYCLE), *named})


def _days(year: int) -> Iterator[date]:
    first = date(year, 1, 1)
    return (first + timedelta(days=number) for number in range((date(year + 1, 1, 1) - first).days))


def _verdict(interval: Interval, days: list[date]) -> Verdict:
    """Asked at each minute at which the answer can change; between two of them it does not."""
    certain: list[str] = []
    possible: list[str] = []
    for first, length in _runs(days):
        start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) // 60
        end = start + length * DAY
        around = [first + timedelta(days=number) for number in range(-2, length + 2)]
        inner = {minute for at in interval.edges(around) if start < (minute := int(at // 60)) < end}
        for begin, until in pairwise(sorted({start, end} | inner)):
            holds = interval.holds(begin * 60)
            certain.append("1" * (until - begin) if holds else "0" * (until - begin))
            possible.append("0" * (until - begin) if holds is False else "1" * (until - begin))
    return Verdict(int("".join(certain) or "0", 2), int("".join(possible) or "0", 2))


def _runs(days: list[date]) -> Iterator[tuple[date, int]]:
    """Days that follow each other: the first one, and how many."""
    begins = [number for number, day in enumerate(days) if number == 0 or day - days[number - 1] != timedelta(days=1)]
    for begin, end in pairwise([*begins, len(days)]):
        yield days[begin], end - begin


def _union(sets: Iterable[Minutes]) -> Minutes:
    minutes = 0
    for one in sets:
        minutes |= one
    return minutes
