"""The channels of DingTalk and Feishu against their stand-ins, and the stand-ins held to the vendors' rules."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Content
from andon.core.reason import Reason
from andon.dev.dingtalk import IP_THROTTLED
from andon.dev.standin import Fault
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from tests.component.robots.stand import ENVIRONMENT, KINDS, Place, exercise, scene


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


# The channels


@pytest.mark.parametrize("kind", KINDS)
def test_people_see_what_was_said_and_a_keyed_repeat_once(kind: str) -> None:
    scene(kind, exercise)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", ["text", "markdown"])
def test_numbered_parts_arrive_byte_for_byte(kind: str, said: str) -> None:
    whole = '冲压机 7 "停机"。\n' * 3_000

    async def play(place: Place) -> str:
        channel = place.channel()
        for number, part in enumerate(channel.split(Content(said, whole))):
            await channel.send(call(part.text, part.kind, part=number))
        assert len(place.standin.seen) > 3
        return "".join(unnumbered([one.content for one in place.standin.seen]))

    assert scene(kind, play, limit=0, **({} if kind == "dingtalk" else {"burst": 0})) == whole


@pytest.mark.parametrize("kind", KINDS)
def test_every_card_of_the_specimen_is_one_the_vendor_takes(kind: str) -> None:
    async def play(place: Place) -> None:
        channel = place.channel()
        shown = type(channel).specimen.structured  # type: ignore[attr-defined]
        for number, (content, text) in enumerate(shown.items()):
            await channel.send(call(text, content, part=number))
        assert [one.msgtype for one in place.standin.seen] == list(shown)
        assert all("冲压机 7" in one.content or "停机" in one.content for one in place.standin.seen)

    scene(kind, play)


async def _refused(place: Place, **of: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        await place.channel(**of).send(call())
    assert place.standin.seen == []
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", [{"account": "ROBOT_X"}, {"secret": "ROBOT_Y"}])
def test_wrong_account_or_secret_is_parked_as_credentials(kind: str, of: dict[str, str]) -> None:
    error = scene(kind, lambda place: _refused(place, **of))
    assert isinstance(error, Rejected)
    assert error.reason is Reason.CREDENTIALS


@pytest.mark.parametrize("kind", KINDS)
def test_clock_wrong_by_more_than_an_hour_is_said(kind: str) -> None:
    error = scene(kind, lambda place: _refused(place, clock=ManualClock(place.clock.now() - 3_700)))
    assert "clock" in error.detail


@pytest.mark.parametrize("kind", KINDS)
def test_missing_keyword_is_parked_with_advice(kind: str) -> None:
    error = scene(kind, _refused, keywords=("安灯",))
    assert (error.reason, "keywords" in error.detail) == (Reason.REJECTED, True)


FAULTS = [
    (Fault("reset"), Reason.CONNECTION, True),
    (Fault("close"), Reason.CONNECTION, True),
    (Fault("hang"), Reason.TIMEOUT, True),
    (Fault("drip", seconds=0.5), Reason.TIMEOUT, True),
    (Fault("html", code=502), Reason.SERVER_ERROR, True),
    (Fault("html", code=200), Reason.BAD_REPLY, True),
    (Fault("html", code=403), Reason.BAD_REPLY, False),
    (Fault("errcode", code=-1), Reason.BUSY, False),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "reason", "ambiguous"), FAULTS, ids=lambda value: getattr(value, "kind", ""))
def test_fault_is_told_apart_and_the_next_call_works(kind: str, fault: Fault, reason: Reason, ambiguous: bool) -> None:
    async def play(place: Place) -> Retryable:
        channel = place.channel()
        place.standin.fail(Fault(fault.kind, "*", fault.seconds, fault.code, 1))
        with pytest.raises(Retryable) as caught:
            await channel.send(call("first", deadline=1.5))
        await channel.send(call("second", part=1))
        assert [one.content for one in place.standin.seen] == ["second"]
        return caught.value

    error = scene(kind, play)
    assert (error.reason, error.ambiguous) == (reason, ambiguous)


def test_answer_lost_after_the_call_was_carried_out_is_repeated_unseen() -> None:
    async def play(place: Place) -> list[str]:
        channel = place.channel()
        place.standin.fail(Fault("reset", times=1, seen=True))
        with pytest.raises(Retryable):
            await channel.send(call("once"))
        await channel.send(call("once"))
        return [one.content for one in place.standin.seen]

    assert scene("dingtalk", play) == ["once"]


def test_gateway_of_dingtalk_throttles_without_an_errcode() -> None:
    async def play(place: Place) -> Retryable:
        place.standin.fail(Fault("body", text=IP_THROTTLED, times=1))
        with pytest.raises(Retryable) as caught:
            await place.channel().send(call())
        return caught.value

    error = scene("dingtalk", play)
    assert (error.reason, error.after, error.ambiguous) == (Reason.THROTTLED, 5.0, False)


# The limits


def test_dingtalk_shuts_a_robot_for_ten_minutes() -> None:
    async def play(place: Place) -> list[int]:
        codes = [await place.ask(TEXT) for _ in range(21)]
        for pause in (61, 538, 2):
            place.clock.advance(pause)
            codes.append(await place.ask(TEXT))
        return codes

    assert scene("dingtalk", play) == [*[0] * 20, 130101, 130101, 130101, 0]


def test_feishu_holds_five_a_second_and_a_hundred_a_minute() -> None:
    async def play(place: Place) -> tuple[list[int], int]:
        codes = [await place.ask(WORDS) for _ in range(6)]
        accepted = 5
        for _ in range(30):
            place.clock.advance(1.0)
            accepted += sum([await place.ask(WORDS) == 0 for _ in range(5)])
        return codes, accepted

    codes, accepted = scene("feishu", play)
    assert codes == [*[0] * 5, 11232]
    assert accepted == 99  # the refused one counted as well


# The stand-ins, field by field

TEXT = {"msgtype": "text", "text": {"content": "x"}}
URL = "https://mes.corp/1"
CARD = {"title": "t", "text": "x"}
BUTTON = {"title": "t", "actionURL": URL}
DINGTALK = [
    (TEXT, 0),
    ({**TEXT, "msgUuid": "u", "at": {"isAtAll": True}}, 0),
    ({**TEXT, "at": {"atMobiles": ["138"]}}, 40035),
    ({"msgtype": "text", "text": {"content": "x @138"}, "at": {"atMobiles": ["138"]}}, 0),
    ({**TEXT, "at": {"atUserIds": ["x"] * 51}}, 40035),
    ({**TEXT, "at": {"is_at_all": True}}, 40035),
    ({"msgtype": "text", "text": {"content": "x", "at": {}}}, 40035),
    ({"msgtype": "text", "text": {"content": ""}}, 40035),
    ({"msgtype": "markdown", "markdown": {"text": "x"}}, 40035),
    ({"msgtype": "markdown", "markdown": {"title": "t", "text": "x"}}, 0),
    ({"msgtype": "link", "link": {**CARD, "messageUrl": URL, "picUrl": URL}}, 0),
    ({"msgtype": "link", "link": {**CARD, "messageURL": URL}}, 40035),
    ({"msgtype": "link", "link": {**CARD, "messageUrl": "mes.corp/1"}}, 40035),
    ({"msgtype": "actionCard", "actionCard": {**CARD, "singleTitle": "看", "singleURL": URL}}, 0),
    ({"msgtype": "actionCard", "actionCard": {**CARD, "btnOrientation": "1", "btns": [BUTTON]}}, 0),
    ({"msgtype": "actionCard", "actionCard": {**CARD, "btnOrientation": 1, "btns": [BUTTON]}}, 40035),
    ({"msgtype": "actionCard", "actionCard": CARD}, 40035),
    ({"msgtype": "actionCard", "actionCard": {**CARD, "singleTitle": "看"}}, 40035),
    ({"msgtype": "actionCard", "actionCard": {**CARD, "singleTitle": "看", "singleURL": URL, "btns": [BUTTON]}}, 40035),
    ({"msgtype": "feedCard", "feedCard": {"links": [{"title": "t", "messageURL": URL, "picURL": URL}]}}, 0),
    ({"msgtype": "feedCard", "feedCard": {"links": []}}, 40035),
    ({"msgtype": "feedCard", "feedCard": {"links": [{"title": "t", "messageURL": URL}]}}, 40035),
    ({"msgtype": "news"}, 400105),
    ({"msg_type": "text", "content": {"text": "x"}}, 400105),
    ({"msgtype": "text", "text": {"content": "x" * 20_000}}, 460101),
    ([], 40035),
    (b"{", 40035),
]
WORDS = {"msg_type": "text", "content": {"text": "x"}}
DIV = {"tag": "div", "text": {"tag": "lark_md", "content": "**x**"}}
OPENS = {"tag": "button", "text": {"tag": "plain_text", "content": "看"}, "url": URL, "type": "primary"}
HEADER = {"title": {"tag": "plain_text", "content": "t"}, "template": "red"}
POST = [[{"tag": "text", "text": "x"}, {"tag": "a", "text": "y", "href": URL}, {"tag": "at", "user_id": "ou_1"}]]


def card(**card: Any) -> dict[str, Any]:
    return {"msg_type": "interactive", "card": card}


FEISHU = [
    (WORDS, 0),
    ({"msg_type": "text", "content": '{"text":"x"}'}, 9499),
    ({"msg_type": "text", "content": {"text": ""}}, 9499),
    ({"msg_type": "text", "content": {"text": "x", "at": []}}, 9499),
    ({"msgtype": "text", "text": {"content": "x"}}, 9499),
    ({"msg_type": "post", "content": {"post": {"zh_cn": {"title": "t", "content": POST}}}}, 0),
    ({"msg_type": "post", "content": {"zh_cn": {"title": "t", "content": POST}}}, 9499),
    ({"msg_type": "post", "content": {"post": {"zh_cn": {"title": "t", "content": POST[0]}}}}, 9499),
    (card(schema="2.0", header=HEADER, body={"elements": [{"tag": "markdown", "content": "x"}, OPENS]}), 0),
    (card(header=HEADER, elements=[DIV, {"tag": "hr"}, {"tag": "action", "actions": [OPENS]}]), 0),
    (card(schema="2.0", elements=[DIV]), 9499),
    (card(elements=[{"tag": "nonsense"}]), 9499),
    (card(elements=[DIV], header={**HEADER, "template": "pink"}), 9499),
    (card(elements=[{"tag": "action", "actions": [{"tag": "button", "text": OPENS["text"]}]}]), 9499),
    ({"msg_type": "interactive", "content": {"elements": [DIV]}}, 9499),
    ({"msg_type": "text", "content": {"text": "x" * 20_480}}, 9499),
    (b"{", 9499),
]


@pytest.mark.parametrize(("body", "code"), DINGTALK)
def test_dingtalk_is_checked_field_by_field(body: Any, code: int) -> None:
    assert scene("dingtalk", lambda place: place.ask(body)) == code


@pytest.mark.parametrize(("body", "code"), FEISHU)
def test_feishu_is_checked_field_by_field(body: Any, code: int) -> None:
    assert scene("feishu", lambda place: place.ask(body)) == code


@pytest.mark.parametrize("kind", KINDS)
def test_addresses_that_are_not_the_vendors(kind: str) -> None:
    async def play(place: Place) -> list[Any]:
        nowhere = await place.wire.request("POST", f"{place.standin.url}/nowhere", body=b"{}")
        unknown = await place.wire.request("POST", place.address.replace("open", "x", 1), body=b"{}")
        got = await place.wire.request("GET", place.address)
        return [nowhere.status, unknown.status, json.loads(got.body)]

    nowhere, unknown, got = scene(kind, play)
    assert nowhere == 404
    assert unknown in (200, 404)
    assert got.get("errcode", got.get("code")) in (43002, 9499)


@pytest.mark.parametrize(
    ("kind", "way"), [("dingtalk", "/robot/send?access_token=b"), ("feishu", "/open-apis/bot/v2/hook/b")]
)
def test_process_records_what_people_saw(tmp_path: Path, kind: str, way: str) -> None:
    record = tmp_path / "seen.jsonl"
    command = [sys.executable, "-m", f"andon.dev.{kind}", "--port", "0", "--keys", "a,b", "--record", str(record)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]

        async def play(place: Place) -> None:
            body = json.dumps(TEXT if kind == "dingtalk" else WORDS).encode()
            await place.wire.request("POST", url + way, body=body)

        scene(kind, play)
        process.send_signal(signal.SIGKILL)
    (line,) = record.read_text(encoding="utf-8").splitlines()
    assert (json.loads(line)["key"], json.loads(line)["content"]) == ("b", "x")


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_that_do_not_match_the_keys_are_refused(kind: str) -> None:
    command = [sys.executable, "-m", f"andon.dev.{kind}", "--keys", "a,b", "--secrets", "s"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    assert "one for each" in ended.stderr
