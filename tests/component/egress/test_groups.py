"""Groups as Alertmanager means them: `group_by`, `group_wait`, `group_interval`, `repeat_interval`, `send_resolved`."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.ports import Reply
from andon.egress import groups
from tests.component.egress.line import Line, Seen, texts

GONE = Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})


def line(monkeypatch: pytest.MonkeyPatch, receiver: dict[str, Any] | None = None, **route: Any) -> Line:
    return Line(
        monkeypatch,
        channels={"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}},
        receivers={"group": {"channel": "robot", "template": "fault", **(receiver or {})}},
        route={"receiver": "group", "group_by": ["line"], **route},
    )


def test_what_comes_within_group_wait_leaves_as_one_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_wait="5s")
    for subject in ("a", "b", "c"):
        at.feed(subject, line="L3")
        assert at.run(1) == []
    (seen,) = at.run(60)
    assert seen.at == 5.0
    assert seen.text.endswith("3")
    assert sorted(at.told().values()) == ["delivered/delivered", "merged/grouped", "merged/grouped"]


def test_groups_do_not_wait_for_each_other_and_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_wait="5s")
    at.feed("a", line="L3")
    at.run(2)
    at.feed("b", line="L4")
    assert at.run(60) == [Seen(5.0, "robot", "a raise"), Seen(7.0, "robot", "b raise")]


def test_the_next_notice_leaves_one_interval_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_wait="5s", group_interval="1m")
    at.feed("a", line="L3")
    at.run(10)
    at.feed("b", line="L3")
    at.run(10)
    at.feed("c", line="L3")
    (second,) = at.run(100)
    assert (second.at, second.text[-1]) == (65.0, "2")
    at.feed("d", line="L3")  # silent for longer than the interval: a new beginning
    (third,) = at.run(100)
    assert third.at == 125.0


def test_a_group_of_a_long_label_is_remembered_under_a_name_that_every_store_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch, group_wait="5s", group_interval="1m")
    one, two = "线" * 2_000 + "3", "线" * 2_000 + "4"
    at.feed("a", line=one)
    at.run(10)
    at.restart()
    at.feed("b", line=one)
    at.feed("c", line=two)
    assert at.run(100) == [Seen(15.0, "robot", "c raise"), Seen(65.0, "robot", "b raise")]
    assert [len(name.encode()) <= 640 for memos in at.store.memos.values() for name in memos] == [True, True]


def test_an_urgent_event_waits_for_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [{"matchers": ['severity="critical"'], "urgent": True}]
    at = line(monkeypatch, group_wait="5s", group_interval="1m", routes=routes)
    at.feed("a", line="L3", severity="critical")
    assert [one.at for one in at.run(0.5)] == [0.0]
    at.feed("b", line="L3", severity="critical")
    assert [one.at for one in at.run(0.5)] == [0.5]


def test_a_restart_neither_forgets_the_interval_nor_repeats_what_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_interval="1m", repeat_interval="2h")
    at.feed("a", line="L3")
    assert len(at.run(1)) == 1
    at.restart()
    at.feed("b", line="L3")
    at.feed("a", line="L3")
    assert at.run(30) == []
    at.restart()
    assert at.run(60) == [Seen(60.0, "robot", "b raise")]
    assert at.told()["e-3"] == "skipped/repeated"


def test_a_state_is_told_again_after_repeat_interval_and_a_change_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    for minute in range(0, 181, 30):
        at.feed("a", line="L3")
        at.run(60 * 30 if minute < 180 else 1)
    assert [one.at / 60 for one in at.vendor.seen] == [0, 120]
    at.feed("a", "clear", line="L3")
    assert texts(at.run(5)) == ["a clear"]
    at.feed("a", line="L3")
    assert texts(at.run(5)) == ["a raise"]
    assert {one.outcome.by for one in at.outcomes if one.outcome.reason == "repeated"} == {"0 repeat_interval"}  # type: ignore[union-attr]


def test_a_group_remembers_so_many_subjects_and_forgets_first_what_it_told_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "_MOST_TOLD", 3)
    at = line(monkeypatch, repeat_interval="2h")
    for subject, state in (("a", "raise"), ("b", "raise"), ("a", "clear"), ("c", "raise"), ("d", "raise")):
        at.feed(subject, state, line="L3")
    at.run(60)
    for subject in ("d", "c", "b"):
        at.feed(subject, line="L3")
    assert texts(at.run(60)) == ["b raise"], "rather told again than kept for ever"


def test_an_end_of_another_type_and_other_labels_makes_the_next_beginning_news(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    at.feed("a", line="L3", value="91")
    at.run(5)
    at.feed("a", "clear", line="L3")
    at.run(5)
    at.feed("a", line="L3", value="91")
    assert texts(at.run(5)) == ["a raise"]


@pytest.mark.parametrize(
    "route",
    [
        {"routes": [{"matchers": ['severity="critical"']}]},
        {"group_by": ["severity"]},
    ],
)
def test_so_does_an_end_that_came_by_another_route_or_group_of_the_receiver(
    route: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = line(monkeypatch, repeat_interval="2h", **route)
    at.feed("a", line="L3", severity="critical")
    at.feed("b", line="L3", severity="critical")
    at.run(5)
    for _ in range(2):
        at.feed("a", "clear", line="L3")
        at.run(5)
    at.restart()
    for subject in ("a", "b", "a"):
        at.feed(subject, line="L3", severity="critical")
        at.run(5)
    assert texts(at.vendor.seen[1:]) == ["a clear", "a raise"]


def test_a_new_severity_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    for severity in ("minor", "minor", "critical", "critical"):
        at.feed("a", line="L3", severity=severity)
        at.run(5)
    assert len(at.vendor.seen) == 2


def test_events_without_a_state_are_news_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    at.feed("stock", "")
    at.run(5)
    at.feed("stock", "")
    at.run(5)
    assert len(at.vendor.seen) == 2


def test_what_could_not_be_delivered_counts_as_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
    at.feed("a", line="L3")
    at.run(5)
    assert at.told()["e-1"].startswith("parked/")
    at.vendor.answers.clear()
    at.feed("a", line="L3")
    assert texts(at.run(5)) == ["a raise"]


def test_who_wants_no_resolved_ones_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"send_resolved": False})
    at.feed("a", line="L3")
    at.feed("a", "clear", line="L3")
    assert texts(at.run(5)) == ["a raise"]
    assert [(one.reason, one.by) for one in at.ended] == [("resolved", "group")]


def test_who_wants_no_resolved_ones_hears_of_what_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"send_resolved": False}, group_by=["line"], repeat_interval="2h")
    seen: list[Seen] = []
    for state in ("raise", "raise", "clear", "raise"):
        at.feed("a", state, line="L3")
        seen += at.run(5)
    assert texts(seen) == ["a raise", "a raise"]
    assert [at.told()[f"e-{number}"] for number in (2, 3)] == ["skipped/repeated", "skipped/resolved"]


def test_an_end_that_nobody_wants_is_in_no_notice_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"send_resolved": False}, group_by=["line"], group_wait="5s", repeat_interval="2h")
    at.feed("a", line="L3")
    at.feed("b", line="L3")
    at.feed("a", "clear", line="L3")
    (several,) = texts(at.run(20))
    assert several.endswith("2")
    at.feed("a", line="L3")
    assert texts(at.run(20)) == ["a raise"]
    assert [at.told()[f"e-{number}"] for number in (2, 3)] == ["merged/grouped", "skipped/resolved"]


def test_an_end_that_nobody_wants_waits_for_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"send_resolved": False}, group_by=["line"], group_interval="5m", repeat_interval="2h")
    at.feed("a", line="L3")
    at.run(5)
    at.feed("a", "clear", line="L3")
    at.run(5)
    assert at.told()["e-2"] == "skipped/resolved"


def test_a_receiver_that_never_merges_keeps_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"merge": "none"}, group_wait="5s", repeat_interval="2h")
    at.feed("a", line="L3")
    at.feed("a", line="L3")
    assert [one.at for one in at.run(60)] == [0.0, 0.0]


def test_three_dots_group_by_all_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_by=["..."], group_wait="5s")
    at.feed("a", line="L3")
    at.feed("b", line="L3")
    assert [one.text for one in at.run(60)] == ["a raise", "b raise"]


def test_groups_that_matter_no_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_by=["subject"], group_interval="1m", repeat_interval="10m")
    for number in range(50):
        at.feed(f"s{number}")
        at.run(60)
    kept = [name for memos in at.store.memos.values() for name in memos]
    assert 10 <= len(kept) <= 13


def test_an_end_that_left_with_its_beginning_makes_the_next_beginning_news(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_wait="5s", repeat_interval="2h")
    at.feed("a", line="L3")
    at.run(2)
    at.feed("a", "clear", line="L3")
    (seen,) = at.run(60)
    assert "clear" in seen.text
    at.feed("a", "clear", line="L3")
    assert at.run(60) == [], "that it is over was told"
    at.feed("a", line="L3")
    assert texts(at.run(60)) == ["a raise"]


def test_a_beginning_that_follows_an_end_within_one_interval_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_interval="1m", repeat_interval="2h")
    at.feed("a", line="L3")
    at.run(1)
    at.feed("a", "clear", line="L3")
    again = at.feed("a", line="L3")
    (seen,) = at.run(100)
    assert "raise" in seen.text
    assert at.told()[again.id] == "merged/grouped"
    at.feed("a", line="L3")
    assert at.run(100) == [], "that it stands was told"


def test_so_is_one_behind_an_end_that_leaves_with_another_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, group_interval="1m", repeat_interval="2h")
    at.feed("b", line="L3")
    at.run(1)
    for subject, state in (("a", "raise"), ("b", "clear"), ("b", "raise")):
        at.feed(subject, state, line="L3")
    (seen,) = at.run(100)
    assert seen.text.endswith("3")
    assert "b mes.fault.raised raise" in seen.text


def test_one_state_that_came_twice_leaves_as_one_notice_and_is_told_again_when_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch, group_wait="5s", repeat_interval="2h")
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("a", line="L3")
    two = at.feed("a", line="L3")
    at.run(60)
    assert at.told()[two.id] == "merged/grouped", "nobody was told of the first, so it is no repeat"


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_what_was_merged_into_another_groups_notice_that_was_parked_counts_as_untold(
    monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    at = line(monkeypatch, {"merge": {"over": "1/m"}}, repeat_interval="2h")
    at.feed("told", line="L5")
    assert len(at.run(1)) == 1
    at.vendor.answers["robot"] = lambda: GONE
    one, two = at.feed("a", line="L3"), at.feed("b", line="L4")
    at.run(100)
    assert (at.told()[one.id], at.told()[two.id]) == ("parked/credentials", "merged/over_rate")
    at.vendor.answers.clear()
    if again:
        at.restart()
    at.feed("a", line="L3")
    at.feed("b", line="L4")
    at.feed("told", line="L5")
    at.run(200)
    assert at.vendor.seen[-1].text.endswith("2")
    assert list(at.told().values()).count("skipped/repeated") == 1, "what was told stays told"
    at.feed("b", line="L4")
    assert at.run(100) == []


def test_a_notice_that_ends_later_does_not_bring_back_what_it_said_before_others_joined_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A digest that a full queue made, and that becomes part of the next one."""
    at = line(monkeypatch, group_wait="5m", repeat_interval="2h")
    at.feed("a", line="L3")
    at.feed("a", "clear", line="L3")
    for number in range(1_200):
        at.feed(f"s{number}", line=f"L{number % 3}")
    at.run(900)
    before = len(at.vendor.seen)
    at.feed("a", line="L3")
    assert texts(at.run(600)) == ["a raise"]
    assert len(at.vendor.seen) == before + 1


def two_people(monkeypatch: pytest.MonkeyPatch, **left: Any) -> Line:
    """Two receivers of one application, of which the second's member has left the company."""
    at = Line(
        monkeypatch,
        channels={"app": {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}},
        receivers={
            "good": {"channel": "app", "to": ["wang"], "template": "fault"},
            "bad": {"channel": "app", "to": ["left"], "template": "fault", **left},
        },
        route={
            "receiver": "good",
            "group_by": ["line"],
            "group_wait": "5s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['line=~"L8|L9"'], "receiver": "bad"}],
        },
    )
    at.vendor.answers["left"] = lambda: Reply(200, b'{"errcode":81013,"errmsg":"user not in the scope"}', {})
    return at


@pytest.mark.parametrize("left", [{}, {"fallback": [{"receiver": "good"}]}], ids=["", "handed on"])
def test_a_receiver_that_cannot_be_reached_makes_no_other_of_its_account_hear_twice(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, Any]
) -> None:
    at = two_people(monkeypatch, **left)
    for _ in range(24):
        for subject, of in (("a", "L3"), ("b", "L3"), ("x", "L9"), ("y", "L9")):
            at.feed(subject, line=of)
        at.run(300)
    own = [one for one in at.vendor.seen if one.to == "wang" and "\nb " in f"\n{one.text}"]
    assert [one.at for one in own] == [5.0]
    of_bad = {one.outcome.reason for one in at.outcomes if one.receiver == "bad"}
    assert "repeated" not in of_bad, "who has left was told nothing"


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_what_a_digest_that_nobody_got_was_handed_on_with_counts_as_untold_for_its_own_receiver(
    monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    at = two_people(monkeypatch, fallback=[{"receiver": "good"}], merge={"over": "1/m"})
    at.vendor.answers["wang"] = at.vendor.answers["left"]
    at.feed("w", line="L9")
    at.run(6)
    one, two = at.feed("x", line="L8"), at.feed("y", line="L9")
    at.run(600)
    assert (at.vendor.seen, at.told()[two.id]) == ([], "merged/over_rate")
    assert at.told()[one.id].startswith("parked/")
    at.vendor.answers.clear()
    if again:
        at.restart()
    at.feed("y", line="L9")
    assert [(seen.to, seen.text) for seen in at.run(600)] == [("left", "y raise")]


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ({"group_by": "...", "code": "E-1"}, {"code": "E-1"}),
        ({"group_by": "line", "code": "E-1"}, {}),
        ({"group_by": "line", "severity": "critical"}, {}),
    ],
    ids=["another group", "fewer labels", "another route"],
)
def test_a_fault_that_comes_and_goes_is_told_each_time(
    monkeypatch: pytest.MonkeyPatch, begins: dict[str, Any], ends: dict[str, Any]
) -> None:
    """Its beginning is of another group than its end, or has other labels."""
    urgent = [{"matchers": ['severity="critical"']}]
    by, *more = begins.items()
    at = line(monkeypatch, group_by=[by[1]], repeat_interval="2h", routes=urgent)
    for _ in range(3):
        at.feed("M-07", line="L3", **dict(more))
        at.run(10)
        at.feed("M-07", "clear", line="L3", **ends)
        at.run(10)
    assert texts(at.vendor.seen) == 3 * ["M-07 raise", "M-07 clear"]
    at.restart()
    at.feed("M-07", "clear", line="L3", **ends)
    assert at.run(10) == []


@pytest.mark.parametrize("ended", [False, True])
def test_two_severities_at_one_time_are_told_once_each(monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    """Each has a group of its own, whatever ended before."""
    at = line(monkeypatch, group_by=["..."], repeat_interval="2h")
    for state in ("raise", "clear") if ended else ():
        at.feed("M-07", state, line="L3", severity="warning")
        at.run(10)
    before = len(at.vendor.seen)
    for severity in 3 * ("warning", "critical"):
        at.feed("M-07", line="L3", severity=severity)
        at.run(10)
    assert texts(at.vendor.seen[before:]) == 2 * ["M-07 raise"]


def test_the_end_of_one_fault_is_no_news_because_another_began(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    for _ in range(3):
        at.feed("M-07", "clear", line="L3", code="E-1")
        at.run(10)
        at.feed("M-07", line="L3", code="E-2")
        at.run(10)
    assert texts(at.vendor.seen) == ["M-07 clear", "M-07 raise"]


def test_what_begins_after_an_end_that_left_with_its_own_beginning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As two groups, but in one notice."""
    at = line(monkeypatch, {"merge": {"over": "1/m"}}, group_by=["..."], repeat_interval="2h")
    at.feed("M-01", line="L3")
    at.run(1)
    for state in ("raise", "clear"):
        at.feed("M-07", state, line="L3")
    at.run(100)
    at.feed("M-07", line="L3")
    assert texts(at.run(100)) == ["M-07 raise"]
