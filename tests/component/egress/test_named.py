"""Whom a receiver names is called, whatever the receiver's own name is."""

from __future__ import annotations

import pytest

from tests.component.egress.line import Line, texts


@pytest.mark.parametrize(("to", "said"), [(["zhang"], "M-07 raise\n\n@zhang"), (None, "M-07 raise")])
def test_a_receiver_with_the_name_of_its_only_person(
    monkeypatch: pytest.MonkeyPatch, to: list[str] | None, said: str
) -> None:
    at = Line(
        monkeypatch,
        channels={"robot": {"kind": "dingtalk_robot", "robots": [{"token": "env:ROBOT"}]}},
        receivers={"zhang": {"channel": "robot", "template": "fault", **({"to": to} if to else {})}},
        route={"receiver": "zhang"},
    )
    at.feed("M-07")
    assert texts(at.run(1)) == [said]
