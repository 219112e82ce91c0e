"""Who is told instead: after a reason or an age, with all attempts in one outcome and nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.egress.words import words_of
from tests.component.egress.line import OK, Line, Seen, texts

REPEAT = words_of("zh").repeat
GONE = Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
REFUSED = Reply(200, b'{"errcode":40008,"errmsg":"invalid message type"}', {})
URGENT = {"matchers": ['severity="critical"'], "urgent": True, "group_by": ["line"], "group_interval": "30m"}
WAITING = {"group_by": ["line"], "group_wait": "5m"}
ROBOTS = {"group": "ROBOT", "second": "OTHER", "third": "THIRD"}


def line(
    monkeypatch: pytest.MonkeyPatch, *fallback: dict[str, Any], route: Mapping[str, Any] | None = None, **receiver: Any
) -> Line:
    return Line(
        monkeypatch,
        channels={name: {"kind": "wecom_robot", "keys": [f"env:{key}"]} for name, key in ROBOTS.items()},
        receivers={
            "group": {"channel": "group", "template": "fault", "fallback": list(fallback), **receiver},
            "second": {"channel": "second", "template": "fault"},
            "third": {"channel": "third", "template": "fault"},
        },
        route={"receiver": "group", "routes": [URGENT], **(route or {})},
    )


def never(ambiguous: bool = False) -> Reply:
    raise Retryable(Reason.TIMEOUT if ambiguous else Reason.NOT_SENT, "down", ambiguous=ambiguous)


def test_what_is_given_up_goes_to_the_next_at_once_in_one_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second"})
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("a")
    assert at.run(1) == [Seen(0.0, "other", "a raise")]
    (told,) = at.outcomes
    assert (told.outcome.reason, told.receiver, told.channel) == (Reason.DELIVERED, "second", "second")
    assert [(one.receiver, one.reason) for one in told.attempts] == [("group", "credentials"), ("", "delivered")]
    assert not at.parked
    assert not at.desk.items


def test_what_is_late_goes_to_the_next_and_is_not_tried_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "after": "2m"})
    at.vendor.answers["robot"] = never
    at.feed("a")
    assert at.run(600) == [Seen(120.0, "other", "a raise")]
    at.vendor.answers.clear()
    assert at.run(3_600) == []
    (told,) = at.outcomes
    assert {one.receiver for one in told.attempts} == {"group", ""}
    assert len(told.attempts) > 5


def test_what_waits_for_a_limit_is_late_too(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "after": "30s"}, merge="none")
    for number in range(21):
        at.feed(f"m{number}")
    at.run(29)
    assert len(at.vendor.seen) == 20
    assert at.run(5) == [Seen(30.0, "other", "m20 raise")]


def test_so_is_an_urgent_one_whose_group_has_just_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its group is not what it waits for."""
    at = line(monkeypatch, {"receiver": "second", "after": "30s"})
    for number in range(21):
        at.feed(f"m{number}", severity="critical")
    at.run(29)
    assert len(at.vendor.seen) == 20
    assert at.run(5) == [Seen(30.0, "other", "m20 raise")]


def test_an_age_survives_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "after": "2m"})
    at.vendor.answers["robot"] = never
    at.feed("a")
    at.run(60)
    at.restart()
    assert [one.to for one in at.run(61)] == ["other"]


@pytest.mark.parametrize("again", [False, True], ids=["goes on", "restarts"])
def test_its_time_begins_when_its_group_lets_it_go(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Also when that took longer: it is tried for as long as any other."""
    at = line(monkeypatch, {"receiver": "second", "after": "2m"}, route=WAITING)
    at.vendor.answers["robot"] = never
    at.feed("a")
    at.run(350)
    if again:
        at.restart()
    assert at.run(600) == [Seen(420.0, "other", "a raise")]


def test_so_it_does_where_nothing_could_be_sent_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart knows no more for how long it waited by its own rules, and asks for it."""
    at = line(monkeypatch, {"receiver": "second", "after": "2m"}, route=WAITING)
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', {})
    at.feed("b", severity="critical")
    at.feed("a")
    at.run(299)
    at.restart()
    assert at.run(2) == []


def test_one_after_the_other_until_one_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second"}, {"receiver": "third", "after": "5m"})
    at.vendor.answers |= {"robot": lambda: GONE, "other": never}
    at.feed("a")
    assert [(one.at, one.to) for one in at.run(3_600)] == [(300.0, "third")]
    (told,) = at.outcomes
    assert list(dict.fromkeys(one.receiver for one in told.attempts)) == ["group", "second", ""]


def test_when_nobody_is_left_it_is_parked_and_a_redrive_goes_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second"})
    at.vendor.answers |= {"robot": lambda: GONE, "other": lambda: GONE}
    at.feed("a")
    assert at.run(10) == []
    assert at.told() == {"e-1": "parked/credentials"}
    assert len(at.parked) == 1
    at.vendor.answers.clear()
    at.redrive()
    assert [one.to for one in at.run(10)] == ["other"]
    assert [one.outcome.reason for one in at.outcomes] == [Reason.CREDENTIALS, Reason.DELIVERED]


def test_a_redrive_of_the_first_can_be_handed_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "reasons": ["rejected"]})
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("a")
    at.run(1)
    assert at.told() == {"e-1": "parked/credentials"}
    at.vendor.answers["robot"] = lambda: REFUSED
    at.redrive()
    assert [one.to for one in at.run(1)] == ["other"]
    assert not at.parked


@pytest.mark.parametrize(("state", "reason"), [("raise", "repeated"), ("clear", "resolved")])
def test_what_nobody_was_to_hear_goes_to_nobody_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, state: str, reason: str
) -> None:
    """Its turn would have said so, had it come in time."""
    again = {"group_by": ["line"], "repeat_interval": "4h"}
    at = line(monkeypatch, {"receiver": "second", "after": "2m"}, route=again, send_resolved=False)
    at.feed("a")
    at.run(600)
    late = at.event("a", state, accepted=at.now - 300)
    at.route(late)
    assert at.run(600) == []
    assert at.told()[late.id] == f"skipped/{reason}"


def test_what_may_be_news_by_then_goes_to_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its receiver was told the same, but an end is on its way to it."""
    again = {"group_by": ["line"], "repeat_interval": "4h"}
    at = line(monkeypatch, {"receiver": "second", "after": "2m"}, route=again)
    at.feed("a")
    at.run(600)
    at.vendor.answers["robot"] = never
    at.feed("a", "clear")
    at.run(10)
    at.route(at.event("a", "raise", accepted=at.now - 300))
    assert at.run(10) == [Seen(610.0, "other", "a raise")]


@pytest.mark.parametrize("down", [False, True], ids=["tells its receiver", "is late again"])
def test_a_redrive_is_late_so_long_after_it(monkeypatch: pytest.MonkeyPatch, down: bool) -> None:
    at = line(monkeypatch, {"receiver": "second", "after": "2m", "reasons": ["rejected"]})
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("a")
    at.run(600)
    assert at.told() == {"e-1": "parked/credentials"}
    at.vendor.answers["robot"] = never if down else lambda: OK
    at.redrive()
    at.restart()
    assert at.run(600) == [Seen(720.0, "other", "a raise") if down else Seen(600.0, "robot", "a raise")]


def test_only_for_the_reasons_that_were_named(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "reasons": ["rejected"]}, {"receiver": "third"})
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("a")
    assert [one.to for one in at.run(5)] == ["third"]


def test_what_may_have_arrived_bears_the_mark_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second"}, on_ambiguous="park_unknown")
    at.vendor.answers["robot"] = lambda: never(ambiguous=True)
    at.feed("a")
    (seen,) = at.run(5)
    assert seen == Seen(0.0, "other", f"{REPEAT}a raise")


def test_what_was_merged_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second"}, merge={"over": "1/m"})
    at.feed("a")
    at.run(1)
    at.vendor.answers["robot"] = lambda: GONE
    at.feed("b")
    at.feed("c")
    (seen,) = at.run(120)
    assert seen.to == "other"
    assert seen.text.endswith("2")
    assert "b " in seen.text
    assert "c " in seen.text
    assert sorted(at.told().values()) == ["delivered/delivered", "delivered/delivered", "merged/over_rate"]


def test_a_process_that_dies_in_the_handing_on_hands_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, {"receiver": "second", "after": "1m"})
    at.vendor.answers["robot"] = never
    at.feed("a")
    at.run(59)
    at.restart()
    at.run(1.5, calls=False)  # the call to the second has begun, and nobody hears its answer
    at.restart()
    seen = at.run(60)
    assert texts(seen) == [f"{REPEAT}a raise"]
    assert len(at.outcomes) == 1
    assert OK.status == 200
