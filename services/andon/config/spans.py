"""The words of a time interval: days, times, days of the month, months and years, each or as a range `first:last`.

Beside `workday` and `holiday`, and windows that pass midnight, they are Alertmanager's (prometheus.io, Alertmanager
configuration, `<time_interval_spec>`).
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
WORKDAY, HOLIDAY = "workday", "holiday"
DAY = 24 * 60
_WINDOW = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_NUMBER = re.compile(r"-?[0-9]{1,4}")


class IntervalError(ValueError):
    """A part of a time interval that cannot be read; the text is one sentence."""


def parse_days(word: str) -> frozenset[int]:
    """The days of the week (Monday is 0) of `monday` or `monday:friday`; none of `workday` and `holiday`, which a
    calendar tells. Raises IntervalError."""
    if word in (WORKDAY, HOLIDAY):
        return frozenset()
    first, last = _ends(word)
    for name in (first, last):
        if name in (WORKDAY, HOLIDAY):
            raise IntervalError(f"'{word}' is not a range; {name} stands alone")
        if name not in DAYS:
            raise IntervalError(
                f"'{word}' is not a day; write monday … sunday, a range like monday:friday, workday or holiday"
            )
    begin, end = DAYS.index(first), DAYS.index(last)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def parse_window(text: str) -> tuple[int, int]:
    """The first minute of a window and the minute after its last, counted from midnight. Raises IntervalError.

    The end is greater than 24 * 60 when the window passes midnight.
    """
    match = _WINDOW.fullmatch(text)
    if not match:
        raise IntervalError(f"'{text}' is not a time window; write for example 08:00-20:00, 20:00-08:00 or 08:00-24:00")
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if begin >= DAY or end > DAY:
        raise IntervalError(f"'{text}' is not a time window; the day ends at 24:00")
    if begin == end:
        raise IntervalError(f"the time window '{text}' is empty; the whole day is 00:00-24:00")
    return begin, end if end > begin else end + DAY


def parse_days_of_month(text: str) -> Callable[[date], bool]:
    """Whether a day is among `1`, `1:5` or, counted from the end of its month, `-3:-1`. Raises IntervalError."""
    first, last = (_number(end, text) for end in _ends(text))
    for number in (first, last):
        if not 1 <= abs(number) <= 31:
            raise IntervalError(f"'{text}': a month has the days 1 to 31, or -31 to -1 from its end")
    if first < 0 < last:
        raise IntervalError(f"'{text}': what begins from the end of a month ends from there too")
    if _in_longest(first) > _in_longest(last):
        raise IntervalError(f"'{text}' ends before it begins")

    def holds(day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        begin, end = (number if number > 0 else length + 1 + number for number in (first, last))
        return begin <= day.day <= end

    return holds


def parse_months(text: str) -> frozenset[int]:
    """The months (January is 1) of `may`, `5`, `january:march` or `1:3`. Raises IntervalError."""
    first, last = (_month(end, text) for end in _ends(text))
    if first > last:
        raise IntervalError(f"'{text}' ends before it begins; write two ranges")
    return frozenset(range(first, last + 1))


def parse_years(text: str) -> tuple[int, int]:
    """The first and the last year of `2026` or `2026:2028`. Raises IntervalError."""
    first, last = (_number(end, text) for end in _ends(text))
    if not 1 <= first <= last:
        raise IntervalError(f"'{text}' is not a span of years; write for example 2026 or 2026:2028")
    return first, last


def _in_longest(number: int) -> int:
    """The day of a month of 31 days."""
    return number if number > 0 else 32 + number


def _month(word: str, text: str) -> int:
    if word.lower() in MONTHS:
        return MONTHS.index(word.lower()) + 1
    number = _number(word, text) if _NUMBER.fullmatch(word) else 0
    if not 1 <= number <= 12:
        raise IntervalError(f"'{text}' is not a month; write january … december, 1 … 12, or a range like january:march")
    return number


def _number(word: str, text: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise IntervalError(f"'{text}' is not a number, nor a range of numbers like 1:5")
    return int(word)


def _ends(text: str) -> Sequence[str]:
    first, colon, last = text.partition(":")
    return (first, last) if colon else (first, first)
