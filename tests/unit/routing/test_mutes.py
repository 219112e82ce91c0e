"""Mutes and maintenance windows: what they take, until when, and where they stand among the other rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from andon.config.calendar import Interval
from andon.config.times import Days
from andon.core.delivery import Delivery
from andon.core.mute import Mute
from andon.core.outcome import Skipped
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.core.tables import Tables
from andon.core.workdays import Workdays
from andon.routing import Router, check, explain
from tests.unit.routing.events import TUESDAY_NOON, event, receivers, settings

ROUTE: dict[str, Any] = {
    "receiver": "it",
    "group_by": ["line"],
    "group_wait": "5s",
    "routes": [
        {"matchers": ['severity="critical"'], "receiver": "oncall", "urgent": True, "continue": True},
        {"matchers": ['line="L3"'], "receiver": "l3"},
    ],
}
L3 = {"line": "L3", "severity": "critical"}
ZONE = ZoneInfo("Asia/Shanghai")
HOUR = timedelta(hours=1)


def mute(
    then: Any = "digest", *matchers: str, begins: timedelta = -HOUR, ends: timedelta = HOUR, which: str = "m3"
) -> Mute:
    return Mute(which, matchers or ('line="L3"',), TUESDAY_NOON + begins, TUESDAY_NOON + ends, "wang", "换模", then)


def router(*mutes: Mute, **sections: Any) -> Router:
    given = settings(ROUTE, receivers=receivers("it", "oncall", "l3"), **sections)
    return Router(given, 7, {name: f"domain-of-{name}" for name in given.receivers}, mutes=mutes)


def route(given: Router, at: datetime = TUESDAY_NOON, **labels: str) -> Result[Delivery]:
    return given.route(event(at=at, labels=labels or L3))


def test_one_that_drops_ends_the_event_before_any_route_is_asked() -> None:
    assert route(router(mute("drop"))) == Result((), Skipped(Reason.SILENCED, "mute m3"))


def test_an_urgent_event_is_muted_like_any_other_and_overtakes_nothing_when_it_is_told() -> None:
    found = route(router(mute()))
    assert [(one.receiver, one.urgent) for one in found.outputs] == [("oncall", False), ("l3", False)]
    for one in found.outputs:
        assert one.held is not None
        assert (one.held.by, one.held.until) == ("mute m3", TUESDAY_NOON + HOUR)
        assert one.pace is None
    assert len({one.batch for one in found.outputs}) == 1, "one digest, of whatever route"


def test_everything_else_of_a_held_delivery_is_as_without() -> None:
    held, plain = route(router(mute())).outputs, route(router()).outputs
    for one, other in zip(held, plain, strict=True):
        changed = {name for name in Delivery.__struct_fields__ if getattr(one, name) != getattr(other, name)}
        assert changed <= {"urgent", "batch", "pace", "held"}
        assert one.id == other.id


@pytest.mark.parametrize(
    ("after", "muted"), [(-HOUR, True), (-HOUR - timedelta(milliseconds=1), False), (HOUR, False), (timedelta(0), True)]
)
def test_it_is_the_acceptance_that_counts_from_the_beginning_to_before_the_end(after: timedelta, muted: bool) -> None:
    found = route(router(mute("drop")), TUESDAY_NOON + after)
    assert (found.ended is not None) is muted


def test_what_it_does_not_match_is_told() -> None:
    assert route(router(mute("drop")), line="L4").ended is None
    assert route(router(mute("drop", 'line="L3"', "severity=minor"))).ended is None


def test_a_drop_goes_before_a_digest_and_of_digests_the_last_to_end() -> None:
    soon, late = mute(ends=HOUR, which="m3"), mute(ends=2 * HOUR, which="m4")
    for order in ((soon, late), (late, soon)):
        (first, *_) = route(router(*order)).outputs
        assert first.held is not None
        assert first.held.by == "mute m4"
        assert route(router(*order, mute("drop", which="m9"))).ended == Skipped(Reason.SILENCED, "mute m9")


def test_what_no_route_would_have_told_is_not_held() -> None:
    quiet = {**ROUTE, "routes": [{"matchers": ['line="L3"'], "receiver": "l3", "mute_time_intervals": ["noon"]}]}
    given = settings(
        quiet, receivers=receivers("it", "l3"), calendar={"time_intervals": {"noon": [{"times": ["12:00-13:00"]}]}}
    )
    found = route(Router(given, 7, {"it": "d", "l3": "d"}, mutes=(mute(),)))
    assert found == Result((), Skipped(Reason.MUTED, "0.0 noon"))


def test_the_same_event_and_version_give_the_same_bytes() -> None:
    one, other = (msgspec.json.encode(route(router(mute(), mute(which="m4"))).outputs) for _ in range(2))
    assert one == other


# ---- maintenance

WEEKLY = {"matchers": ['line="L3"'], "days": ["sunday"], "times": ["06:00-10:00"], "owner": "设备科"}
SUNDAY = datetime(2023, 11, 12, 6, 0, tzinfo=ZONE)


def test_a_maintenance_window_holds_until_its_end() -> None:
    given = router(maintenance={"l3-weekly": WEEKLY})
    (first, *_) = route(given, SUNDAY).outputs
    assert first.held is not None
    assert (first.held.by, first.held.until) == ("maintenance l3-weekly", SUNDAY + 4 * HOUR)
    assert first.batch != route(given, SUNDAY + timedelta(days=7)).outputs[0].batch, "each week has its own digest"
    for outside in (SUNDAY - timedelta(seconds=1), SUNDAY + 4 * HOUR, SUNDAY + timedelta(days=1)):
        assert all(one.held is None for one in route(given, outside).outputs)


def test_a_maintenance_window_that_drops_names_itself() -> None:
    given = router(maintenance={"l3-weekly": {**WEEKLY, "then": "drop"}})
    assert route(given, SUNDAY).ended == Skipped(Reason.MAINTENANCE, "maintenance l3-weekly")


@pytest.mark.parametrize(
    ("days", "times", "at", "ends"),
    [
        ((), ("22:00-06:00",), "2023-11-14T23:00", "2023-11-15T06:00"),
        ((), ("22:00-06:00",), "2023-11-15T05:59", "2023-11-15T06:00"),
        (("friday",), ("22:00-06:00",), "2023-11-18T02:00", "2023-11-18T06:00"),
        ((), ("08:00-10:00", "09:00-12:00"), "2023-11-14T08:30", "2023-11-14T12:00"),
        ((), ("08:00-10:00", "10:00-12:00"), "2023-11-14T08:30", "2023-11-14T12:00"),
        (("saturday:sunday",), (), "2023-11-18T08:30", "2023-11-20T00:00"),
        (("sunday:saturday",), ("00:00-12:00",), "2023-11-14T00:00", "2023-11-14T12:00"),
    ],
)
def test_when_a_window_ends(days: tuple[str, ...], times: tuple[str, ...], at: str, ends: str) -> None:
    interval = Interval("i", [Days(days=days, times=times)], ZONE)
    moment, end = (datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() for text in (at, ends))
    assert interval.until(moment) == end
    assert interval.holds(end - 1)
    assert not interval.holds(end)


def test_a_window_ends_by_the_clock_on_the_wall_also_when_that_is_changed() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    interval = Interval("i", [Days(days=("sunday",), times=("01:00-05:00",))], berlin)
    for day in ("2023-03-26", "2023-10-29"):
        at = datetime.fromisoformat(f"{day}T01:30").replace(tzinfo=berlin).timestamp()
        assert interval.until(at) == datetime.fromisoformat(f"{day}T05:00").replace(tzinfo=berlin).timestamp()


def shut(*days: str, off: tuple[str, ...] = ("2026-02-09", "2026-02-24")) -> Router:
    """A plant that does not work on days off, and in 2026 from one day to the other."""
    first, last = map(date.fromisoformat, off)
    closed = tuple(first + timedelta(days=number) for number in range((last - first).days + 1))
    given = settings(
        ROUTE,
        receivers=receivers("it", "oncall", "l3"),
        calendar={"overrides": "plant.csv"},
        maintenance={"shut": {"matchers": ['line="L3"'], "days": days}},
    )
    assert check(given) == []
    tables = Tables(Workdays(years=(2026,), off=closed))
    return Router(given, 7, {name: f"domain-of-{name}" for name in given.receivers}, tables)


@pytest.mark.parametrize(
    ("off", "end"),
    [
        (("2026-02-09", "2026-02-24"), "2026-02-25"),
        (("2026-06-01", "2026-08-31"), "2026-09-01"),  # a summer of three months
        (("2026-12-21", "2026-12-31"), "2027-01-01"),  # the next year is not known, so nothing is said of it
    ],
)
def test_a_long_time_without_work_is_one_window_with_one_digest(off: tuple[str, str], end: str) -> None:
    given = shut("holiday", off=off)
    days = [datetime.fromisoformat(f"{off[0]}T10:00").replace(tzinfo=ZONE) + timedelta(days=n) for n in range(11)]
    held = [route(given, day).outputs[0] for day in days]
    assert len({one.batch for one in held}) == 1
    assert {one.held.until for one in held if one.held} == {datetime.fromisoformat(end).replace(tzinfo=ZONE)}


def test_outside_a_window_it_is_over_at_once() -> None:
    assert Interval("i", [Days(days=("sunday",))], ZONE).until(TUESDAY_NOON.timestamp()) == TUESDAY_NOON.timestamp()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"days": [], "times": []}, "never be over"),
        ({"days": ["monday:sunday"], "times": ["00:00-12:00", "12:00-24:00"]}, "never be over"),
        ({"days": ["workday", "holiday"], "times": []}, "never be over"),
        ({"days": ["holiday", "monday", "workday"], "times": ["00:00-12:00", "11:00-24:00"]}, "never be over"),
        ({"matchers": []}, "1 to 20 matchers"),
        ({"matchers": ['line!="L4"']}, "mute everything"),
        ({"matchers": ["line"]}, "after the name"),
        ({"days": ["sunnyday"]}, "is not a day"),
        ({"times": ["6-10"]}, "is not a time window"),
    ],
)
def test_what_is_no_maintenance_window(changed: dict[str, Any], told: str) -> None:
    given = settings(
        ROUTE,
        receivers=receivers("it", "oncall", "l3"),
        calendar={"holidays": "china"},
        maintenance={"w": {**WEEKLY, **changed}},
    )
    ((place, text),) = check(given)
    assert place[:2] == ("maintenance", "w")
    assert told in text


@pytest.mark.parametrize(
    "window",
    [
        {"days": ["friday:wednesday"], "times": ["00:00-24:00", "12:00-11:00"]},  # but for an afternoon
        {"days": ["workday", "holiday"], "times": ["00:00-23:59"]},
        {"days": ["holiday", "monday:friday"], "times": []},  # but for the Saturdays that make up for a holiday
    ],
)
def test_however_long_a_window_is_it_is_one_if_it_ends(window: dict[str, Any]) -> None:
    given = settings(
        ROUTE,
        receivers=receivers("it", "oncall", "l3"),
        calendar={"holidays": "china"},
        maintenance={"w": {**WEEKLY, **window}},
    )
    assert check(given) == []


def test_explain_shows_the_mutes_in_force_each_with_what_it_saw() -> None:
    given = router(
        mute(which="m3"), mute("drop", 'line="L4"', which="m4"), mute(begins=HOUR, ends=2 * HOUR, which="m5")
    )
    found = explain(given, event(at=TUESDAY_NOON, labels=L3))
    assert [(one.by, one.then, [seen.held for seen in one.matchers]) for one in found.mutes] == [
        ("mute m3", "digest", [True]),
        ("mute m4", "drop", [False]),
    ]
    assert found.mutes[1].matchers[0].value == "L3"
    assert found.held is not None
    assert found.held.by == "mute m3"
    assert found.receivers == ("oncall", "l3")
    dropped = explain(router(mute("drop")), event(at=TUESDAY_NOON, labels=L3))
    assert (dropped.ended, dropped.receivers) == (Skipped(Reason.SILENCED, "mute m3"), ())


def test_the_end_is_written_in_utc_for_bytes_to_be_equal_everywhere() -> None:
    (first, *_) = route(router(maintenance={"l3-weekly": WEEKLY}), SUNDAY).outputs
    assert first.held is not None
    assert first.held.until.tzinfo is UTC
