"""The clock is set back by hours after the desk has sent: groups and storms that had spoken speak again in time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from andon.core.event import Position
from andon.core.ports import Reply
from andon.testing.builders import event
from tests.component.egress.line import START, Line, Seen

BACK = 8 * 3_600.0
DOWN = Reply(500, b"", {})
CHANNEL = {"kind": "wecom_robot", "keys": ["env:ROBOT"], "limit": "100000/s"}


def line(monkeypatch: pytest.MonkeyPatch, **sections: Any) -> Line:
    whole = {
        "channels": {"robot": CHANNEL},
        "receivers": {"group": {"channel": "robot", "template": "fault", "merge": {"over": "100000/s"}}},
        "route": {
            "receiver": "group",
            "group_by": ["line"],
            "group_wait": "5s",
            "group_interval": "1m",
            "routes": [{"matchers": ['severity="critical"'], "urgent": True}],
        },
    }
    return Line(monkeypatch, **(whole | sections))


def set_back(at: Line, by: float = BACK) -> float:
    """When the desk starts again, in seconds after the beginning."""
    at.now -= by
    at.restart()
    return at.now - START


def test_a_group_that_has_spoken_waits_one_interval_and_an_urgent_event_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch)
    at.feed("a", line="L3")
    assert len(at.run(10)) == 1
    began = set_back(at)
    at.feed("b", line="L3")
    at.feed("c", line="L3", severity="critical")
    assert at.run(0) == [Seen(began, "robot", "c raise")]
    (seen,) = at.run(200)
    assert (seen.at, seen.text) == (began + 60, "b raise")


def test_what_waited_for_its_group_leaves_after_the_wait_of_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.feed("a", line="L3")
    at.run(1)
    began = set_back(at)
    assert [one.at for one in at.run(100)] == [began + 5]


def test_what_the_log_took_before_and_the_desk_takes_after_it_waits_no_longer_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch)
    ahead = (Position("andon.events", 0, 9, round((START + BACK) * 1000)),)
    time = datetime.fromtimestamp(START + BACK, UTC)
    at.route(event(id="e-9", subject="b", time=time, labels={"state": "raise", "line": "L4"}, origin=ahead))
    assert at.run(100) == [Seen(5.0, "robot", "b raise")]


def test_a_state_that_was_told_is_told_again_one_repeat_interval_after_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch, route={"receiver": "group", "group_by": ["line"], "repeat_interval": "1h"})
    at.feed("a", line="L3")
    assert len(at.run(10)) == 1
    set_back(at)
    at.feed("a", line="L3")
    assert at.run(3_000) == []
    at.run(600)
    at.feed("a", line="L3")
    assert len(at.run(100)) == 1
    assert list(at.told().values()) == ["delivered/delivered", "skipped/repeated", "delivered/delivered"]


def test_a_fault_whose_end_was_told_by_another_route_is_told_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = [{"matchers": ['state="clear"'], "group_by": ["severity"]}]
    route = {"receiver": "group", "group_by": ["line"], "repeat_interval": "4h", "routes": routes}
    at = line(monkeypatch, route=route)
    at.feed("a", line="L3")
    at.run(10)
    at.feed("a", "clear", line="L3")
    assert len(at.run(10)) == 1
    set_back(at)
    at.feed("a", line="L3")
    assert [one.text for one in at.run(100)] == ["a raise"]


def test_a_storm_goes_on_after_its_period_and_never_above_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    storm = {"storm": {"over": "3/m", "by": ["line"]}}
    at = line(monkeypatch, route={"receiver": "group"}, limits=storm)
    for number in range(3):
        at.feed(f"s{number}", line="L3")
        at.run(1)
    at.feed("s3", line="L3")
    assert len(at.vendor.seen) == 3
    began = set_back(at)
    for number in range(4, 6):
        at.feed(f"s{number}", line="L3")
    (digest,) = at.run(200)
    assert (digest.at, digest.text[-1]) == (began + 60, "3")
    assert at.run(1_000) == []


def test_a_fallback_is_told_as_long_after_the_event_as_it_was_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    group = {"channel": "robot", "template": "fault", "fallback": [{"receiver": "others", "after": "10m"}]}
    at = line(
        monkeypatch,
        channels={"robot": CHANNEL, "other": CHANNEL | {"keys": ["env:OTHER"]}},
        receivers={"group": group, "others": {"channel": "other", "template": "fault"}},
        route={"receiver": "group"},
    )
    at.vendor.answers["robot"] = lambda: DOWN
    at.feed("a")
    at.run(60)
    began = set_back(at)
    (seen,) = at.run(2_000)
    assert (seen.to, seen.at) == ("other", began + 600), "its event counts as of the start"
