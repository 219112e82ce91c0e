"""What a program is sent: a body of its own form, whole, with nothing of ours before it or in its place."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.failure import Retryable
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
