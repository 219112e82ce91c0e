"""Points in time as people write them: 14:00, 2026-11-26, 2026-11-26T14:00, 2026-11-26T14:00+08:00, 2h (ago)."""

from __future__ import annotations

import argparse
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, datetime, time, timedelta

from andon.config.units import seconds

COMING = "20:00, 2026-11-26T20:00, or 2h for in so long"
FORMS = "14:00, 2026-11-26, 2026-11-26T14:00, or 2h for so long ago"


def point(text: str) -> str:
    """The text as it is, for argparse. Raises ArgumentTypeError when it is no point in time."""
    try:
        # In the first and the last year another zone's clock may show one that no calendar has.
        if not MINYEAR < moment(text, datetime.now().astimezone()).year < MAXYEAR:
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a point in time; write for example {FORMS}") from None
    return text


def moment(text: str, now: datetime) -> datetime:
    """The point in time, in the zone of `now` unless it names another. A time of day is the last one there was, so that
    a night shift can ask after midnight. Raises ValueError."""
    try:
        return _later(now, -seconds(text))
    except (ValueError, OverflowError):
        pass
    of_day = _of_day(text)
    if of_day is None:
        whole = datetime.fromisoformat(text)
        return whole if whole.tzinfo else whole.replace(tzinfo=now.tzinfo)
    found = datetime.combine(now.date(), of_day, of_day.tzinfo or now.tzinfo)
    return found if found <= now else found - timedelta(days=1)


def coming(text: str, now: datetime) -> datetime:
    """The same for what is to come: a time of day is the next one there is, and 2h is in so long. Raises ValueError."""
    with suppress(ValueError, OverflowError):
        return _later(now, seconds(text))
    try:
        found = moment(text, now)
    except ValueError:
        raise ValueError(f"{text} is not a point in time; write for example {COMING}") from None
    return found if _of_day(text) is None else found + timedelta(days=1)


def _later(at: datetime, lasts: float) -> datetime:
    """So many seconds later, in its zone: a sum of Python's goes by the clock on the wall, which summer time moves.
    Raises OverflowError."""
    return (at.astimezone(UTC) + timedelta(seconds=lasts)).astimezone(at.tzinfo)


def _of_day(text: str) -> time | None:
    try:
        return time.fromisoformat(text)
    except ValueError:
        return None
