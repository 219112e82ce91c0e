"""The stand-in of WeCom applications: what it refuses, cuts and discards of cards, files, chats and changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from andon.dev.wecom_app_corp import Rules
from andon.egress.channels.wecom_app import WecomApp
from andon.egress.media import multipart
from tests.component.wecom.app_laws import ACTION, AGENT, BUTTONS, PNG, Stand, reached, stand

CARD = {"title": "停机", "description": "冲压机 7", "url": "https://mes.corp/1"}
MINI = {"appid": "wx1", "title": "停机通知", "content_item": [{"key": "设备", "value": "冲压机 7"}]}
TASKED = {**BUTTONS, "task_id": "t-1"}
NOTICE = {"card_type": "text_notice", "sub_title_text": "停机", "card_action": ACTION}
Say = Callable[..., Awaitable[dict[str, Any]]]


def scene(of: Callable[[Stand, Say], Awaitable[None]], **more: Any) -> None:
    """Plays with the stand-in itself: `say` posts to a path of it with a good token."""

    async def play() -> None:
        async with asyncio.timeout(30), stand(WecomApp, **more) as one:
            await one.send(one.app(), "wang")
            one.vendor.seen.clear()

            async def say(path: str, body: Any, query: str = "") -> dict[str, Any]:
                token = one.vendor.corp.tokens.token
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                url = f"{one.vendor.url}/cgi-bin/{path}?access_token={token}{query}"
                reply = await one.wire.request("POST", url, body=raw)
                answer: dict[str, Any] = json.loads(reply.body)
                return answer

            await of(one, say)

    asyncio.run(play())


def message(kind: str, part: Any, **more: Any) -> dict[str, Any]:
    return {"touser": "wang", "agentid": AGENT, "msgtype": kind, kind: part, **more}


def without(card: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: one for name, one in card.items() if name != key}


@pytest.mark.parametrize(
    ("kind", "part", "errcode"),
    [
        ("textcard", CARD, 0),
        ("textcard", without(CARD, "description"), 40058),
        ("textcard", {**CARD, "url": "mes.corp"}, 45034),
        ("textcard", {**CARD, "url": "https://mes.corp/" + "x" * 2_048}, 40058),
        ("textcard", {**CARD, "bntxt": "x"}, 40058),
        ("news", {"articles": [{"title": "x"}]}, 40058),
        ("news", {"articles": [{"title": "x", "appid": "wx1"}]}, 40058),
        ("news", {"articles": [{"title": "x", "url": "https://x.cn"}] * 9}, 45008),
        ("mpnews", {}, 40008),
        ("miniprogram_notice", MINI, 0),
        ("miniprogram_notice", without(MINI, "appid"), 40058),
        ("miniprogram_notice", {**MINI, "title": "停机"}, 40058),
        ("miniprogram_notice", {**MINI, "title": "停" * 13}, 40058),
        ("miniprogram_notice", {**MINI, "url": "https://x.cn"}, 40058),
        ("miniprogram_notice", {**MINI, "content_item": [{"key": "k", "value": "v"}] * 11}, 40058),
        ("miniprogram_notice", {**MINI, "content_item": [{"key": "k", "value": "值" * 31}]}, 40058),
        ("template_card", TASKED, 0),
        ("template_card", BUTTONS, 40058),
        ("template_card", {**TASKED, "task_id": "t 1"}, 40058),
        ("template_card", {**TASKED, "task_id": "t" * 129}, 40058),
        ("template_card", {**TASKED, "button_list": []}, 40058),
        ("template_card", {**TASKED, "button_list": [{"text": "x"}]}, 40058),
        ("template_card", {**TASKED, "button_list": [{"text": "x", "key": "k" * 1_025}]}, 40058),
        ("template_card", {**TASKED, "button_list": [{"text": "x", "key": "k"}] * 2}, 40058),
        ("template_card", {**TASKED, "button_list": [{"text": "x", "key": "k", "style": 5}]}, 40058),
        ("template_card", {**TASKED, "replace_text": "x"}, 40058),
        ("template_card", {**NOTICE, "action_menu": {"action_list": [{"text": "x", "key": "k"}]}}, 40058),
        ("template_card", without(NOTICE, "card_action"), 40058),
        ("template_card", {**NOTICE, "card_type": "news_notice", "main_title": {"title": "x"}}, 40058),
        ("template_card", {"card_type": "vote_interaction", "task_id": "t", "main_title": {"title": "x"}}, 40058),
        ("image", {"media_id": "unknown"}, 40007),
        ("image", {}, 40058),
    ],
)
def test_cards_are_checked_field_by_field(kind: str, part: Any, errcode: int) -> None:
    async def of(one: Stand, say: Say) -> None:
        assert (await say("message/send", message(kind, part)))["errcode"] == errcode
        assert len(one.vendor.seen) == (0 if errcode else 1)

    scene(of)


def test_a_card_is_not_confidential_and_a_task_is_taken_once() -> None:
    async def of(_one: Stand, say: Say) -> None:
        assert (await say("message/send", message("textcard", CARD, safe=0)))["errcode"] == 40058
        assert (await say("message/send", message("miniprogram_notice", MINI, touser="@all")))["errcode"] == 40058
        first = await say("message/send", message("template_card", TASKED))
        assert first["response_code"]
        assert (await say("message/send", message("template_card", TASKED)))["errcode"] == 40058
        assert "response_code" not in await say("message/send", message("template_card", NOTICE))

    scene(of)


def test_an_app_without_a_callback_sends_nothing_that_is_answered() -> None:
    async def of(_one: Stand, say: Say) -> None:
        assert (await say("message/send", message("template_card", TASKED)))["errcode"] == 40058
        assert (await say("message/send", message("template_card", NOTICE)))["errcode"] == 0

    scene(of, callback=False)


def test_what_is_longer_than_the_vendor_shows_is_cut_in_silence() -> None:
    async def of(one: Stand, say: Say) -> None:
        long = {**CARD, "title": "停" * 129, "btntxt": "查看更多详情"}
        assert (await say("message/send", message("textcard", long)))["errcode"] == 0
        article = {"title": "停" * 43, "url": "https://x.cn"}
        assert (await say("message/send", message("news", {"articles": [article]})))["errcode"] == 0
        assert one.vendor.counts.cut == 2
        assert one.vendor.seen[0].content.splitlines() == ["停" * 128, "冲压机 7", "查看更多"]
        assert one.vendor.seen[1].content == "停" * 42

    scene(of)


@pytest.mark.parametrize(
    ("kind", "raw", "errcode"),
    [
        ("image", PNG, 0),
        ("image", b"no picture", 40005),
        ("image", PNG + b"\0" * (10 << 20), 40006),
        ("video", b"\0\0\0\x18ftypmp42", 0),
        ("video", PNG, 40005),
        ("voice", b"#!AMR\n", 0),
        ("voice", b"#!AMR", 40006),
        ("file", b"123456", 0),
        ("thumb", PNG, 40004),
    ],
)
def test_uploads_are_looked_at(kind: str, raw: bytes, errcode: int) -> None:
    async def of(one: Stand, say: Say) -> None:
        answer = await say("media/upload", multipart("a.bin", raw)[0], f"&type={kind}")
        assert answer["errcode"] == errcode
        if errcode:
            return
        assert isinstance(answer["created_at"], str)
        part = {"media_id": answer["media_id"]}
        other = "file" if kind == "image" else "image"
        assert (await say("message/send", message(other, part)))["errcode"] == 40007, "an id is of its kind"
        assert (await say("message/send", message(kind, part)))["errcode"] == 0
        one.clock.advance(3 * 86_400)
        await one.send(one.app(), "wang")
        assert (await say("message/send", message(kind, part)))["errcode"] == 40007, "for three days"

    scene(of)


def test_an_empty_upload_is_refused_before_its_token() -> None:
    async def of(one: Stand, _say: Say) -> None:
        reply = await one.wire.request("POST", f"{one.vendor.url}/cgi-bin/media/upload?access_token=no&type=file")
        assert json.loads(reply.body)["errcode"] == 44001

    scene(of)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"msgtype": "text", "text": {"content": "x"}}, 86001),
        ({"chatid": "nowhere", "msgtype": "text", "text": {"content": "x"}}, 86003),
        ({"chatid": "night", "msgtype": "template_card", "template_card": NOTICE}, 40008),
        ({"chatid": "night", "msgtype": "text", "text": {"content": "x"}, "agentid": AGENT}, 40063),
        ({"chatid": "night", "msgtype": "news", "news": {"articles": []}}, 40058),
        ({"chatid": "night", "msgtype": "textcard", "textcard": CARD}, 0),
    ],
)
def test_messages_to_chats_are_checked_field_by_field(body: Any, errcode: int) -> None:
    async def of(one: Stand, say: Say) -> None:
        answer = await say("appchat/send", body)
        assert answer["errcode"] == errcode
        assert "msgid" not in answer
        assert [each.chat for each in one.vendor.seen] == ([] if errcode else ["night"])

    scene(of)


def test_what_is_beyond_a_members_limit_in_all_chats_is_seen_by_nobody() -> None:
    async def of(one: Stand, say: Say) -> None:
        body = {"msgtype": "text", "text": {"content": "x"}}
        for chat in ("shift-3", "night", "shift-3", "both", "both"):
            assert (await say("appchat/send", {**body, "chatid": chat}))["errcode"] == 0
        told = [each.member for each in one.vendor.seen]
        assert (told.count("wang"), told.count("Li"), told.count("00123")) == (3, 2, 1)
        assert one.vendor.counts.discarded == 1
        assert reached(await one.send(one.app(), "wang")) == ["wang"], "what goes to each alone is counted apart"

    chats = {"shift-3": ("wang", "Li"), "night": ("00123",), "both": ("wang",)}
    scene(of, chats=chats, rules=Rules(chats=((3, 60.0),)))


def test_a_card_is_changed_once_within_72_hours_and_for_those_who_have_it() -> None:
    async def of(one: Stand, say: Say) -> None:
        sent = await say("message/send", message("template_card", TASKED, touser="wang|li"))
        card = {**BUTTONS, "replace_text": "王晴 已接手"}
        update = {"agentid": AGENT, "response_code": sent["response_code"], "userids": ["li", "ghost", "00123"]}
        answer = await say("message/update_template_card", {**update, "template_card": card})
        assert answer == {"errcode": 0, "errmsg": "ok", "invaliduser": ["ghost"]}
        last = one.vendor.seen[-1]
        assert (last.member, last.what) == ("Li", "updated")
        assert "王晴 已接手" in last.content
        assert [each.what for each in one.vendor.seen] == ["", "", "updated"]
        assert (await say("message/update_template_card", {**update, "template_card": card}))["errcode"] == 40058
        sent = await say("message/send", message("template_card", {**TASKED, "task_id": "t-2"}))
        one.clock.advance(72 * 3_600 + 1)
        await one.send(one.app(), "wang")
        update = {"agentid": AGENT, "response_code": sent["response_code"], "atall": 1, "button": {"replace_name": "x"}}
        assert (await say("message/update_template_card", update))["errcode"] == 40058

    scene(of)


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"atall": 0}, 40063),
        ({"atall": True}, 40058),
        ({"userids": "wang"}, 40058),
        ({"partyids": ["2"]}, 40058),
        ({"agentid": str(AGENT)}, 40058),
        ({"agentid": 7}, 301002),
        ({"button": {"replace_name": ""}}, 40058),
        ({"button": {"replace_name": "x", "more": 1}}, 40058),
        ({"template_card": NOTICE}, 40063),
        ({"response_code": "no"}, 40058),
        ({"more": 1}, 40063),
        ({}, 0),
    ],
)
def test_changes_are_checked_field_by_field(change: dict[str, Any], errcode: int) -> None:
    async def of(one: Stand, say: Say) -> None:
        sent = await say("message/send", message("template_card", TASKED))
        update = {"agentid": AGENT, "response_code": sent["response_code"], "atall": 1, "button": {"replace_name": "x"}}
        answer = await say("message/update_template_card", {**update, **change})
        assert answer["errcode"] == errcode
        assert one.vendor.counts.updated == (0 if errcode else 1)

    scene(of)


def test_a_message_is_taken_back_once_within_a_day() -> None:
    async def of(one: Stand, say: Say) -> None:
        name = (await say("message/send", message("textcard", CARD, touser="wang|li")))["msgid"]
        for body, errcode in (({"msgid": "no"}, 40058), ({"msgid": name, "more": 1}, 40063), ({"msgid": name}, 0)):
            assert (await say("message/recall", body))["errcode"] == errcode
        told = [(each.member, each.what) for each in one.vendor.seen]
        assert told == [("wang", ""), ("Li", ""), ("wang", "recalled"), ("Li", "recalled")]
        assert (await say("message/recall", {"msgid": name}))["errcode"] == 40058

    scene(of)
