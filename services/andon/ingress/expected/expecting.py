"""When what is expected of a source has failed. Pure.

Time counts within the interval of `during`, if there is one, and while some door was there to hear: what stands between
two beats of the doors that are too far apart is a gap, and no silence of the source's. Of a day that the working
calendar does not know the time counts: Andon rather speaks than keeps silent on a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec

from andon.config.calendar import Interval, intervals
from andon.config.published import Published
from andon.core.silence import Sign

Gap = tuple[float, float]

CONNECTION_WITHIN_S = 60.0
MOST_GAPS = 32
_CHUNK_S = 8 * 86_400.0


class Expected(msgspec.Struct, frozen=True):
    """One thing expected of a source: the next sign within so many seconds that count. `during` None: all time does.
    `connection` is what it is connected to."""

    source: str
    sign: Sign
    within: float
    during: Interval | None = None
    connection: str = ""


def expected_of(published: Published, connections: Mapping[str, str]) -> list[Expected]:
    """What a configuration expects; `connections` are those of sources that keep one. Raises IntervalError for what
    `check` would have refused."""
    settings = published.settings
    known = intervals(settings.calendar.time_intervals, settings.site.zone, published.tables.workdays)
    found = []
    for name, plug in settings.sources.items():
        if plug.expect is None:
            continue
        during = known[plug.expect.during] if plug.expect.during else None
        if plug.expect.event_within is not None:
            found.append(Expected(name, "event", plug.expect.event_within, during))
        if plug.expect.connected:
            found.append(Expected(name, "connection", CONNECTION_WITHIN_S, during, connections.get(name, "")))
    return found


def due(expected: Expected, since: float, until: float, gaps: Sequence[Gap] = ()) -> float:
    """When the expected time has passed after the sign `since` (seconds since 1970).

    Exact if it is not after `until`; a later answer is the earliest time at which it may be.
    """
    left = expected.within
    for begin, end in _counting(expected.during, since, until, gaps):
        if end - begin >= left:
            return begin + left
        left -= end - begin
    return max(until, since) + left


def with_gap(gaps: Sequence[Gap], new: Gap, oldest: float) -> tuple[Gap, ...]:
    """The gaps with one more, without those before the `oldest` sign that is waited after. At most 32: the oldest two
    are then one, with what lies between them."""
    kept = [*(gap for gap in gaps if gap[1] > oldest), new]
    while len(kept) > MOST_GAPS:
        kept[:2] = [(kept[0][0], kept[1][1])]
    return tuple(kept)


def _counting(during: Interval | None, since: float, until: float, gaps: Sequence[Gap]) -> Iterator[Gap]:
    """The stretches between two times that count, in order."""
    begin = since
    while begin < until:
        end = min(begin + _CHUNK_S, until)
        cuts = {at for gap in gaps for at in gap} | (set(during.edges(_days(begin, end))) if during else set())
        for first, last in pairwise(sorted({begin, end, *(at for at in cuts if begin < at < end)})):
            counts = during is None or during.holds(first) is not False
            if counts and not any(start <= first < stop for start, stop in gaps):
                yield first, last
        begin = end


def _days(begin: float, end: float) -> list[date]:
    """The days in every zone, with those before them, whose times may pass midnight."""
    first = datetime.fromtimestamp(begin, UTC).date() - timedelta(days=2)
    count = (datetime.fromtimestamp(end, UTC).date() - first).days + 2
    return [first + timedelta(days=number) for number in range(count)]
