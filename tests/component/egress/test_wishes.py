"""What the other side wishes is followed, but never so far that work stays open for ever."""

from __future__ import annotations

from typing import Any

import pytest

from andon.core.ports import Reply
from tests.component.egress.line import Line, texts

ROBOT: dict[str, Any] = {"kind": "wecom_robot", "keys": ["env:ROBOT"]}
APP: dict[str, Any] = {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize("seconds", ["99999999999", "9" * 400])
@pytest.mark.parametrize(("channel", "to"), [(ROBOT, None), (APP, ["wang"])], ids=["robot", "app"])
def test_a_gateway_that_names_a_time_without_end_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, channel: dict[str, Any], to: list[str] | None, seconds: str, again: bool
) -> None:
    receiver: dict[str, Any] = {"channel": "it", "template": "fault", **({"to": to} if to else {})}
    at = Line(monkeypatch, channels={"it": channel}, receivers={"it": receiver}, route={"receiver": "it"})
    shut = Reply(429, b"<html>too many</html>", {"retry-after": seconds})
    at.vendor.answers = dict.fromkeys(("robot", "wang"), lambda: shut)
    at.feed("a")
    at.run(1)
    at.vendor.answers.clear()
    if again:
        at.restart()
    assert at.run(3_000) == [], "an hour is a wish that is followed"
    assert texts(at.run(1_000)) == ["a raise"]
    assert at.told() == {"e-1": "delivered/delivered"}
