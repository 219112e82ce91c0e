"""When what is expected of a source has failed, against a simulation that looks at every minute."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from andon.config.calendar import Interval
from andon.config.times import Days
from andon.core.workdays import Workdays
from andon.ingress.expected.expecting import MOST_GAPS, Expected, Gap, due, with_gap

SHANGHAI, BERLIN, LORD_HOWE = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
HOUR = 3_600.0
WORK_2026 = Workdays((2026,), off=(date(2026, 10, 1), date(2026, 10, 2)), work=(date(2026, 10, 10),))


def at(text: str, zone: ZoneInfo = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def during(*entries: Days, zone: ZoneInfo = SHANGHAI, workdays: Workdays = WORK_2026) -> Interval:
    return Interval("production", entries, zone, workdays)


PRODUCTION = during(Days(days=("workday",), times=("08:00-24:00",)), Days(days=("saturday",), times=("08:00-20:00",)))
SHIFTS = during(Days(days=("monday:friday",), times=("20:00-04:00",)))


@pytest.mark.parametrize(
    ("interval", "since", "within", "wanted"),
    [
        (None, "2026-11-25 23:30:12", 2 * HOUR, "2026-11-26 01:30:12"),
        # Wednesday evening, half an hour of production is left; the rest is Thursday's.
        (PRODUCTION, "2026-11-25 23:30:12", 2 * HOUR, "2026-11-26 09:30:12"),
        (PRODUCTION, "2026-11-25 21:59:59", 2 * HOUR, "2026-11-25 23:59:59"),
        (PRODUCTION, "2026-11-25 22:00:00", 2 * HOUR, "2026-11-26 00:00:00"),
        (PRODUCTION, "2026-11-25 22:00:01", 2 * HOUR, "2026-11-26 08:00:01"),
        # Nothing counts before the plant begins: after 03:00 the whole time is left at 08:00.
        (PRODUCTION, "2026-11-26 03:00:00", 2 * HOUR, "2026-11-26 10:00:00"),
        # Saturday 20:00 to Monday 08:00.
        (PRODUCTION, "2026-11-28 19:00:00", 2 * HOUR, "2026-11-30 09:00:00"),
        # Two days off by law, then a Saturday by its own entry.
        (PRODUCTION, "2026-09-30 23:00:00", 2 * HOUR, "2026-10-03 09:00:00"),
        # A shift over midnight belongs to the day it begins on: Friday's goes on on Saturday, Sunday's there is none.
        (SHIFTS, "2026-11-28 03:30:00", HOUR, "2026-11-30 20:30:00"),
        # The calendar knows nothing of 2027: its time counts, at every hour of the day that the entry names.
        (PRODUCTION, "2027-01-01 07:00:00", 2 * HOUR, "2027-01-01 10:00:00"),
    ],
)
def test_time_counts_within_the_interval_only(
    interval: Interval | None, since: str, within: float, wanted: str
) -> None:
    expected = Expected("mes", "event", within, interval)
    exact = at(wanted)
    assert due(expected, at(since), exact) == exact
    assert due(expected, at(since), exact + 30 * 24 * HOUR) == exact
    early = due(expected, at(since), exact - 1)
    assert exact - 1 < early <= exact, "before it is due, no more than the earliest time is told"


def test_a_night_of_a_clock_that_jumps_has_its_real_length() -> None:
    night = during(Days(times=("00:00-06:00",)), zone=BERLIN)
    expected = Expected("mes", "event", 5.5 * HOUR, night)
    assert due(expected, at("2026-03-29 00:00", BERLIN), at("2026-04-02", BERLIN)) == at("2026-03-30 00:30", BERLIN)
    assert due(expected, at("2026-10-25 00:00", BERLIN), at("2026-10-28", BERLIN)) == at("2026-10-25 04:30", BERLIN)


def test_what_no_door_could_hear_is_no_silence() -> None:
    expected, since = Expected("mes", "event", 2 * HOUR), at("2026-11-26 08:00")
    down = (at("2026-11-26 09:00"), at("2026-11-26 11:30"))
    assert due(expected, since, since + 10 * HOUR, (down,)) == at("2026-11-26 12:30")
    assert due(expected, since, since + 10 * HOUR, ((since - HOUR, since - 1),)) == at("2026-11-26 10:00")
    within = at("2026-11-26 10:00")
    assert due(expected, since, within, (down,)) == within + HOUR, "an hour has counted, an hour is left"


def test_gaps_are_bounded_and_never_make_time_count_that_did_not() -> None:
    gaps: tuple[Gap, ...] = ()
    given_gaps = [(100.0 * number, 100.0 * number + 50) for number in range(MOST_GAPS + 8)]
    for gap in given_gaps:
        gaps = with_gap(gaps, gap, 0.0)
    assert len(gaps) == MOST_GAPS
    assert all(any(start <= gap[0] and gap[1] <= stop for start, stop in gaps) for gap in given_gaps)
    assert with_gap(gaps, (9_000.0, 9_001.0), 8_000.0) == ((9_000.0, 9_001.0),)


# ---- against a simulation

_times = st.integers(0, 23 * 60 + 59).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
_windows = st.tuples(_times, _times).filter(lambda pair: pair[0] != pair[1]).map("-".join)
_words = st.sampled_from(["workday", "holiday", "monday", "tuesday:friday", "saturday", "sunday:tuesday"])
_entries = st.builds(
    lambda days, times: Days(days=tuple(days), times=tuple(times)),
    st.lists(_words, max_size=2),
    st.lists(_windows, max_size=2),
)
# About the two days of the year on which clocks jump, New Year with a year that is not known, and the calendar's days.
_starts = st.sampled_from(["2026-03-27", "2026-10-23", "2026-04-03", "2026-10-02", "2026-12-30", "2026-09-29"])
_minutes = st.integers(0, 4 * 1_440)


def naive(within: int, since: int, until: int, holds: Interval | None, gaps: list[tuple[int, int]]) -> int | None:
    """All in minutes since 1970."""
    counted = 0
    for minute in range(since, until):
        inside = holds is None or holds.holds(minute * 60.0) is not False
        if inside and not any(start <= minute < stop for start, stop in gaps):
            counted += 1
            if counted == within:
                return minute + 1
    return None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_entries, max_size=2),
    st.sampled_from([SHANGHAI, BERLIN, LORD_HOWE]),
    _starts,
    _minutes,
    st.integers(1, 1_500),
    st.lists(st.tuples(_minutes, st.integers(1, 600)), max_size=3),
)
@example([Days(times=("02:30-04:00",))], BERLIN, "2026-10-23", 2 * 1_440, 150, [])
@example([Days(times=("01:45-02:15",))], LORD_HOWE, "2026-04-03", 1_440, 90, [])
@example([Days(days=("holiday",))], SHANGHAI, "2026-12-30", 0, 1_500, [(100, 600)])
def test_as_a_simulation_of_every_minute_has_it(
    entries: list[Days], zone: ZoneInfo, start: str, offset: int, within: int, gaps: list[tuple[int, int]]
) -> None:
    first = int(datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()) // 60
    since, until = first + offset, first + offset + 6 * 1_440
    interval = Interval("x", entries, zone, WORK_2026) if entries else None
    lost = [(first + begin, first + begin + length) for begin, length in gaps]
    wanted = naive(within, since, until, interval, lost)
    expected = Expected("mes", "event", within * 60.0, interval)
    found = due(expected, since * 60.0, until * 60.0, [(60.0 * begin, 60.0 * end) for begin, end in lost])
    if wanted is None:
        assert found > until * 60.0
    else:
        assert found == wanted * 60.0
        assert due(expected, since * 60.0, found - 30, [(60.0 * a, 60.0 * b) for a, b in lost]) <= found


def test_a_year_of_waiting_is_counted_in_no_time_to_speak_of() -> None:
    rare = during(Days(months=("january",), times=("08:00-09:00",)))
    since = at("2026-02-01 00:00")
    until = since + timedelta(days=300).total_seconds()
    assert due(Expected("mes", "event", HOUR, rare), since, until) == until + HOUR
