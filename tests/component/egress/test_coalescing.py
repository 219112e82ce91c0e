"""`coalesce` of a WeCom application: equal notices for different people leave as one call, each with an outcome."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.delivery import Delivery
from andon.core.outcome import Delivered, Merged, Parked, name_of
from andon.core.ports import Reply
from andon.egress.render import Rendered, Renderer
from tests.component.egress.line import Line, Seen

APP = {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}
PEOPLE = {"one": ["wang"], "two": ["li"], "three": ["zhao"]}


def line(
    monkeypatch: pytest.MonkeyPatch,
    coalesce: str | None = "2s",
    people: dict[str, list[str]] | None = None,
    burst: str = "10/10m",
    repeat: str | None = None,
    **more: Any,
) -> Line:
    """Every receiver hears of every event."""
    whole = people or PEOPLE
    app = APP | ({"coalesce": coalesce} if coalesce else {})
    return Line(
        monkeypatch,
        channels={"app": app},
        receivers={name: {"channel": "app", "to": to, "template": "fault", **more} for name, to in whole.items()},
        route={
            "receiver": "one",
            **({"group_by": ["subject"], "repeat_interval": repeat} if repeat else {}),
            "routes": [
                {"matchers": ['severity="critical"'], "receiver": "one", "urgent": True},
                *({"receiver": name, "continue": True} for name in whole),
            ],
        },
        limits={"per_person": {"notices": "100/h", "burst": burst}},
    )


def ends(at: Line) -> list[str]:
    return sorted(f"{one.receiver} {name_of(one.outcome)}/{one.outcome.reason}" for one in at.outcomes)


def test_one_call_tells_all_and_each_delivery_has_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.feed("a")
    assert at.run(10) == [Seen(2.0, "wang|li|zhao", "a raise")]
    assert ends(at) == ["one delivered/delivered", "three merged/coalesced", "two merged/coalesced"]
    into = next(one for one in at.outcomes if isinstance(one.outcome, Delivered))
    assert {one.outcome.into for one in at.outcomes if isinstance(one.outcome, Merged)} == {into.delivery}
    assert [(one.recipient, name_of(one.outcome)) for one in into.recipients] == [
        ("wang", "delivered"),
        ("li", "delivered"),
        ("zhao", "delivered"),
    ]


def test_by_default_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, None)
    at.feed("a")
    assert [one.at for one in at.run(10)] == [0.0, 0.0, 0.0]


def test_what_says_something_else_or_is_for_the_same_people_has_a_call_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch, people={"one": ["wang"], "two": ["li", "wang"], "three": ["zhao"]})
    at.feed("a")
    at.run(1)
    at.feed("b")
    assert [(one.to, one.text) for one in at.run(10)] == [
        ("wang|zhao", "a raise"),
        ("li|wang", "a raise"),
        ("wang|zhao", "b raise"),
        ("li|wang", "b raise"),
    ]


def test_events_that_say_the_same_leave_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, people={"one": ["fact:machine.leader"]}, template="same")
    leaders = ("wang", "li", "wang", "zhao")
    for number, leader in enumerate(leaders):
        at.feed(f"s{number}", facts={"machine": {"leader": leader}})
        at.run(0.5)
    at.run(10)
    assert at.vendor.seen == [Seen(2.0, "wang|li|zhao", "raise"), Seen(3.0, "wang", "raise")]
    # One subject of one receiver keeps its order, whoever it is for.
    for leader in leaders:
        at.feed("M-07", facts={"machine": {"leader": leader}})
    assert [one.to for one in at.run(10)] == list(leaders)


def test_what_is_urgent_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.feed("a", severity="critical")
    assert [(one.at, one.to) for one in at.run(10)] == [(0.0, "wang")]


def test_a_card_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, template="card")
    at.feed("a")
    assert [(one.at, one.to) for one in at.run(10)] == [(0.0, "wang"), (0.0, "li"), (0.0, "zhao")]


def test_who_is_refused_has_that_outcome_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.vendor.answers["wang|li|zhao"] = lambda: Reply(200, b'{"errcode":0,"errmsg":"ok","invaliduser":"li"}', {})
    at.feed("a")
    at.run(10)
    (told,) = (one for one in at.outcomes if isinstance(one.outcome, Delivered))
    assert [name_of(one.outcome) for one in told.recipients] == ["delivered", "parked", "delivered"]


def test_a_crash_in_the_call_repeats_it_for_all_with_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.feed("a")
    at.run(10, calls=False)
    at.restart()
    (seen,) = at.run(60)
    assert seen.to == "wang|li|zhao"
    assert "可能重复" in seen.text
    assert ends(at) == ["one delivered/delivered", "three merged/coalesced", "two merged/coalesced"]


def test_a_restart_before_the_call_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.feed("a")
    at.run(1)
    at.restart()
    assert at.run(10) == [Seen(2.0, "wang|li|zhao", "a raise")]


def test_who_has_had_as_much_as_can_be_read_joins_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    people = {"one": ["wang"], "two": ["li"]}
    at = line(monkeypatch, people=people, burst="3/10m")
    for number in range(3):
        at.feed(f"s{number}")
        at.run(5)
    assert [one.to for one in at.vendor.seen] == ["wang|li"] * 3
    at.feed("more")
    assert at.run(60) == []
    assert [one.to for one in at.run(700)] == ["wang|li"]


def test_a_redrive_tells_all_whom_the_call_was_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.vendor.answers["wang|li|zhao"] = lambda: Reply(200, b'{"errcode":48002,"errmsg":"api forbidden"}', {})
    at.feed("a")
    assert at.run(10) == []
    (parked,) = (one for one in at.outcomes if isinstance(one.outcome, Parked))
    assert [one.recipient for one in parked.recipients] == ["wang", "li", "zhao"]
    at.vendor.answers.clear()
    at.redrive()
    assert [one.to for one in at.run(10)] == ["wang|li|zhao"]


def test_who_was_to_hear_by_a_call_that_was_parked_is_told_of_the_next_report(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, repeat="2h")
    at.vendor.answers["wang|li|zhao"] = lambda: Reply(200, b'{"errcode":48002,"errmsg":"api forbidden"}', {})
    at.feed("a")
    assert at.run(10) == []
    at.vendor.answers.clear()
    at.restart()
    at.feed("a")
    assert [one.to for one in at.run(10)] == ["wang|li|zhao"]
    at.feed("a")
    assert at.run(10) == []


class _Breaks:
    """A renderer that fails in a way nobody foresaw, from its `after`-th question on, or of one subject only."""

    def __init__(self, inner: Renderer, after: int, subject: str = "") -> None:
        self._inner = inner
        self._left = after
        self._subject = subject

    def render(self, delivery: Delivery, *args: Any, **more: Any) -> Rendered:
        if self._subject in delivery.event.subject:
            self._left -= 1
            if self._left < 0:
                raise OverflowError("date value out of range")
        return self._inner.render(delivery, *args, **more)


@pytest.mark.parametrize("after", [0, 3], ids=["at its turn", "when the call is to tell all"])
def test_what_cannot_be_rendered_is_told_with_nobody_and_its_own_call_says_why(
    monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    at = line(monkeypatch)
    broken = _Breaks(at.work.receivers.renderer, after, "a")
    monkeypatch.setattr(at.work.receivers, "renderer", broken)
    at.feed("a")
    at.feed("b")
    assert [(one.to, one.text) for one in at.run(4_000)] == [("wang|li|zhao", "b raise")]
    assert [end for end in ends(at) if "parked" in end] == [
        f"{one} parked/unexpected" for one in ("one", "three", "two")
    ]


def test_who_has_a_fallback_has_calls_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, people={"one": ["wang"], "two": ["li"]}, fallback=[{"receiver": "two"}])
    at.feed("a")
    assert len(at.run(10)) == 2


def test_a_call_has_a_thousand_people_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    people = {name: [f"{name}{n}" for n in range(400)] for name in ("one", "two", "three")}
    at = line(monkeypatch, people=people)
    at.feed("a")
    assert [one.to.count("|") + 1 for one in at.run(10)] == [800, 400]
