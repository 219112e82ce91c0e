"""What a WeCom application sends beside texts, byte by byte: cards, news and files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.egress.cards.wecom_app import APP, UPDATE
from andon.egress.judge import problems
from andon.egress.structured import said
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from tests.unit.egress.app_vendor import BUTTONS, NOTICE, OK, PNG, Vendor, app, sent


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_CORP", "ww0123")
    monkeypatch.setenv("APP_SECRET", "the-secret")


# Cards

MINIPROGRAM = {"appid": "wx1", "title": "停机通知", "content_item": [{"key": "设备", "value": "冲压机 7"}]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("textcard", {"title": "停机", "description": "冲压机 7", "url": "https://mes.corp/1"}),
        ("news", {"articles": [{"title": "停机", "url": "https://mes.corp/1"}]}),
        ("template_card", NOTICE),
        ("miniprogram_notice", MINIPROGRAM),
    ],
)
def test_a_card_is_sent_as_the_template_has_it(kind: str, value: dict[str, Any]) -> None:
    vendor = Vendor()
    sent(vendor, kind, value, "wang", "party:2")
    body = {"touser": "wang", "toparty": "2", "msgtype": kind, "agentid": 1000002, kind: value}
    assert vendor.asked == [("message/send", {**body, "enable_duplicate_check": 0})], "no `safe`: it has no such form"


def task(**changes: Any) -> str:
    vendor = Vendor()
    to = changes.pop("to", ("wang",))
    sent(vendor, "template_card", BUTTONS, *to, **changes)
    found: str = vendor.asked[0][1]["template_card"].pop("task_id")
    assert vendor.asked[0][1]["template_card"] == BUTTONS
    return found


def test_a_card_that_is_answered_has_a_task_that_names_its_delivery() -> None:
    delivery = UUID("0189d2c4-7f3e-7a52-8b16-3f1f2f3a4b5c")
    first = task()
    assert first.startswith(f"{delivery}@")
    assert len(first) == 53
    assert first == task(line=0, deadline=3.0, refused=2), "an attempt has the task of the one before"
    others = {
        task(to=("li",)),
        task(to=("wang", "li")),
        task(receiver="who-is-told-instead"),
        task(redrive=1),
        task(part=1),
        task(delivery=UUID(int=7)),
    }
    assert len({first, *others}) == 7, "the vendor takes none twice"


def test_a_menu_makes_a_notice_one_that_is_answered() -> None:
    vendor = Vendor()
    sent(vendor, "template_card", {**NOTICE, "action_menu": {"action_list": [{"text": "静音", "key": "mute"}]}})
    assert "task_id" in vendor.asked[0][1]["template_card"]


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ({**OK, "response_code": "c1"}, "m1 c1"),
        (OK, "m1"),
        ({"errcode": 0, "msgid": 7}, "7"),
        ({"errcode": 0, "response_code": "c1"}, ""),
        ({**OK, "response_code": "c" * 600}, "m1"),
        ({"errcode": 0, "msgid": "m" * 600, "response_code": "c"}, "m" * 512),
    ],
)
def test_the_reference_names_the_message_and_the_code_of_its_card(answer: dict[str, Any], reference: str) -> None:
    (receipt,) = sent(Vendor(send=[answer]), "template_card", BUTTONS)
    assert receipt.reference == reference


def test_a_card_is_one_part() -> None:
    content = Content("textcard", json.dumps({"title": "x" * 4_000}))
    assert tuple(app(Vendor()).split(content)) == (content,)
    with pytest.raises(Rejected, match="template_card"):
        app(Vendor()).split(Content("mpnews", "{}"))


# Files


def test_a_file_is_uploaded_once_and_sent_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 50)

    async def scene() -> None:
        vendor, clock = Vendor(), ManualClock()
        channel = app(vendor, tmp_path, clock, safe=True)
        content = json.dumps({"file": "a.mp4", "title": "冲压机 7"})
        for _ in range(2):
            await channel.send(call(content, "video", recipients=("wang",)))
        clock.advance(3 * 86_400)
        await channel.send(call(content, "video", recipients=("wang",)))
        paths = [path for path, _ in vendor.asked]
        upload, send = "media/upload video", "message/send"
        assert paths == [upload, send, send, upload, send]
        assert b'name="media"; filename="a.mp4"; filelength=62' in vendor.asked[0][1]
        body = vendor.asked[1][1]
        assert body["video"] == {"media_id": "id-1", "title": "冲压机 7"}
        assert body["safe"] == 1

    asyncio.run(scene())


def test_a_file_the_vendor_has_no_longer_is_uploaded_anew_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    gone = {"errcode": 40007, "errmsg": "invalid media_id"}

    async def scene() -> None:
        vendor = Vendor(send=[OK, gone, gone])
        channel = app(vendor, tmp_path)
        one = call('{"file":"a.png"}', "image", recipients=("wang",))
        await channel.send(one)
        with pytest.raises(Retryable) as again:
            await channel.send(one)
        assert (again.value.reason, again.value.ambiguous) == (Reason.CHANGED, False)
        with pytest.raises(Rejected) as refused:
            await channel.send(one)
        assert refused.value.reason is Reason.REJECTED
        assert [path for path, _ in vendor.asked].count("media/upload image") == 2

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("answer", "reason", "retry"),
    [
        ({"errcode": 40006, "errmsg": "invalid media size"}, Reason.TOO_LARGE, False),
        ({"errcode": -1, "errmsg": "busy"}, Reason.BUSY, True),
        ({"errcode": 0}, Reason.BAD_REPLY, True),
    ],
)
def test_an_upload_that_fails_was_no_notice(
    tmp_path: Path, answer: dict[str, Any], reason: Reason, *, retry: bool
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(Retryable if retry else Rejected) as caught:
        sent(Vendor(upload=[answer]), "image", {"file": "a.png"}, folder=tmp_path)
    assert caught.value.reason is reason
    assert not getattr(caught.value, "ambiguous", False)


def test_a_file_that_is_not_there_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"a\.png cannot be read"):
        sent(Vendor(), "image", {"file": "a.png"}, folder=tmp_path)


# Changes of a card that was sent


def test_a_notice_may_change_a_card_for_its_recipients() -> None:
    vendor = Vendor(update_template_card=[{"errcode": 0, "invaliduser": ["li"]}])
    receipts = sent(vendor, UPDATE, {"response_code": "c1", "button": "王晴 已接手"}, "wang", "Li", "a b", "chat:x")
    body = {"agentid": 1000002, "response_code": "c1", "button": {"replace_name": "王晴 已接手"}}
    assert vendor.asked == [("message/update_template_card", {"userids": ["wang", "Li"], "atall": 0, **body})]
    found = {one.recipient: one.failed.reason if one.failed else None for one in receipts}
    assert found == {"wang": None, "Li": Reason.GONE, "a b": Reason.INVALID, "chat:x": Reason.REJECTED}


def test_a_notice_may_put_another_card_in_its_place_for_all() -> None:
    vendor, card = Vendor(), {**BUTTONS, "replace_text": "已处理"}
    (receipt,) = sent(vendor, UPDATE, {"response_code": "c1", "card": card}, "@all")
    assert receipt.failed is None
    body = {"atall": 1, "agentid": 1000002, "response_code": "c1", "template_card": card}
    assert vendor.asked == [("message/update_template_card", body)]


def test_a_code_is_good_once_and_the_notice_says_so() -> None:
    vendor = Vendor(update_template_card=[{"errcode": 40058, "errmsg": "no"}])
    with pytest.raises(Rejected) as caught:
        sent(vendor, UPDATE, {"response_code": "c1", "button": "x"})
    assert caught.value.reason is Reason.GONE


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"button": "x"}, "`response_code` is missing"),
        ({"response_code": "c"}, "`button` or `card`"),
        ({"response_code": "c", "button": "x", "card": BUTTONS}, "`button` or `card`"),
        ({"response_code": "c", "card": {"card_type": "text_notice"}}, "`card_action` is missing"),
    ],
)
def test_a_template_of_a_change_is_judged_before_it_is_sent(value: dict[str, Any], says: str) -> None:
    assert any(says in said(one) for one in problems(APP[UPDATE].shape, value))
