"""An answer that is nested deeper than anything reads is none of the vendor's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from andon.core.failure import Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.egress.channels.dingtalk_robot import DingtalkRobot
from andon.egress.channels.feishu_robot import FeishuRobot
from andon.egress.channels.wecom_app_codes import Answer, read
from andon.egress.channels.wecom_robot import WecomRobot
from andon.testing.builders import call, context
from tests.unit.egress.robots import Recorder

BODY = b'{"errcode":0,"code":0,"errmsg":' + b"[" * 9_000
CHANNELS: dict[Any, Any] = {
    WecomRobot: {"keys": ["env:ROBOT"]},
    DingtalkRobot: {"robots": [{"token": "env:ROBOT"}]},
    FeishuRobot: {"robots": [{"hook": "env:ROBOT"}]},
}


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize(("status", "ambiguous"), [(200, True), (404, False)])
def test_it_is_a_foreign_answer(kind: Any, status: int, ambiguous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT", "x")
    channel = kind(kind.Config.model_validate(CHANNELS[kind]), context(Recorder(status, BODY)))
    with pytest.raises(Retryable) as caught:
        asyncio.run(channel.send(call("停机", "text")))
    assert (caught.value.reason, caught.value.ambiguous) == (Reason.BAD_REPLY, ambiguous)


def test_it_is_one_for_an_application() -> None:
    with pytest.raises(Retryable) as caught:
        read(Reply(200, BODY, {}), Answer, 60.0)
    assert (caught.value.reason, caught.value.ambiguous) == (Reason.BAD_REPLY, True)
