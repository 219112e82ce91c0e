"""What is not told while its cause is known: held back, told when the cause ends, and never lost."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.event import Event
from andon.kafka.codecs import encode
from andon.testing.builders import event
from andon.ticketing.episode import advance
from andon.ticketing.records import records
from tests.component.egress.line import Line, texts

RULES = [
    {
        "source_matchers": ['code="LINE_STOP"'],
        "target_matchers": ['severity=~"minor|major"'],
        "equal": ["line"],
    }
]
CRITICAL = {"matchers": ['severity="critical"'], "urgent": True}


def line(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Line:
    return Line(
        monkeypatch,
        channels={"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
        receivers={"group": {"channel": "robot", "template": "fault"}},
        route={"receiver": "group", "routes": [CRITICAL], **more},
        ticket_systems={"tracker": {"kind": "roundup"}},
        episodes={"fault": {"matchers": ['type=~".*"'], "key": ["subject", "code"], "ticket_system": "tracker"}},
        inhibit_rules=RULES,
    )


def cause(at: Line, state: str, **labels: str) -> None:
    """The stop of a line, as the ticketing desk tells of it."""
    raised = event(id="stop", subject="line-3", labels={"state": "raise", "code": "LINE_STOP", "line": "L3", **labels})
    key = f"line-3/LINE_STOP{labels or ''}"
    episode, _ = advance(None, raised, key)
    (record,) = records(None, episode, raised)
    at.causes.take(key.encode(), encode(record) if state == "raise" else b"")


def fault(at: Line, subject: str, state: str = "raise", severity: str = "minor", of: str = "L3") -> Event:
    return at.feed(subject, state, severity=severity, line=of, code="E-1")


def test_it_waits_for_the_cause_to_end_and_is_told_then(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise")
    fault(at, "M-07")
    assert at.run(600) == []
    cause(at, "clear")
    assert texts(at.run(2)) == ["M-07 raise"]


def test_what_has_no_such_cause_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise")
    fault(at, "other line", of="L4")
    fault(at, "urgent", severity="critical")
    fault(at, "end", "clear")
    assert sorted(texts(at.run(1))) == ["end clear", "other line raise", "urgent raise"]


def test_who_ended_before_the_cause_is_not_told_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise")
    one, two = fault(at, "M-07"), fault(at, "M-07", "clear")
    assert at.run(60) == []
    assert at.told() == {one.id: "skipped/inhibited", two.id: "skipped/inhibited"}
    assert {getattr(told.outcome, "by", "") for told in at.outcomes} == {"inhibit_rules[0] line-3/LINE_STOP"}
    cause(at, "clear")
    assert at.run(60) == []


def test_the_end_of_what_was_told_before_is_told_though_what_came_meanwhile_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch, group_by=["line"], repeat_interval="4h")
    fault(at, "M-07")
    at.run(5)
    cause(at, "raise")
    at.restart()
    worse = fault(at, "M-07", severity="major")
    fault(at, "M-07", "clear")
    assert texts(at.run(60)) == ["M-07 clear"]
    assert at.told()[worse.id] == "skipped/inhibited"
    again = fault(at, "M-07")
    fault(at, "M-07", "clear")
    assert at.run(60) == []
    assert at.told()[again.id] == "skipped/inhibited"


def test_what_is_urgent_is_told_although_its_end_came_before_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, urgent=True)
    cause(at, "raise")
    fault(at, "M-07")
    fault(at, "M-07", "clear")
    assert texts(at.run(60)) == ["M-07 raise", "M-07 clear"]


def test_an_end_that_lacks_the_labels_of_its_beginning_is_not_told_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise")
    one = fault(at, "M-07")
    two = at.feed("M-07", "clear", line="L3", code="E-1")
    assert at.run(60) == []
    assert at.told() == {one.id: "skipped/inhibited", two.id: "skipped/inhibited"}


def test_neither_a_raise_nor_its_clear_is_told_though_something_older_waits_for_another_receiver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both receivers share a robot, so that what waits for one is weighed against what waits for the other."""
    at = Line(
        monkeypatch,
        channels={"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
        receivers={name: {"channel": "robot", "template": "fault"} for name in ("group", "other")},
        route={"receiver": "group", "routes": [{"matchers": ['severity="none"'], "receiver": "other"}]},
        ticket_systems={"tracker": {"kind": "roundup"}},
        episodes={"fault": {"matchers": ['type=~".*"'], "key": ["subject", "code"], "ticket_system": "tracker"}},
        inhibit_rules=RULES,
    )
    cause(at, "raise")
    one = fault(at, "M-07")
    at.feed("M-08", severity="none")
    two = fault(at, "M-07", "clear")
    assert texts(at.run(60)) == ["M-08 raise"]
    told = at.told()
    assert (told[one.id], told[two.id]) == ("skipped/inhibited", "skipped/inhibited")


def test_a_cause_does_not_hold_itself_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise", severity="major")
    labels = {"state": "raise", "code": "LINE_STOP", "line": "L3", "severity": "major"}
    at.causes.open = {"line-3/LINE_STOP": next(iter(at.causes.open.values()))}
    at.route(event(id="stop", subject="line-3", labels=labels, data={}))
    assert texts(at.run(1)) == ["line-3 raise"]


def test_nothing_is_forgotten_by_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    cause(at, "raise")
    fault(at, "M-07")
    at.run(60)
    at.restart()
    assert at.run(60) == []
    cause(at, "clear")
    assert texts(at.run(2)) == ["M-07 raise"]


def test_until_the_causes_are_known_it_waits_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.causes.known = False
    fault(at, "M-07")
    assert at.run(25) == []
    assert texts(at.run(10)) == ["M-07 raise"]


def test_in_a_group_what_is_held_back_stays_and_the_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_by=["line"], group_wait="5s")
    cause(at, "raise")
    fault(at, "M-07")
    at.feed("M-08", severity="none", line="L3", code="E-2")
    assert texts(at.run(60)) == ["M-08 raise"]


def test_a_fallback_is_not_asked_for_what_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Line(
        monkeypatch,
        channels={name: {"kind": "wecom_robot", "keys": [f"env:{name}"]} for name in ("ROBOT", "OTHER")},
        receivers={
            "group": {"channel": "ROBOT", "template": "fault", "fallback": [{"receiver": "second", "after": "1m"}]},
            "second": {"channel": "OTHER", "template": "fault"},
        },
        route={"receiver": "group"},
        ticket_systems={"tracker": {"kind": "roundup"}},
        episodes={"fault": {"ticket_system": "tracker"}},
        inhibit_rules=RULES,
    )
    cause(at, "raise")
    fault(at, "M-07")
    assert at.run(600) == []
    cause(at, "clear")
    assert [one.to for one in at.run(2)] == ["robot"]


def test_what_cannot_be_read_is_no_cause() -> None:
    from andon.egress.inhibition import Causes

    causes = Causes()
    causes.take(b"k", b"{")
    causes.take(None, b"")
    assert causes.open == {}


@pytest.mark.parametrize(("severity", "held"), [("minor", False), ("critical", True)])
def test_two_that_are_both_cause_and_effect_do_not_hold_each_other_back(
    monkeypatch: pytest.MonkeyPatch, severity: str, held: bool
) -> None:
    """As in Alertmanager; a cause that is no effect holds back both."""
    at = line(monkeypatch)
    cause(at, "raise", severity=severity)
    at.feed("M-07", "raise", severity="minor", line="L3", code="LINE_STOP")
    assert texts(at.run(2)) == ([] if held else ["M-07 raise"])
