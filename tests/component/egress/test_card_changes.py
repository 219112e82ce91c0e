"""A change of a card that was sent tells nobody anything new: no limit of people is about it, it is never merged."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from tests.component.egress.line import Line, texts

APP: dict[str, Any] = {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}
USED = Reply(200, b'{"errcode":40058,"errmsg":"response_code is used"}', {})


def line(monkeypatch: pytest.MonkeyPatch, **route: Any) -> Line:
    return Line(
        monkeypatch,
        channels={"app": APP},
        receivers={"taken": {"channel": "app", "to": ["wang", "li"], "template": "taken"}},
        route={"receiver": "taken", **route},
    )


@pytest.mark.parametrize("route", [{}, {"group_by": ["line"], "group_wait": "5s"}], ids=["by load", "in a group"])
def test_every_change_is_made_at_once_and_for_all_in_one_call(
    monkeypatch: pytest.MonkeyPatch, route: dict[str, Any]
) -> None:
    at = line(monkeypatch, **route)
    for number in range(40):
        at.feed(f"M-{number}", line="L3")
    seen = at.run(2)
    assert sorted(texts(seen)) == sorted(f"M-{number}" for number in range(40))
    assert {one.to for one in seen} == {"wang|li"}


def test_a_change_is_made_again_without_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.vendor.answers["wang|li"] = lost
    at.feed("M-07")
    at.run(0)
    at.vendor.answers.clear()
    assert texts(at.run(60)) == ["M-07"]


def test_a_code_that_an_earlier_attempt_may_have_used_is_no_proof_that_nothing_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = line(monkeypatch)
    at.vendor.answers["wang|li"] = lost
    at.feed("M-07")
    at.run(0)
    at.vendor.answers["wang|li"] = lambda: USED
    at.run(60)
    (told,) = at.outcomes
    assert (told.outcome.reason, len(told.attempts)) == (Reason.UNKNOWN, 2)
    assert "the card may have changed" in getattr(told.outcome, "detail", "")


def test_a_code_that_is_good_no_more_at_once_changed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.vendor.answers["wang|li"] = lambda: USED
    at.feed("M-07")
    at.run(60)
    assert at.told() == {"e-1": "parked/gone"}


def lost() -> Reply:
    raise Retryable(Reason.TIMEOUT, "no answer", ambiguous=True)
