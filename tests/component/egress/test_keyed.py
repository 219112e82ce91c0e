"""A repeat is known by a key, and by the account that has seen the key: another one shows it once more."""

from __future__ import annotations

import pytest

from andon.core.failure import Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.egress.words import words_of
from tests.component.egress.line import Line, Seen

REPEAT = words_of("zh").repeat


def line(monkeypatch: pytest.MonkeyPatch, limit: str = "20/m") -> Line:
    robots = [{"token": "env:ROBOT"}, {"token": "env:OTHER"}]
    return Line(
        monkeypatch,
        channels={"robots": {"kind": "dingtalk_robot", "robots": robots, "limit": limit}},
        receivers={"group": {"channel": "robots", "template": "fault", "merge": "none"}},
        route={"receiver": "group"},
    )


def lost() -> Reply:
    raise Retryable(Reason.TIMEOUT, "no answer", ambiguous=True)


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
def test_what_may_have_arrived_is_repeated_by_the_robot_that_knows_it(
    monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    at = line(monkeypatch)
    at.vendor.answers["robot"] = lost
    at.feed("M-07")
    at.run(0.5)
    del at.vendor.answers["robot"]
    if again:
        at.restart()
    (seen,) = at.run(60)
    assert (seen.to, seen.text) == ("robot", "M-07 raise")


def test_another_robot_repeats_with_a_mark_what_it_cannot_know(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch, "1/m")
    at.vendor.answers["robot"] = lost
    at.feed("M-07")
    at.run(0.5)
    del at.vendor.answers["robot"]
    (seen,) = at.run(30)
    assert (seen.to, seen.text) == ("other", f"{REPEAT}M-07 raise")
    (told,) = at.outcomes
    assert [one.marked for one in told.attempts] == [False, True]


def test_what_certainly_did_not_arrive_goes_by_any_robot_unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":130101,"errmsg":"send too fast"}', {})
    at.feed("M-07")
    assert at.run(30) == [Seen(at.vendor.seen[0].at, "other", "M-07 raise")]
