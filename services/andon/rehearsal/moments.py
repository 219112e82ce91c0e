"""Virtual times as people write them: a day with a time, a time of day, or how long after the beginning of the test."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from andon.config.units import duration_text, seconds

_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC).timestamp(), datetime(9999, 12, 30, tzinfo=UTC).timestamp()
OUTSIDE = "outside the years 1 to 9999"


class MomentError(ValueError):
    """A time that cannot be read; the text is one sentence."""


def beginning(text: str, zone: ZoneInfo) -> float:
    """Seconds since 1970 of "2026-09-30 19:58", in `zone` unless the text has an offset of its own. Raises
    MomentError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MomentError(f"'{text}' is not a day with a time; write for example 2026-09-30 19:58") from None
    return _told(text, (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())


def moment(text: str, begins: float, zone: ZoneInfo) -> float:
    """Seconds since 1970 of what is written beside a test that `begins` then: "5m" after it, "20:01" or "20:01:30" when
    the clock next shows that, or a day with a time. Raises MomentError."""
    if match := _TIME_OF_DAY.fullmatch(text):
        return _next(time(int(match[1]), int(match[2]), int(match[3] or 0)), begins, zone)
    try:
        after = seconds(text)
    except ValueError:
        pass
    else:
        return _told(text, begins + after)
    try:
        at = beginning(text, zone)
    except MomentError:
        raise MomentError(
            f"'{text}' is not a time; write 5m after the beginning, 20:01:30, or 2026-09-30 20:01"
        ) from None
    if at < begins:
        raise MomentError(f"'{text}' is before the test begins")
    return at


def is_told(at: float) -> bool:
    """Whether a calendar has the time, in whatever zone it is told."""
    return _EARLIEST <= at <= _LATEST


def _told(text: str, at: float) -> float:
    if not is_told(at):
        raise MomentError(f"'{text}' lies {OUTSIDE}")
    return at


def _next(wanted: time, begins: float, zone: ZoneInfo) -> float:
    first = datetime.fromtimestamp(begins, zone)
    found = datetime.combine(first.date(), wanted, zone)
    if found.timestamp() < begins:
        found = datetime.combine(first.date() + timedelta(days=1), wanted, zone)
    return found.timestamp()


def shown(at: float, begins: float, zone: ZoneInfo) -> str:
    """A time as a report says it: what the clock shows, and how long that is after the beginning."""
    after = round(at - begins, 3)
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M:%S} (+{duration_text(after) if after else '0s'})"
