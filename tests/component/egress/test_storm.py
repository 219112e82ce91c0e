"""Storms: what exceeds `limits.storm` for one receiver waits, and comes as one digest; nothing of it is lost."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from andon.core.event import Position
from andon.core.outcome import Delivered, Merged
from andon.core.ports import Reply
from andon.testing.builders import event
from tests.component.egress.line import Line, texts


def line(monkeypatch: pytest.MonkeyPatch, over: str = "3/m", **sections: Any) -> Line:
    whole = {
        "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"], "limit": "100000/s"}},
        "receivers": {"group": {"channel": "robot", "template": "fault", "merge": {"over": "100000/s"}}},
        "route": {
            "receiver": "group",
            "routes": [{"matchers": ['severity="critical"'], "urgent": True}],
        },
        "limits": {"storm": {"over": over, "by": ["line", "code"]}},
    }
    return Line(monkeypatch, **(whole | sections))


def _ends(at: Line) -> set[UUID | None]:
    """The deliveries that all others were merged into at last."""
    into = {one.delivery: one.outcome.into for one in at.outcomes if isinstance(one.outcome, Merged)}
    ends = set()
    for one in at.outcomes:
        last = one.delivery
        while last in into:
            last = into[last]
        ends.add(last)
    return ends


def test_what_exceeds_the_rate_comes_as_one_digest_with_the_latest_of_each_subject(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch)
    for number in range(10):
        at.feed(f"s{number % 5}", line="L3", code="E1")
        at.run(1)
    at.feed("s3", "clear", line="L3", code="E1")
    (digest,) = at.run(100)
    assert texts(at.vendor.seen[:3]) == ["s0 raise", "s1 raise", "s2 raise"]
    assert digest.at == 63.0  # the first three are a minute ago, counted in parts of three seconds
    assert digest.text.splitlines()[-1] == "8"
    assert "s3 mes.fault.raised E1 clear" in digest.text
    assert sorted(at.told().values()) == ["delivered/delivered"] * 4 + ["merged/storm"] * 7
    into = {one.outcome.into for one in at.outcomes if isinstance(one.outcome, Merged)}
    assert into == {at.outcomes[-1].delivery}


def test_while_it_goes_on_there_is_one_digest_in_a_period_and_after_it_every_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch)
    for number in range(300):
        at.feed(f"s{number % 7}", line="L3", code="E1")
        at.run(1)
    at.run(200)
    gaps = [b.at - a.at for a, b in zip(at.vendor.seen[2:], at.vendor.seen[3:], strict=False)]
    assert len(at.vendor.seen) == 3 + 5
    assert min(gaps) > 60
    assert max(gaps) <= 64
    told = len(at.vendor.seen)
    at.feed("s1", line="L3", code="E1")
    assert texts(at.run(1)) == ["s1 raise"]
    assert len(at.told()) == 301
    assert told + list(at.told().values()).count("merged/storm") == 300


def test_storms_do_not_hold_up_each_other_nor_what_is_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(6):
        at.feed(f"a{number}", line="L3", code="E1")
    at.run(1)
    for number in range(3):
        at.feed(f"b{number}", line="L3", code="E2")
    assert texts(at.run(1)) == ["b0 raise", "b1 raise", "b2 raise"]
    (digest,) = at.run(100)
    assert "b" not in digest.text.replace("mes.fault", "")


def test_urgent_ones_are_told_at_once_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(5):
        at.feed(f"u{number}", line="L3", code="E1", severity="critical")
    assert len(at.run(0.5)) == 5
    at.feed("a", line="L3", code="E1")
    assert at.run(30) == []
    at.feed("u9", line="L3", code="E1", severity="critical")
    assert texts(at.run(1)) == ["u9 raise"]
    assert texts(at.run(60)) == ["a raise"]


@pytest.mark.parametrize("again", ["before it is over", "after"])
def test_a_restart_lets_no_more_through_and_loses_nothing(monkeypatch: pytest.MonkeyPatch, again: str) -> None:
    at = line(monkeypatch)
    for number in range(10):
        at.feed(f"s{number}", line="L3", code="E1")
    assert len(at.run(1)) == 3
    if again == "after":
        at.now += 100
    at.restart()
    (digest,) = at.run(65 if again == "before it is over" else 1)
    assert digest.text.splitlines()[-1] == "7"
    at.restart()
    at.feed("late", line="L3", code="E1")
    assert at.run(1) == []
    assert texts(at.run(100)) == ["late raise"]
    assert len(at.told()) == 11


def test_each_of_several_people_has_a_storm_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    app = {"kind": "wecom_app", "corp_id": "env:CORP", "agent_id": 1, "secret": "env:SECRET"}
    at = line(
        monkeypatch,
        channels={"app": app},
        receivers={"leader": {"channel": "app", "to": ["fact:machine.leader"], "template": "fault"}},
        route={"receiver": "leader"},
        limits={"storm": {"over": "2/m", "by": ["code"]}, "per_person": "none"},
    )
    for number, leader in enumerate(["wang"] * 5 + ["li"]):
        one = event(
            id=f"e-{number}", subject=f"a{number}", labels={"code": "E1"}, facts={"machine": {"leader": leader}}
        )
        at.route(replace(one, origin=(Position("andon.events", 0, number, round(at.now * 1000)),)))
    assert [seen.to for seen in at.run(1)] == ["wang", "wang", "li"]
    assert [seen.to for seen in at.run(100)] == ["wang"]


def test_a_receiver_that_never_merges_has_no_storms(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = {"channel": "robot", "template": "fault", "merge": "none"}
    at = line(monkeypatch, receivers={"group": receiver})
    for number in range(10):
        at.feed(f"s{number}", line="L3", code="E1")
    assert len(at.run(1)) == 10


def test_groups_keep_their_pace_beside_a_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    route = {"receiver": "group", "group_by": ["subject"], "group_interval": "10s", "repeat_interval": "2h"}
    at = line(monkeypatch, route=route)
    for number in range(8):
        at.feed(f"s{number}", line="L3", code="E1")
    assert len(at.run(1)) == 3
    at.feed("s7", line="L3", code="E1")
    at.run(100)
    at.feed("s5", line="L3", code="E1")
    at.run(100)
    told = list(at.told().values())
    assert told.count("delivered/delivered") == 4
    assert told.count("merged/storm") == 4 + 1
    assert told.count("skipped/repeated") == 1, "what a digest told is told"


def test_a_full_queue_merges_the_storm_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, "1/m", limits={"queue": 500, "storm": {"over": "1/m", "by": ["line"]}})
    robot = at.vendor.answers
    at.feed("first", line="L3")
    at.run(1)
    robot["robot"] = lambda: Reply(200, b'{"errcode":-1,"errmsg":"busy"}', {})
    other = at.feed("other", line="L4")
    for number in range(2_000):
        at.feed(f"s{number}", line="L3")
    robot.clear()
    at.run(200)
    assert _ends(at) == {one.delivery for one in at.outcomes if isinstance(one.outcome, Delivered)}
    assert at.told()[other.id] == "delivered/delivered"
    assert texts(at.vendor.seen)[:2] == ["first raise", "other raise"]
    assert at.vendor.seen[2].text.splitlines()[-1] == "2000"
    assert len(at.vendor.seen) == 3
    assert len(at.told()) == 2_002


def test_what_could_not_be_delivered_takes_its_storm_along_to_who_is_told_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channels = {
        name: {"kind": "wecom_robot", "keys": [f"env:{key}"], "limit": "100000/s"}
        for name, key in (("robot", "ROBOT"), ("spare", "OTHER"))
    }
    rule = {"template": "fault", "merge": {"over": "100000/s"}}
    receivers = {
        "group": {"channel": "robot", "fallback": [{"receiver": "second"}], **rule},
        "second": {"channel": "spare", **rule},
    }
    at = line(monkeypatch, channels=channels, receivers=receivers)
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
    for number in range(10):
        at.feed(f"s{number}", line="L3", code="E1")
    at.run(300)
    assert [one.to for one in at.vendor.seen] == ["other"] * 4
    assert at.vendor.seen[-1].text.splitlines()[-1] == "7"
