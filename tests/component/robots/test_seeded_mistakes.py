"""Mistakes that others made with these vendors, put into the channels: the contract or a stand-in sees each."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from andon.core.failure import Failure
from andon.core.reason import Reason
from andon.egress import robots
from andon.egress.channels import dingtalk_robot as dingtalk
from andon.egress.channels import feishu_robot as feishu
from andon.egress.robots import Called
from andon.egress.vendors import OTHER, Meaning
from andon.testing.contract_channels import LAWS, run
from andon.testing.rig import ContractBroken
from tests.component.robots.stand import ENVIRONMENT, exercise, scene

DING, FEI = dingtalk.DingtalkRobot, feishu.FeishuRobot


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def _mac(key: str, message: str) -> bytes:
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()


def _changed(module: Any, change: Callable[[dict[str, Any]], Any]) -> Callable[..., Any]:
    """`_said` of a channel, with something wrong in its body."""
    right = module._said

    def said(*arguments: Any) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(json.dumps(right(*arguments)))
        change(body)
        return body

    return said


def _without_title(body: dict[str, Any]) -> None:
    body.get("markdown", {}).pop("title", None)


def _at_inside(body: dict[str, Any]) -> None:
    if "at" in body:
        body[body["msgtype"]]["at"] = body.pop("at")


def _snake_case(body: dict[str, Any]) -> None:
    if "at" in body:
        body["at"] = {"at_mobiles": body["at"]["atMobiles"], "is_at_all": True}


def _markdown_as_text(body: dict[str, Any]) -> None:
    if body["msgtype"] == "markdown":
        body |= {"msgtype": "text", "text": {"content": body.pop("markdown")["text"]}}


def _card_as_content(body: dict[str, Any]) -> None:
    if "card" in body:
        body["content"] = body.pop("card")


def _content_as_text(body: dict[str, Any]) -> None:
    if "content" in body:
        body["content"] = json.dumps(body["content"])


def _query_in_seconds(access: Any, now: float) -> dict[str, str]:
    return {
        "access_token": access.token,
        "timestamp": str(int(now)),
        "sign": dingtalk.signature(access.secret, int(now)),
    }


def _query_encoded_twice(access: Any, now: float) -> dict[str, str]:
    stamp = int(now * 1000)
    return {
        "access_token": access.token,
        "timestamp": str(stamp),
        "sign": quote(dingtalk.signature(access.secret, stamp)),
    }


def _by_status(reply: Any, *_secrets: Any) -> Failure | None:
    return None if reply.status == 200 else Meaning(True, Reason.SERVER_ERROR).failure("")


BY_STANDIN = [
    ("dingtalk", dingtalk, "signature", lambda s, ms: base64.b64encode(_mac(f"{ms}\n{s}", "")).decode()),
    ("dingtalk", dingtalk, "signature", lambda s, ms: _mac(s, f"{ms}\n{s}").hex()),
    ("dingtalk", dingtalk, "signature", lambda s, ms: base64.b64encode(_mac(s, f"{ms}{s}")).decode()),
    ("dingtalk", dingtalk, "_query", _query_in_seconds),
    ("dingtalk", dingtalk, "_query", _query_encoded_twice),
    ("dingtalk", dingtalk, "_said", _changed(dingtalk, _without_title)),
    ("dingtalk", dingtalk, "_said", _changed(dingtalk, _at_inside)),
    ("dingtalk", dingtalk, "_said", _changed(dingtalk, _snake_case)),
    ("dingtalk", dingtalk, "_said", _changed(dingtalk, _markdown_as_text)),
    ("dingtalk", dingtalk, "_said", _changed(dingtalk, lambda body: body.pop("msgUuid"))),
    ("dingtalk", dingtalk, "called", lambda _call: Called()),
    ("dingtalk", DING, "repeat_key", lambda _self, _call: str(uuid.uuid4())),
    ("feishu", feishu, "signature", lambda s, t: base64.b64encode(_mac(s, f"{t}\n{s}")).decode()),
    ("feishu", feishu, "signature", lambda s, t: base64.b64encode(_mac(f"{t}\n{s}", s)).decode()),
    ("feishu", feishu, "signature", lambda s, t: base64.b64encode(_mac(f"{t * 1000}\n{s}", "")).decode()),
    ("feishu", feishu, "int", lambda seconds: int(seconds * 1000)),
    ("feishu", feishu, "_said", _changed(feishu, _card_as_content)),
    ("feishu", feishu, "_said", _changed(feishu, _content_as_text)),
    ("feishu", feishu, "_said", _changed(feishu, lambda body: body.update(msgtype=body.pop("msg_type")))),
    ("feishu", feishu, "called", lambda _call: Called()),
]


@pytest.mark.parametrize(("kind", "place", "name", "mistake"), BY_STANDIN)
def test_stand_in_sees_the_mistake(
    monkeypatch: pytest.MonkeyPatch, kind: str, place: Any, name: str, mistake: Any
) -> None:
    monkeypatch.setattr(place, name, mistake, raising=name != "int")
    with pytest.raises((Failure, AssertionError, ValueError)):
        scene(kind, exercise)


BY_CONTRACT = [
    (DING, dingtalk, "_judge", _by_status),
    (DING, dingtalk, "_of_gateway", lambda _answer: None),
    (DING, dingtalk, "_MEANING", {}),
    (DING, dingtalk, "_number", lambda code: code if isinstance(code, int) else 0),
    (DING, DING, "repeat_key", lambda _self, _call: str(uuid.uuid4())),
    (DING, DING, "repeat_key", lambda _self, call: str(call.delivery)),
    (DING, dingtalk, "detail", lambda code, text, *_secrets: f"{code} {text}"),
    (FEI, feishu, "_judge", _by_status),
    (FEI, feishu, "_MEANING", {11232: OTHER}),
    (FEI, feishu, "detail", lambda code, text, *_secrets: f"{code} {text}"),
    (FEI, robots, "split_numbered", lambda text, limit, in_json: [text.encode()[:limit].decode(errors="ignore")]),
]


@pytest.mark.parametrize(("channel", "place", "name", "mistake"), BY_CONTRACT)
def test_contract_sees_the_mistake(
    monkeypatch: pytest.MonkeyPatch, channel: type[Any], place: Any, name: str, mistake: Any
) -> None:
    monkeypatch.setattr(place, name, mistake)
    broken = []
    for law in LAWS:
        try:
            run(law, channel)
        except ContractBroken:
            broken.append(law)
            break
    assert broken
