"""DingTalk, Feishu and WeChat call the door: what they read in answer, their retries, and who is not them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from andon.core.failure import Retryable
from andon.core.ports import CallbackSource, Context, Inbound
from andon.core.reason import Reason
from andon.ingress.sources.dingtalk import DingtalkCallback
from andon.ingress.sources.feishu import FeishuCallback
from andon.ingress.sources.wechat_oa import WechatOa
from andon.runtime.clock import SystemClock
from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.wecom import WRITTEN
from tests.unit.ingress.callbacks.bench import KEYS, unseal
from tests.unit.ingress.callbacks.calls import (
    LARK_KEY,
    dingtalk_message,
    dingtalk_push,
    lark_push,
    lark_sealed,
    wechat_push,
    wechat_signed,
)

SECRETS = {"token": "tok", "key": KEYS[0], "lark": LARK_KEY, "robot": "s3cret"}
Case = Callable[[Stand], Coroutine[Any, Any, None]]


def sources(folder: Path) -> dict[str, CallbackSource]:
    for name, value in SECRETS.items():
        (folder / name).write_text(value, encoding="utf-8")
    ref = {name: f"file:{folder / name}" for name in SECRETS}
    sealed = {"token": ref["token"], "aes_key": ref["key"]}
    kinds: dict[str, tuple[Any, dict[str, str]]] = {
        "ding": (DingtalkCallback, sealed | {"receive_id": "app1", "app_secret": ref["robot"]}),
        "lark": (FeishuCallback, {"token": ref["token"], "encrypt_key": ref["lark"]}),
        "wechat": (WechatOa, sealed | {"receive_id": "wx1"}),
    }
    clock = SystemClock()
    return {
        name: kind(kind.Config.model_validate(options), Context(name, folder, clock, None))  # type: ignore[arg-type]
        for name, (kind, options) in kinds.items()
    }


def run(folder: Path, case: Case) -> None:
    async def inside() -> None:
        async with standing(folder, callbacks=sources(folder)) as stand:
            await case(stand)

    asyncio.run(inside())


async def call(stand: Stand, name: str, inbound: Inbound) -> httpx2.Response:
    headers = dict(inbound.headers)
    return await stand.client.post(
        f"/callbacks/{name}", params=dict(inbound.query), content=inbound.body, headers=headers
    )


def now() -> str:
    return str(int(time.time()))


def millis() -> str:
    return str(int(time.time() * 1_000))


def ding(number: str = "e1") -> Inbound:
    fields = {"EventType": "user_add_org", "CorpId": "c", "eventId": number, "TimeStamp": millis()}
    return dingtalk_push(fields, at=millis())


def lark(number: str = "e1") -> Inbound:
    header = {"event_id": number, "event_type": "card.action.trigger", "create_time": millis(), "token": "tok"}
    event = {"operator": {"open_id": "ou_1"}, "action": {"tag": "button", "value": {"do": "take"}}}
    return lark_push({"schema": "2.0", "header": header, "event": event}, at=now())


def wechat(number: str = "1") -> Inbound:
    text = (
        f"<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>{WRITTEN}</CreateTime>"
        f"<MsgType>text</MsgType><Content>停机</Content><MsgId>{number}</MsgId></xml>"
    )
    return wechat_push(text, at=now())


CALLS: Mapping[str, Callable[..., Inbound]] = {"ding": ding, "lark": lark, "wechat": wechat}


def read(name: str, answer: httpx2.Response) -> str:
    """What the vendor finds in an answer."""
    kind = answer.headers["content-type"].partition(";")[0]
    if name != "ding":
        assert kind == {"lark": "application/json", "wechat": "text/plain"}[name]
        return answer.text
    assert kind == "application/json"
    return unseal(KEYS[0], "app1", answer.json()["encrypt"])


@pytest.mark.parametrize(("name", "said"), [("ding", "success"), ("lark", "{}"), ("wechat", "success")])
def test_a_callback_is_one_event_however_often_it_comes(tmp_path: Path, name: str, said: str) -> None:
    first = CALLS[name]()

    async def case(stand: Stand) -> None:
        stand.log.answers = [Retryable(Reason.UNAVAILABLE, "no broker")]
        refused = await call(stand, name, first)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5"), "not before Kafka has it"
        for inbound in (first, first, CALLS[name]()):  # as it was, and signed anew
            answer = await call(stand, name, inbound)
            assert (answer.status_code, read(name, answer)) == (200, said)
        (event,) = stand.log.events
        assert event.source == name
        assert stand.counts.taken == {name: 1}
        assert (await call(stand, name, CALLS[name]("2"))).status_code == 200
        assert len(stand.log.events) == 2

    run(tmp_path, case)

    async def again(stand: Stand) -> None:
        answer = await call(stand, name, CALLS[name]())
        assert (answer.status_code, read(name, answer)) == (200, said)
        assert not stand.log.events, "the door knew it before it was restarted"

    run(tmp_path, again)


@pytest.mark.parametrize("name", CALLS)
def test_retries_at_the_same_time_are_one_event(tmp_path: Path, name: str) -> None:
    async def case(stand: Stand) -> None:
        stand.log.open.clear()
        calls = [asyncio.create_task(call(stand, name, CALLS[name]())) for _ in range(4)]
        await stand.log.until_asked(1)
        stand.log.open.set()
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 4
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_questions_are_answered_and_no_events(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        answer = await call(stand, "ding", dingtalk_push({"EventType": "check_url"}, at=millis()))
        assert (answer.status_code, read("ding", answer)) == (200, "success")
        challenge = {"challenge": "abc", "token": "tok", "type": "url_verification"}
        answer = await call(stand, "lark", Inbound("lark", {}, lark_sealed(challenge)))
        assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
        query = wechat_signed("tok", now(), echostr="88+12/=")
        answer = await stand.client.get("/callbacks/wechat", params=query)
        assert (answer.status_code, answer.text) == (200, "88+12/=")
        assert answer.headers["content-type"].startswith("text/plain")
        assert not stand.log.events
        assert not stand.counts.taken

    run(tmp_path, case)


def test_a_message_to_a_robot_is_an_event(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        said = {"msgtype": "text", "msgId": "m1", "senderStaffId": "zhang", "text": {"content": "停机"}}
        for _ in range(2):
            answer = await call(stand, "ding", dingtalk_message(said, at=millis()))
            assert (answer.status_code, answer.content) == (200, b"")
        (event,) = stand.log.events
        assert (event.type, event.subject) == ("dingtalk.message.text", "zhang")

    run(tmp_path, case)


def _stranger(name: str) -> list[tuple[Inbound, int, str]]:
    good = CALLS[name]()
    other = "lark" if name != "lark" else "ding"
    return [
        (Inbound(name, {}, good.body), 401, "unauthorised"),
        (Inbound(name, good.headers, good.body.replace(b'"', b"'"), good.query), 400, "malformed"),
        (CALLS[other](), 401, "unauthorised"),
        (Inbound(name, good.headers, b"", good.query), 400, "malformed"),
        (Inbound(name, good.headers, b"x" * ((1 << 20) + 1), good.query), 413, "too_large"),
    ]


@pytest.mark.parametrize("name", ["ding", "lark"])
def test_what_is_not_from_the_vendor(tmp_path: Path, name: str) -> None:
    async def case(stand: Stand) -> None:
        for inbound, status, reason in _stranger(name):
            answer = await call(stand, name, inbound)
            assert answer.status_code == status, (answer.text, inbound)
            assert answer.json()["type"].endswith(reason)
        answer = await stand.client.get(f"/callbacks/{name}")
        assert (answer.status_code, answer.json()["detail"]) == (400, "here is called by POST only")
        assert not stand.log.events
        assert not set(SECRETS.values()) & set(answer.text.split())

    run(tmp_path, case)


def test_what_is_not_from_wechat(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        good = wechat()
        old = str(int(time.time()) - 700)
        for inbound, status in (
            (Inbound("wechat", {}, good.body), 401),
            (Inbound("wechat", {}, b"no xml", good.query), 400),
            (Inbound("wechat", {}, b"<!DOCTYPE x><xml/>", good.query), 400),
            (Inbound("wechat", {}, b"<xml><MsgType>text</MsgType></xml>", wechat_signed("tok", now())), 401),
            (wechat_push("<xml/>", at=old), 401),
            (wechat_push("<xml/>", at=now()), 400),
        ):
            answer = await call(stand, "wechat", inbound)
            assert answer.status_code == status, (answer.text, inbound)
        for query in ({}, {"echostr": "1"}, wechat_signed("x", now()), wechat_signed("tok", old)):
            assert (await stand.client.get("/callbacks/wechat", params=query)).status_code == 401
        assert not stand.log.events

    run(tmp_path, case)


def test_events_without_room_or_secret_come_again(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        (tmp_path / "token").unlink()
        for name, make in CALLS.items():
            assert (await call(stand, name, make())).status_code == 503
        (tmp_path / "token").write_text("newer\ntok", encoding="utf-8")
        stand.waiting = 10_000
        for name, make in CALLS.items():
            answer = await call(stand, name, make())
            assert (answer.status_code, json.loads(answer.text)["title"]) == (429, "Over capacity")
        stand.waiting = 0
        for name, make in CALLS.items():
            assert (await call(stand, name, make())).status_code == 200

    run(tmp_path, case)
