"""The working calendar: real make-up days, a plant's own file, and what is not known."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from andon.config.calendar import Interval
from andon.config.settings import Settings
from andon.config.sheet import TableError
from andon.config.times import Days
from andon.config.workdays import china, read_overrides, with_overrides
from andon.core.delivery import Remark
from andon.core.outcome import Skipped
from andon.core.reason import Reason
from andon.core.tables import Tables
from andon.core.workdays import Workdays, WorkingCalendar
from andon.routing import Router, RoutingStage, check, explain
from andon.routing.years import unknown_years
from tests.unit.routing.events import event, receivers, settings

SHANGHAI = ZoneInfo("Asia/Shanghai")
CHINA = china()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def table(folder: Path, *rows: str) -> Path:
    file = folder / "suzhou.csv"
    file.write_text("\n".join(["date,day,note", *rows]), encoding="utf-8")
    return file


# 国办发明电〔2024〕12号 for 2025, 国办发明电〔2025〕7号 for 2026.
@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2025-01-01", False),
        ("2025-01-26", True),  # a Sunday, made up for 春节
        ("2025-01-28", False),  # 除夕, a Tuesday
        ("2025-02-04", False),
        ("2025-02-05", True),
        ("2025-04-27", True),  # a Sunday, made up for 劳动节
        ("2025-09-27", False),  # an ordinary Saturday
        ("2025-09-28", True),  # a Sunday, made up for 国庆节 and 中秋节
        ("2025-10-08", False),  # a Wednesday
        ("2025-10-09", True),
        ("2025-10-11", True),  # a Saturday, made up for 国庆节
        ("2025-10-12", False),
        ("2026-01-02", False),  # a Friday
        ("2026-01-04", True),  # a Sunday, made up for 元旦
        ("2026-02-14", True),
        ("2026-02-16", False),
        ("2026-02-23", False),
        ("2026-02-28", True),
        ("2026-09-20", True),  # a Sunday, made up for 国庆节
        ("2026-10-07", False),
        ("2026-10-10", True),  # a Saturday, made up for 国庆节
    ],
)
def test_days_of_china(day: str, works: bool) -> None:
    assert WorkingCalendar(CHINA).works(date.fromisoformat(day)) is works


def test_a_year_that_nobody_has_announced_is_not_known() -> None:
    calendar, last = WorkingCalendar(CHINA), CHINA.years[-1]
    assert CHINA.years == tuple(range(CHINA.years[0], last + 1))
    assert last >= 2026
    assert calendar.works(date(last, 12, 31)) is not None
    assert calendar.works(date(last + 1, 1, 1)) is None
    assert calendar.works(date(last + 1, 7, 3)) is None
    assert calendar.works(date(2003, 7, 3)) is None


def test_a_plant_does_otherwise(tmp_path: Path) -> None:
    file = table(tmp_path, "2026/10/10,off,设备大修", "2026-10-05,work,抢修", "2026/1/3,work,", "2099-05-04,work,")
    calendar = WorkingCalendar(with_overrides(CHINA, read_overrides(file)))
    days = ("2026-10-10", "2026-10-05", "2026-01-03", "2099-05-04", "2099-05-05")
    assert [calendar.works(date.fromisoformat(day)) for day in days] == [False, True, True, True, None]


def test_a_file_can_give_a_whole_year(tmp_path: Path) -> None:
    file = table(tmp_path, "2099,complete,国办发明电", "2099-10-01,off,", "2099-10-10,work,")
    calendar = WorkingCalendar(read_overrides(file))
    days = ("2099-10-01", "2099-10-02", "2099-10-03", "2099-10-10", "2098-10-01")
    assert [calendar.works(date.fromisoformat(day)) for day in days] == [False, True, False, True, None]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("2026-13-01,off,", "suzhou.csv, line 2: '2026-13-01' is not a date; write for example 2026-10-10"),
        ("tomorrow,off,", "'tomorrow' is not a date"),
        ("2026-10-10,maybe,", "'maybe' says nothing of a day; write work or off"),
        ("2026-10-10,complete,", "'complete' says nothing of a day"),
        ("2026,off,", "'2026' is not a date"),
        ("2026-10-10,off,\n2026/10/10,work,", "line 3: 2026-10-10 appears a second time"),
    ],
)
def test_mistakes_of_a_file(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        read_overrides(table(tmp_path, row))


def interval(*words: str, times: tuple[str, ...] = (), workdays: Workdays = CHINA) -> Interval:
    return Interval("x", [Days(days=words, times=times)], SHANGHAI, workdays)


def verdict(asked: Interval, text: str) -> bool | None:
    return asked.holds(moment(text).timestamp())


def test_workday_and_holiday_are_opposites() -> None:
    for day, works in (("2026-10-10", True), ("2026-10-01", False), ("2026-10-11", False), ("2026-10-12", True)):
        assert verdict(interval("workday"), f"{day}T10:00") is works
        assert verdict(interval("holiday"), f"{day}T10:00") is not works


def test_words_are_alternatives() -> None:
    asked = interval("workday", "saturday")
    assert [verdict(asked, f"2026-10-{day}T10:00") for day in ("10", "17", "18")] == [True, True, False]


def test_a_night_after_the_last_workday_before_a_holiday() -> None:
    asked = interval("workday", times=("20:00-08:00",))
    assert verdict(asked, "2026-09-30T23:00") is True
    assert verdict(asked, "2026-10-01T07:59") is True  # the night that began on Wednesday, a workday
    assert verdict(asked, "2026-10-01T20:00") is False
    assert verdict(asked, "2026-10-08T07:00") is False  # the night that began on the last day of the holiday


def test_only_what_hangs_on_the_unknown_day_is_unknown() -> None:
    asked = interval("workday", times=("08:00-20:00",))
    assert verdict(asked, "2099-05-04T07:59") is False
    assert verdict(asked, "2099-05-04T08:00") is None
    either = interval("workday", "monday")
    assert verdict(either, "2099-05-04T08:00") is True  # a Monday
    assert verdict(either, "2099-05-05T08:00") is None
    years = Interval("x", [Days(days=("workday",), years=("2026",))], SHANGHAI, CHINA)
    assert verdict(years, "2099-05-05T08:00") is False


def test_a_night_over_new_year_belongs_to_the_year_it_begins_in() -> None:
    asked = interval("workday", times=("20:00-08:00",), workdays=Workdays(years=(2026,)))
    assert verdict(asked, "2027-01-01T07:00") is True
    assert verdict(asked, "2027-01-01T20:00") is None


def routed(route: dict[str, Any], when: str) -> tuple[Router, Any]:
    given = settings(
        {"receiver": "it", "routes": [{"receiver": "line", **route}]},
        receivers=receivers("it", "line"),
        calendar={
            "holidays": "china",
            "time_intervals": {"work": [{"days": ["workday"]}], "always": [{"times": ["00:00-24:00"]}]},
        },
    )
    router = Router(given, 1, {"it": "d", "line": "d"}, Tables(CHINA))
    return router, event(at=moment(when))


@pytest.mark.parametrize("key", ["active_time_intervals", "mute_time_intervals"])
def test_on_an_unknown_day_a_route_speaks_and_says_why(key: str) -> None:
    router, given = routed({key: ["work"]}, "2099-05-04T10:00")
    remark = Remark(Reason.UNKNOWN_DAY, "0.0 work")
    (delivery,) = router.route(given).outputs
    assert (delivery.receiver, delivery.remarks) == ("line", (remark,))
    assert explain(router, given).told[0].remarks == (remark,)


def test_on_a_known_day_there_is_nothing_to_say() -> None:
    router, given = routed({"active_time_intervals": ["work"]}, "2026-10-10T10:00")
    assert router.route(given).outputs[0].remarks == ()
    router, given = routed({"mute_time_intervals": ["work"]}, "2026-10-10T10:00")
    assert router.route(given).ended == Skipped(Reason.MUTED, "0.0 work")
    router, given = routed({"active_time_intervals": ["work"]}, "2026-10-01T10:00")
    assert router.route(given).ended == Skipped(Reason.INACTIVE, "0.0 work")


def test_what_another_interval_says_for_certain_is_enough() -> None:
    router, given = routed({"active_time_intervals": ["work", "always"]}, "2099-05-04T10:00")
    assert router.route(given).outputs[0].remarks == ()
    router, given = routed({"mute_time_intervals": ["work", "always"]}, "2099-05-04T10:00")
    assert router.route(given).ended == Skipped(Reason.MUTED, "0.0 always")


def test_remarks_are_counted() -> None:
    router, given = routed({"active_time_intervals": ["work"]}, "2099-05-04T10:00")
    counted: list[Reason] = []
    stage = RoutingStage(router, counted.append)

    async def twice() -> None:
        await stage([given, given])

    asyncio.run(twice())
    assert counted == [Reason.UNKNOWN_DAY] * 2


def test_a_calendar_is_needed_for_its_words() -> None:
    given = settings(
        {"receiver": "it"},
        receivers=receivers("it"),
        calendar={"time_intervals": {"work": [{"days": ["workday"], "months": ["may:13"]}]}},
    )
    place = ("calendar", "time_intervals", "work", 0)
    assert [path for path, _ in check(given)] == [(*place, "days", 0), (*place, "months", 0)]


def test_no_service_loads_the_package() -> None:
    script = "import andon.routing.app, sys; assert 'chinese_calendar' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_year_that_is_missing_is_said_in_time() -> None:
    asked = settings(
        {"receiver": "it"}, calendar={"holidays": "china", "time_intervals": {"work": [{"days": ["workday"]}]}}
    )
    known = Workdays(years=(2025, 2026))

    def missing(day: str, of: Settings = asked) -> list[int]:
        return [year for year, _ in unknown_years(of, known, date.fromisoformat(day))]

    assert missing("2026-11-30") == []
    assert missing("2026-12-01") == [2027]
    assert missing("2027-01-01") == [2027]
    assert missing("2027-12-31") == [2027, 2028]
    assert missing("2027-01-01", settings({"receiver": "it"})) == []
    window = {"weekly": {"matchers": ["line=L3"], "days": ["holiday"], "times": ["06:00-10:00"]}}
    planned = settings({"receiver": "it"}, calendar={"holidays": "china"}, maintenance=window)
    assert missing("2027-01-01", planned) == [2027]
    assert check(planned) == []
    ((_, (place, text)),) = unknown_years(asked, known, date(2027, 1, 1))
    assert place == ("calendar", "time_intervals", "work", 0, "days", 0)
    assert "does not know 2027 (it knows 2025 to 2026)" in text
    assert "2027,complete" in text
