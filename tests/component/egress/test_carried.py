"""What carries others is told whatever it says itself: with it, all that became part of it would be lost."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.outcome import Merged, OutcomeRecord, name_of
from andon.core.ports import Reply
from tests.component.egress.line import Line, texts
from tests.component.egress.test_inhibition import RULES, cause, fault
from tests.component.egress.test_inhibition import line as inhibited

GONE = Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
BUSY = Reply(200, b'{"errcode":-1,"errmsg":"busy"}', {})


def line(monkeypatch: pytest.MonkeyPatch, **route: Any) -> Line:
    return Line(
        monkeypatch,
        channels={"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
        receivers={"group": {"channel": "robot", "template": "fault"}},
        route={"receiver": "group", **route},
        limits={"queue": 500},
    )


def ends(at: Line) -> dict[str, str]:
    """How each event ended for people: as what it was merged into did."""
    by_id = {one.delivery: one for one in at.outcomes}
    found = {}
    for one in at.outcomes:
        last: OutcomeRecord | None = one
        while last is not None and isinstance(last.outcome, Merged):
            last = by_id.get(last.outcome.into)
        found[one.event] = f"{name_of(last.outcome)}/{last.outcome.reason}" if last else "open"
    return found


def with_fallback(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Line:
    """A group of one robot, and another robot's for what it cannot be told."""
    return Line(
        monkeypatch,
        channels={name: {"kind": "wecom_robot", "keys": [f"env:{name}"]} for name in ("ROBOT", "OTHER")},
        receivers={
            "group": {"channel": "ROBOT", "template": "fault", "fallback": [{"receiver": "second"}]},
            "second": {"channel": "OTHER", "template": "fault"},
        },
        route={"receiver": "group", "group_by": ["line"], "group_wait": "5s"},
        **more,
    )


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_a_full_queue_is_not_lost_with_a_repeat_that_it_was_merged_into(
    monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    at = line(monkeypatch, group_by=["line"], group_interval="5m", repeat_interval="2h")
    at.feed("a")
    at.run(1)
    at.feed("a")
    new = [at.feed(f"s{number}").id for number in range(501)]
    if again:
        at.restart()
    at.run(900)
    assert {ends(at)[one] for one in new} == {"delivered/delivered"}


def test_a_full_queue_is_not_lost_with_what_its_cause_made_needless(monkeypatch: pytest.MonkeyPatch) -> None:
    at = inhibited(monkeypatch, group_by=["line"])
    cause(at, "raise")
    fault(at, "M-07")
    assert at.run(5) == []
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', {})
    fault(at, "first", of="L4")
    at.run(5)
    new = [fault(at, f"s{number}", of="L4").id for number in range(501)]
    fault(at, "M-07", "clear")
    at.vendor.answers.clear()
    at.run(3_600)
    assert {ends(at)[one] for one in new} == {"delivered/delivered"}


def test_a_digest_that_is_handed_on_waits_for_no_cause_either(monkeypatch: pytest.MonkeyPatch) -> None:
    at = with_fallback(
        monkeypatch,
        ticket_systems={"tracker": {"kind": "roundup"}},
        episodes={"fault": {"ticket_system": "tracker"}},
        inhibit_rules=RULES,
    )

    def gone() -> Reply:
        cause(at, "raise")
        return GONE

    at.vendor.answers["robot"] = gone
    both = [fault(at, "M-07"), fault(at, "M-08")]
    (seen,) = at.run(60)
    assert (seen.to, seen.text[-1]) == ("other", "2")
    assert {ends(at)[one.id] for one in both} == {"delivered/delivered"}


def test_what_carries_others_waits_for_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    at = inhibited(monkeypatch, group_by=["line"])
    cause(at, "raise")
    fault(at, "M-07")
    at.vendor.answers["robot"] = lambda: BUSY
    new = [fault(at, f"s{number}", of="L4").id for number in range(501)]
    at.vendor.answers.clear()
    at.run(3_600)
    assert {ends(at)[one] for one in new} == {"delivered/delivered"}


def test_an_end_does_not_overtake_its_beginning_that_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = inhibited(monkeypatch, group_by=["line"], group_wait="5500ms")
    cause(at, "raise")
    at.feed("M-08", severity="none", line="L3", code="E-2")
    one = fault(at, "M-07")
    assert at.run(5.2) == []
    two = fault(at, "M-07", "clear")
    (seen,) = at.run(60)
    assert seen.text == "M-08 raise"
    cause(at, "clear")
    assert at.run(60) == []
    assert {at.told()[one.id], at.told()[two.id]} == {"skipped/inhibited"}


def test_a_fault_that_came_and_went_under_its_cause_ends_so_though_its_account_is_shut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To end it needs no place: were it to wait for one, its cause could be over meanwhile and half of it be told."""
    at = Line(
        monkeypatch,
        channels={"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
        receivers={name: {"channel": "robot", "template": "fault"} for name in ("group", "second")},
        route={"receiver": "group", "routes": [{"matchers": ['line="L4"'], "receiver": "second"}]},
        ticket_systems={"tracker": {"kind": "roundup"}},
        episodes={"fault": {"matchers": ['type=~".*"'], "key": ["subject", "code"], "ticket_system": "tracker"}},
        inhibit_rules=RULES,
    )
    cause(at, "raise")
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', {})
    at.feed("first", line="L5")
    at.run(0.5)
    at.feed("early", line="L4")
    one, two = fault(at, "M-07"), fault(at, "M-07", "clear")
    at.run(1)
    at.vendor.answers.clear()
    cause(at, "clear")
    at.run(3_600)
    assert not [text for text in texts(at.vendor.seen) if "M-07" in text]
    assert (at.told()[one.id], at.told()[two.id]) == ("skipped/inhibited", "skipped/inhibited")


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_a_redrive_tells_all_of_a_digest_that_was_parked(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    at = line(monkeypatch)
    new = [at.feed(f"M-{number}").id for number in range(14)]
    assert len(at.run(1)) == 10
    at.vendor.answers["robot"] = lambda: GONE
    at.run(3_600)
    assert [ends(at)[one] for one in new[10:]] == ["parked/credentials"] * 4
    if again:
        at.restart()
    at.redrive()
    at.run(60)
    at.vendor.answers.clear()
    at.redrive()
    (seen,) = at.run(60)
    assert seen.text == "\n".join([*(f"M-{number} mes.fault.raised raise" for number in range(10, 14)), "4"])
    assert [ends(at)[one] for one in new[10:]] == ["delivered/delivered"] * 4


def test_a_redriven_digest_that_is_handed_on_says_no_more_than_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    at = with_fallback(monkeypatch)
    at.vendor.answers |= {"robot": lambda: GONE, "other": lambda: GONE}
    for number in range(3):
        at.feed(f"M-{number}", line="L3")
    at.run(60)
    del at.vendor.answers["other"]
    at.redrive()
    (seen,) = at.run(60)
    assert (seen.to, seen.text[-1]) == ("other", "3")
