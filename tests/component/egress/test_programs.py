"""What a program is sent: a body of its own form, whole, with nothing of ours before it or in its place."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.core.outcome import Parked
from andon.core.ports import Reply
from andon.core.reason import Reason
from tests.component.egress.line import Line, texts

HOOK: dict[str, Any] = {
    "kind": "webhook",
    "url": "https://hook.corp.cn/?key=board",
    "body": "template",
    "content_type": "application/json",
    "limit": "4/m",
}
ROBOT: dict[str, Any] = {"kind": "wecom_robot", "keys": ["env:ROBOT"]}


def line(monkeypatch: pytest.MonkeyPatch, template: str = "board", **route: Any) -> Line:
    return Line(
        monkeypatch,
        channels={"board": HOOK},
        receivers={"board": {"channel": "board", "template": template}},
        route={"receiver": "board", **route},
    )


def lost() -> Reply:
    raise Retryable(Reason.TIMEOUT, "no answer", ambiguous=True)


@pytest.mark.parametrize("route", [{}, {"group_by": ["line"], "group_wait": "5s"}], ids=["by rate", "in a group"])
def test_a_program_whose_template_has_no_form_for_a_digest_is_sent_every_notice(
    monkeypatch: pytest.MonkeyPatch, route: dict[str, Any]
) -> None:
    at = line(monkeypatch, **route)
    for number in range(9):
        at.feed(f"M-{number}", line="L3")
    assert texts(at.run(600)) == [f"M-{number}" for number in range(9)]
    assert set(at.told().values()) == {"delivered/delivered"}


def test_a_program_whose_template_handles_digests_is_sent_them(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, "every", group_by=["line"], group_wait="5s")
    for number in range(9):
        at.feed(f"M-{number}", line="L3")
    assert texts(at.run(600)) == ["9"]


def test_the_body_of_a_program_bears_no_mark_that_people_would_read(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Line(
        monkeypatch,
        channels={"robot": ROBOT, "board": HOOK},
        receivers={
            "group": {"channel": "robot", "template": "fault", "fallback": [{"receiver": "board", "after": "2m"}]},
            "board": {"channel": "board", "template": "board"},
        },
        route={"receiver": "group"},
    )
    at.vendor.answers["robot"] = lost
    at.feed("M-07")
    (seen,) = at.run(600)
    assert (seen.to, seen.text) == ("board", "M-07")


@pytest.mark.parametrize("storm", [False, True], ids=["in a group", "in a storm"])
def test_what_waits_when_its_program_takes_no_digest_any_more_is_sent_alone(
    monkeypatch: pytest.MonkeyPatch, storm: bool
) -> None:
    limits = {"storm": {"over": "1/m", "by": ["line"]}} if storm else {}
    more: dict[str, Any] = {
        "channels": {"board": HOOK},
        "route": {"receiver": "board"} if storm else {"receiver": "board", "group_by": ["line"], "group_wait": "1m"},
        "limits": limits,
    }
    at = Line(monkeypatch, receivers={"board": {"channel": "board", "template": "every"}}, **more)
    for number in range(4):
        at.feed(f"M-{number}", line="L3")
    at.run(5)
    at.configure(monkeypatch, version=2, receivers={"board": {"channel": "board", "template": "board"}}, **more)
    at.switch()
    at.run(600)
    assert texts(at.vendor.seen) == [f"M-{number}" for number in range(4)]
    assert set(at.told().values()) == {"delivered/delivered"}


def test_a_digest_for_a_channel_that_takes_events_is_parked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another receiver merged before it handed it on; its events would end as merged into one that says nothing of
    them."""
    events = {"kind": "webhook", "url": "https://hook.corp.cn/"}
    at = Line(
        monkeypatch,
        channels={"robot": ROBOT, "system": events},
        receivers={
            "group": {"channel": "robot", "merge": {"over": "1/m"}, "fallback": [{"receiver": "system"}]},
            "system": {"channel": "system"},
        },
        route={"receiver": "group"},
    )
    at.feed("M-01")
    at.run(1)
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
    at.feed("M-02")
    at.feed("M-03")
    at.run(600)
    assert [one.to for one in at.vendor.seen] == ["robot"]
    assert at.told() == {"e-1": "delivered/delivered", "e-2": "parked/rejected", "e-3": "merged/over_rate"}
    (parked,) = [one.outcome for one in at.outcomes if isinstance(one.outcome, Parked)]
    assert parked.detail.startswith("2 events are one digest here, and system takes each event alone")
