"""Time intervals: named parts of the week in the site's zone, in Alertmanager's words (`time_intervals`).

An interval holds when one of its entries holds; an entry holds when its `days` and its `times` do. A time window may
pass midnight ("20:00-08:00"); it then belongs to the day it begins on, as a night shift does: with `days: [friday]`
it holds on Saturday at 02:00, and not on Friday at 02:00.

The time asked about is always the one at which the event was accepted, never the present: the same event under the
same configuration has the same verdict in every replay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from andon.config.settings import Days

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LATER = frozenset({"workday", "holiday"})
_WINDOW = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_DAY = 24 * 60
# Times outside of these (1970-01-02 to 9999-12-30) cannot be put in every zone; they are drawn to the nearer end.
_FIRST_MINUTE, _LAST_MINUTE = 1_440, 4_223_370_000


class IntervalError(ValueError):
    """A day or a time window that cannot be read; the text is one sentence."""


def parse_days(word: str) -> frozenset[int]:
    """The days of the week (Monday is 0) of `monday` or `monday:friday`. Raises IntervalError."""
    first, colon, last = word.partition(":")
    for name in (first, last) if colon else (first,):
        if name in _LATER:
            raise IntervalError(f"the day word '{name}' is not in this version")
        if name not in DAYS:
            raise IntervalError(f"'{word}' is no day; write monday … sunday, or a range like monday:friday")
    begin, end = DAYS.index(first), DAYS.index(last if colon else first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def parse_window(text: str) -> tuple[int, int]:
    """The first minute of a window and the minute after its last, counted from midnight. Raises IntervalError.

    The end is greater than 24 * 60 when the window passes midnight.
    """
    match = _WINDOW.fullmatch(text)
    if not match:
        raise IntervalError(f"'{text}' is no time window; write for example 08:00-20:00, 20:00-08:00 or 08:00-24:00")
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if begin >= _DAY or end > _DAY:
        raise IntervalError(f"'{text}' is no time window; the day ends at 24:00")
    if begin == end:
        raise IntervalError(f"the time window '{text}' is empty; the whole day is 00:00-24:00")
    return begin, end if end > begin else end + _DAY


class Interval:
    """One named interval, compiled. Raises IntervalError when it cannot be read."""

    def __init__(self, name: str, entries: Sequence[Days], zone: ZoneInfo) -> None:
        self.name = name
        self._zone = zone
        self._entries = [
            (
                frozenset().union(*map(parse_days, entry.days)) if entry.days else frozenset(range(7)),
                [parse_window(text) for text in entry.times] or [(0, _DAY)],
            )
            for entry in entries
        ]
        # Events of one batch were accepted within the same minutes, so the verdict is worked out once per minute.
        self._verdict = lru_cache(maxsize=64)(self._at_minute)

    def holds(self, at: float) -> bool:
        """Whether the interval holds at this time (seconds since 1970). Never raises."""
        return self._verdict(int(max(_FIRST_MINUTE, min(at // 60, _LAST_MINUTE))))

    def _at_minute(self, minute: int) -> bool:
        local = datetime.fromtimestamp(minute * 60, self._zone)
        today, now = local.weekday(), local.hour * 60 + local.minute
        yesterday = (today - 1) % 7
        return any(
            (today in days and begin <= now < end) or (yesterday in days and begin <= now + _DAY < end)
            for days, windows in self._entries
            for begin, end in windows
        )


def intervals(settings: Mapping[str, Sequence[Days]], zone: str) -> dict[str, Interval]:
    """All intervals of the configuration by name. Raises IntervalError, and ZoneInfoNotFoundError for the zone."""
    site = ZoneInfo(zone)
    return {name: Interval(name, entries, site) for name, entries in settings.items()}
