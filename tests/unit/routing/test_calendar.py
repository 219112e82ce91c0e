"""Time intervals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from andon.config.calendar import Interval
from andon.config.spans import (
    DAYS,
    IntervalError,
    parse_days,
    parse_days_of_month,
    parse_months,
    parse_window,
    parse_years,
)
from andon.config.times import Days

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = SHANGHAI) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def interval(*entries: Days, zone: ZoneInfo = SHANGHAI) -> Interval:
    return Interval("x", entries, zone)


def test_days() -> None:
    assert parse_days("monday") == {0}
    assert parse_days("monday:friday") == {0, 1, 2, 3, 4}
    assert parse_days("saturday:sunday") == {5, 6}
    assert parse_days("friday:monday") == {4, 5, 6, 0}


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("workday:holiday", "'workday:holiday' is not a range; workday stands alone"),
        ("monday:holiday", "is not a range; holiday stands alone"),
        ("Monday", "is not a day"),
        ("mon", "is not a day"),
        ("monday:", "is not a day"),
        ("", "is not a day"),
        ("1:5", "is not a day"),
    ],
)
def test_no_days(word: str, problem: str) -> None:
    with pytest.raises(IntervalError, match=problem):
        parse_days(word)


@pytest.mark.parametrize(
    "text", ["8:00-20:00", "08:00", "24:00-08:00", "08:00-24:01", "08:00-08:60", "25:00-26:00", "8-20"]
)
def test_no_windows(text: str) -> None:
    with pytest.raises(IntervalError, match="is not a time window"):
        parse_window(text)


def test_an_empty_window_says_how_to_write_the_whole_day() -> None:
    with pytest.raises(IntervalError, match="00:00-24:00"):
        parse_window("08:00-08:00")


def test_edges_of_a_window() -> None:
    day = interval(Days(times=("08:00-24:00",)))
    assert [day.holds(at(f"2023-11-14T{t}")) for t in ("07:59:59", "08:00:00", "23:59:59", "00:00:00")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    night = interval(Days(days=("friday",), times=("20:00-08:00",)))
    assert night.holds(at("2023-11-17T20:00"))  # a Friday
    assert night.holds(at("2023-11-18T02:00"))  # Saturday morning
    assert not night.holds(at("2023-11-17T02:00"))
    assert not night.holds(at("2023-11-18T08:00"))
    assert not night.holds(at("2023-11-18T20:00"))


def test_a_sunday_night_reaches_into_monday() -> None:
    assert interval(Days(days=("sunday",), times=("20:00-08:00",))).holds(at("2023-11-20T07:59"))


def test_the_site_decides_what_time_it_is() -> None:
    noon = interval(Days(times=("12:00-13:00",)))
    assert noon.holds(datetime(2023, 11, 14, 4, 30, tzinfo=UTC).timestamp())
    assert not interval(Days(times=("12:00-13:00",)), zone=BERLIN).holds(at("2023-11-14T12:30"))


def test_clock_changes() -> None:
    small_hours = interval(Days(times=("02:00-03:00",)), zone=BERLIN)
    twice = datetime(2023, 10, 29, 0, 30, tzinfo=UTC)  # 02:30 in summer time, and again an hour later
    assert [small_hours.holds((twice + timedelta(hours=h)).timestamp()) for h in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]
    never = datetime(2023, 3, 26, 0, 59, tzinfo=UTC)  # 01:59; a minute later it is 03:00
    assert [small_hours.holds((never + timedelta(minutes=m)).timestamp()) for m in (0, 1)] == [False, False]


def test_entries_are_alternatives_and_fields_are_not() -> None:
    either = interval(Days(days=("monday",), times=("08:00-12:00",)), Days(days=("tuesday",)))
    assert either.holds(at("2023-11-13T08:00"))
    assert not either.holds(at("2023-11-13T12:00"))
    assert either.holds(at("2023-11-14T23:00"))
    assert not interval().holds(at("2023-11-14T23:00"))


@pytest.mark.parametrize("when", [-1e18, -1.0, 0.0, 1e12, 1e18, float("inf")])
def test_no_time_raises(when: float) -> None:
    assert interval(Days(days=("monday:sunday",))).holds(when)


@pytest.mark.parametrize(
    ("key", "text", "holding"),
    [
        ("days_of_month", "1", ["2024-02-01", "2024-03-01"]),
        ("days_of_month", "2:3", ["2024-03-02", "2024-03-03"]),
        ("days_of_month", "-1", ["2024-02-29", "2024-03-31"]),
        ("days_of_month", "30:-1", ["2024-03-30", "2024-03-31"]),  # February has none
        ("days_of_month", "-31", ["2024-03-01"]),
        ("months", "march", ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-30", "2024-03-31"]),
        ("months", "February:2", ["2024-02-01", "2024-02-28", "2024-02-29"]),
        ("years", "2023", []),
        ("years", "2024:2026", None),
    ],
)
def test_parts_of_the_year(key: str, text: str, holding: list[str] | None) -> None:
    days = [f"2024-02-{day}" for day in ("01", "28", "29")] + [
        f"2024-03-{day}" for day in ("01", "02", "03", "30", "31")
    ]
    asked = interval(Days.model_validate({key: (text,)}))
    found = [day for day in days if asked.holds(at(f"{day}T12:00"))]
    assert found == (days if holding is None else holding)


@pytest.mark.parametrize(
    ("parse", "text", "problem"),
    [
        (parse_days_of_month, "0", "days 1 to 31"),
        (parse_days_of_month, "32", "days 1 to 31"),
        (parse_days_of_month, "5:1", "ends before it begins"),
        (parse_days_of_month, "-1:5", "ends from there too"),
        (parse_days_of_month, "x", "is not a number"),
        (parse_days_of_month, "1:", "is not a number"),
        (parse_months, "13", "is not a month"),
        (parse_months, "mai", "is no"),
        (parse_months, "december:january", "write two ranges"),
        (parse_years, "2026:2025", "is not a span of years"),
        (parse_years, "0", "is not a span of years"),
    ],
)
def test_no_spans(parse: Callable[[str], object], text: str, problem: str) -> None:
    with pytest.raises(IntervalError, match=problem):
        parse(text)


def test_an_entry_can_have_a_zone_of_its_own() -> None:
    noon = interval(Days(times=("12:00-13:00",), location="Europe/Berlin"), Days(times=("12:00-13:00",)))
    assert [noon.holds(at("2023-11-14T12:30", zone)) for zone in (SHANGHAI, BERLIN, ZoneInfo("UTC"))] == [
        True,
        True,
        False,
    ]


def test_a_night_belongs_to_the_month_it_begins_in() -> None:
    night = interval(Days(times=("20:00-08:00",), months=("january",), days_of_month=("-1",)))
    assert night.holds(at("2024-01-31T20:00"))
    assert night.holds(at("2024-02-01T07:59"))
    assert not night.holds(at("2024-01-31T07:59"))


WINDOWS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda w: w[0] != w[1])
ENTRIES = st.tuples(st.sets(st.integers(0, 6)), st.lists(WINDOWS, max_size=2))


def naive(entries: list[tuple[set[int], list[tuple[int, int]]]], when: datetime) -> bool:
    """Asks of every window that began within the last two days whether the wall clock stands in it."""
    wall = when.replace(tzinfo=None)
    for days, windows in entries:
        for back in (0, 1):
            midnight = datetime(wall.year, wall.month, wall.day) - timedelta(days=back)  # noqa: DTZ001 - wall clock
            if days and midnight.weekday() not in days:
                continue
            for begin, end in windows or [(0, 1440)]:
                length = end - begin if end > begin else end + 1440 - begin
                start = midnight + timedelta(minutes=begin)
                if start <= wall < start + timedelta(minutes=length):
                    return True
    return False


def written(entries: list[tuple[set[int], list[tuple[int, int]]]]) -> list[Days]:
    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    return [
        Days(days=tuple(DAYS[day] for day in days), times=tuple(f"{clock(b)}-{clock(e)}" for b, e in windows))
        for days, windows in entries
    ]


@given(
    st.lists(ENTRIES, max_size=3),
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("America/St_Johns")]),
)
@example([({4}, [(1200, 480)])], datetime(2023, 11, 17, 18, 0, tzinfo=UTC), SHANGHAI)
def test_agrees_with_a_naive_reading(
    entries: list[tuple[set[int], list[tuple[int, int]]]], when: datetime, zone: ZoneInfo
) -> None:
    assert Interval("x", written(entries), zone).holds(when.timestamp()) is naive(entries, when.astimezone(zone))


JUMPS = (  # into summer time and out of it, half an hour of it, and a day that was left out
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/St_Johns", "2026-03-08"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Shanghai", "2026-03-29"),
)
LOOKED_AT = 2 * 1_440


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=2), st.sampled_from(JUMPS), st.integers(-1_440, 1_440))
@example([({4, 5, 6}, [(1_320, 150)])], JUMPS[0], 60)  # 22:00-02:30, in a night without 02:30
@example([({6}, [(150, 240)])], JUMPS[1], 105)  # 02:30-04:00, at the first 02:45 of two
@example([(set(), [(0, 150)])], JUMPS[1], 195)  # at the second 02:15
def test_a_time_is_over_in_the_first_minute_in_which_it_does_not_hold(
    entries: list[tuple[set[int], list[tuple[int, int]]]], jump: tuple[str, str], after: int
) -> None:
    zone, day = jump
    asked = Interval("x", written(entries), ZoneInfo(zone))
    begin = at(f"{day}T00:00", ZoneInfo(zone)) + 60.0 * after
    minutes = range(LOOKED_AT) if asked.holds(begin) else ()
    ends = next((begin + 60.0 * n for n in minutes if not asked.holds(begin + 60.0 * n)), None)
    if not minutes:
        assert asked.until(begin + 7.0) == begin + 7.0
    elif ends is None:
        assert asked.until(begin) >= begin + 60.0 * LOOKED_AT
    else:
        assert asked.until(begin) == ends
        assert asked.until(begin + 7.0) == ends


@pytest.mark.parametrize("when", [-1e18, -1.0, 0.0, 253_402_300_799.0, 1e12, 1e18, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "entry", [Days(), Days(times=("20:00-08:00",)), Days(days=("thursday:saturday",)), Days(days=("monday",))]
)
def test_no_time_has_an_end_that_raises(entry: Days, when: float) -> None:
    asked = interval(entry)
    if asked.holds(when):
        assert 0 < asked.until(when) < 253_402_300_800.0, "in a year of four digits"
    else:
        assert asked.until(when) is when


def test_what_never_ends_has_an_end_in_about_a_year() -> None:
    day = 86_400.0
    for entry in (Days(), Days(days=("monday:sunday",), times=("00:00-12:00", "12:00-24:00"))):
        assert 365 * day < interval(entry).until(at("2026-02-07T10:00")) - at("2026-02-07T10:00") < 368 * day
