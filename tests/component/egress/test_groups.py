"""Groups as Alertmanager means them: `group_by`, `group_wait`, `group_interval`, `repeat_interval`, `send_resolved`."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.ports import Reply
from tests.component.egress.line import Line, Seen, texts


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


def test_an_end_of_another_type_and_other_labels_makes_the_next_beginning_news(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat_interval="2h")
    at.feed("a", line="L3", value="91")
    at.run(5)
    at.feed("a", "clear", line="L3")
    at.run(5)
    at.feed("a", line="L3", value="91")
    assert texts(at.run(5)) == ["a raise"]


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
