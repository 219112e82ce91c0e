"""WeCom calls the door back: verification, events, its retries, and what is not from WeCom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from andon.core.event import Event
from andon.core.failure import Rejected, Retryable
from andon.core.ports import Answer, Called, Inbound
from andon.core.reason import Reason
from andon.ingress.bodies.sealed import Seal
from andon.ingress.bodies.xml import fields_of
from tests.component.ingress.stand import Stand, standing
from tests.component.ingress.wecom import ERP, KEYS, MES, PATH, RANDOM, WRITTEN, call, message, signed, source, text

FORGED = "?msg_signature=x&timestamp=1&nonce=n"
CARD = (
    "<MsgType>event</MsgType><Event>template_card_event</Event><EventKey>take</EventKey><TaskId>t1</TaskId>"
    "<CardType>button_interaction</CardType><ResponseCode>rc</ResponseCode><SelectedItems><SelectedItem>"
    "<QuestionKey>q</QuestionKey><OptionIds><OptionId>o1</OptionId></OptionIds></SelectedItem></SelectedItems>"
)
APPROVAL = (
    "<MsgType>event</MsgType><Event>sys_approval_change</Event><ApprovalInfo><SpNo>7</SpNo><SpStatus>1</SpStatus>"
    "<SpRecord><SpStatus>1</SpStatus></SpRecord><StatuChangeEvent>{change}</StatuChangeEvent></ApprovalInfo>"
)
# What WeCom tells of in its own name, or many times within one second: only what {} stands for differs.
EVENTS = {
    "members": "<Event>change_contact</Event><ChangeType>delete_user</ChangeType><UserID>{}</UserID>",
    "customers": "<Event>change_external_contact</Event><ChangeType>add_external_contact</ChangeType>"
    "<UserID>li</UserID><ExternalUserID>{}</ExternalUserID>",
    "questions": "<Event>kf_msg_or_event</Event><Token>{}</Token><OpenKfId>kf1</OpenKfId>",
    "jobs": "<Event>batch_job_result</Event><BatchJob><JobId>{}</JobId><ErrCode>0</ErrCode></BatchJob>",
    "submissions": "<Event>template_card_event</Event><EventKey>submit</EventKey><TaskId>t1</TaskId><SelectedItems>"
    "<SelectedItem><QuestionKey>q</QuestionKey><OptionIds><OptionId>{}</OptionId></OptionIds></SelectedItem>"
    "</SelectedItems>",
}
Case = Callable[[Stand], Coroutine[Any, Any, None]]


def run(folder: Path, case: Case, **more: Any) -> None:
    async def inside() -> None:
        async with standing(folder, callbacks={"app-events": source(folder, **more)}) as stand:
            await case(stand)

    asyncio.run(inside())


@pytest.mark.parametrize("seal", [MES, ERP])
@pytest.mark.parametrize("random", [bytes([n] * 16) for n in range(8)])
def test_the_address_is_verified_with_exactly_what_was_sealed(tmp_path: Path, seal: Seal, random: bytes) -> None:
    plain = "1616140317555161061"

    async def case(stand: Stand) -> None:
        sealed = seal.close(plain.encode(), random)
        took = []
        for echo in (quote(sealed, safe=""), sealed):  # a plus sign may come as it is
            began = time.monotonic()
            answer = await stand.client.get(f"{PATH}{signed(seal, sealed)}&echostr={echo}")
            assert (answer.status_code, answer.content) == (200, plain.encode())
            took.append(time.monotonic() - began)
        assert min(took) < 1.0, "the vendor waits no longer"

    run(tmp_path, case)


def test_a_message_is_one_event_however_often_it_comes(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        for turn in range(4):  # sealed anew each time
            answer = await call(
                stand, text("叫 <b>&amp;</b>".replace("<b>", "").replace("</b>", "")), random=bytes([turn] * 16)
            )
            assert (answer.status_code, answer.content) == (200, b"")
        (event,) = stand.log.events
        assert (event.id, event.source, event.type, event.subject) == (
            "45612",
            "app-events",
            "wecom.message.text",
            "zhang",
        )
        assert event.labels == {"user": "zhang", "agent": "1"}
        assert event.data["Content"] == "叫 &"
        assert event.time.timestamp() == WRITTEN
        assert stand.counts.taken == {"app-events": 1}

    run(tmp_path, case)

    async def again(stand: Stand) -> None:
        assert (await call(stand, text("叫 &amp;"))).status_code == 200
        assert not stand.log.events, "the door knew it before it was restarted"

    run(tmp_path, again)


@pytest.mark.parametrize("tries", [3, 4])  # three in all, or three after the first: the vendor's page may be read so
@pytest.mark.parametrize("anew", [False, True])
def test_a_vendor_that_hangs_up_and_calls_again_brings_one_event(tmp_path: Path, tries: int, anew: bool) -> None:
    async def case(stand: Stand) -> None:
        stand.log.open.clear()  # Kafka takes its time, and the vendor does not wait
        for turn in range(tries):
            hung_up = asyncio.create_task(call(stand, text("hi"), random=bytes([turn if anew else 0] * 16)))
            await stand.log.until_asked(1)
            await asyncio.sleep(0.05)
            hung_up.cancel()
        stand.log.open.set()
        answer = await call(stand, text("hi"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert len(stand.log.events) == 1
        assert stand.counts.taken == {"app-events": 1}

    run(tmp_path, case)


def test_clicks_and_approvals_are_events_of_their_own(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        plain = [
            message(CARD),
            message(CARD.replace("take", "mute")),  # two clicks within one second
            message(CARD, user="li"),
            message(APPROVAL.format(change=1), user="sys"),
            message(APPROVAL.format(change=2), user="sys"),
            message("<MsgType>event</MsgType><Event>LOCATION</Event>"),
            message("<MsgType>from_the_future</MsgType>"),
        ]
        for one in plain:
            assert (await call(stand, one)).status_code == 200
        types = [event.type for event in stand.log.events]
        assert types == [
            *["wecom.event.template_card_event"] * 3,
            *["wecom.event.sys_approval_change"] * 2,
            "wecom.event.location",
            "wecom.message.from_the_future",
        ]
        card, approval = stand.log.events[0], stand.log.events[3]
        assert card.labels == {"user": "zhang", "agent": "1", "key": "take"}
        assert card.data["SelectedItems"]["SelectedItem"][0]["OptionIds"]["OptionId"] == ["o1"]
        assert (approval.subject, approval.data["ApprovalInfo"]["SpRecord"]) == ("7", [{"SpStatus": "1"}])
        assert len({event.id for event in stand.log.events}) == len(plain)

    run(tmp_path, case)


@pytest.mark.parametrize("name", EVENTS)
def test_events_of_one_second_that_differ_in_anything_are_events_of_their_own(tmp_path: Path, name: str) -> None:
    plain = [message(f"<MsgType>event</MsgType>{EVENTS[name].format(which)}", user="sys") for which in ("a", "b", "c")]

    async def case(stand: Stand) -> None:
        for turn in range(2):  # what comes again is sealed anew, and says the same
            for one in plain:
                assert (await call(stand, one, random=bytes([turn] * 16))).status_code == 200
        assert len(stand.log.events) == len({event.id for event in stand.log.events}) == len(plain)
        for which, event in zip("abc", stand.log.events, strict=True):
            assert f"'{which}'" in str(event.data)

    run(tmp_path, case)


def test_an_event_is_the_same_in_whatever_order_its_fields_stand(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        fields = ["<MsgType>event</MsgType>", "<Event>change_contact</Event>", "<UserID>a</UserID>", "<Name>b</Name>"]
        for kind in ("".join(fields), "".join(reversed(fields))):
            assert (await call(stand, message(kind, user="sys"))).status_code == 200
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_without_kafka_the_vendor_is_to_come_again(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stand.log.answers = [Retryable(Reason.UNAVAILABLE, "no broker")]
        answer = await call(stand, text("hi"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert (await call(stand, text("hi"))).status_code == 200
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_a_reply_is_sealed_for_who_wrote_and_events_get_none(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        outer = fields_of((await call(stand, text("hi"), ERP)).content)
        assert ERP.signed(outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"], outer["Encrypt"])
        inner = fields_of(ERP.open(outer["Encrypt"]))
        assert (inner["ToUserName"], inner["FromUserName"], inner["MsgType"]) == ("zhang", "ww", "text")
        assert inner["Content"] == "收到 <1>"
        assert (await call(stand, message(CARD), ERP)).content == b""

    run(tmp_path, case, reply="收到 <1>")


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/callbacks/nobody", b"", 404, "invalid"),
        (PATH, b"", 400, "malformed"),
        (PATH, b"<xml><Encrypt>x</Encrypt></xml>", 401, "unauthorised"),
        (
            "/callbacks/app-events?msg_signature=x&timestamp=1&nonce=n",
            b"<xml><Encrypt>x</Encrypt></xml>",
            401,
            "unauthorised",
        ),
        (PATH, b"<!DOCTYPE x><xml><Encrypt>x</Encrypt></xml>", 400, "malformed"),
        (PATH, b"x" * (1 << 20), 400, "malformed"),
        (PATH, b"x" * ((1 << 20) + 1), 413, "too_large"),
    ],
)
def test_what_is_not_from_the_vendor(tmp_path: Path, path: str, body: bytes, status: int, reason: str) -> None:
    async def case(stand: Stand) -> None:
        answer = await stand.client.post(path, content=body)
        assert answer.status_code == status, answer.text
        assert stand.counts.no == {reason: 1}
        assert not stand.log.events

    run(tmp_path, case)


def test_signed_for_another_signed_long_ago_and_no_event(tmp_path: Path) -> None:
    async def case(stand: Stand) -> None:
        stranger = Seal("token0", KEYS[0], "ww9")
        assert (await call(stand, text("hi"), stranger)).status_code == 401
        sealed = MES.close(text("hi"), RANDOM)
        body = f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode()
        for at in (time.time() - 700, time.time() + 700):
            answer = await stand.client.post(f"{PATH}{signed(MES, sealed, at)}", content=body)
            assert (answer.status_code, answer.json()["field"]) == (401, "timestamp")
        for plain in (b"no xml", b"<xml><MsgType>text</MsgType></xml>", b"<xml><a/></xml>"):
            assert (await call(stand, plain)).status_code == 400
        assert (await stand.client.put(PATH)).status_code == 405
        assert not stand.log.events

    run(tmp_path, case)


def test_a_secret_that_is_gone_is_ours_to_mend(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def case(stand: Stand) -> None:
        (tmp_path / "key0").unlink()
        for answer in (await call(stand, text("hi")), await stand.client.get(PATH + signed(MES, "x") + "&echostr=x")):
            assert answer.status_code == 503
            assert str(tmp_path) not in answer.text, "whoever calls is a stranger"
        (told,) = [one for one in caplog.messages if str(tmp_path / "key0") in one]
        assert told.startswith("the source app-events cannot be called back now: ")
        (tmp_path / "key0").write_text(f"{KEYS[1]}\n{KEYS[0]}", encoding="utf-8")  # in the middle of a rotation
        assert (await call(stand, text("hi"))).status_code == 200

    run(tmp_path, case)


class Form:
    """A source of a plug-in: it raises what its port says, and nothing of the door's own."""

    def __init__(self, reason: Reason) -> None:
        self._no = Rejected(reason, "not signed by the form")

    def parse(self, inbound: Inbound, /) -> list[Event]:
        raise self._no

    def called(self, inbound: Inbound, /) -> Called:
        raise self._no

    def greet(self, inbound: Inbound, /) -> Answer:
        raise self._no


@pytest.mark.parametrize(
    ("reason", "status", "counted"),
    [
        (Reason.UNAUTHORISED, 401, Reason.UNAUTHORISED),
        (Reason.INVALID, 400, Reason.INVALID),
        (Reason.MALFORMED, 400, Reason.MALFORMED),
        (Reason.TOO_LARGE, 413, Reason.TOO_LARGE),
        (Reason.CREDENTIALS, 400, Reason.INVALID),  # no reason of the door's
        (Reason.OVER_RATE, 400, Reason.INVALID),  # it says nothing of the call; to come again is Retryable
        (Reason.UNAVAILABLE, 400, Reason.INVALID),
        (Reason.CONFLICT, 400, Reason.INVALID),
    ],
)
def test_what_a_plug_in_rejects_is_refused_for_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reason: Reason, status: int, counted: Reason
) -> None:
    async def case() -> None:
        async with standing(tmp_path, callbacks={"form": Form(reason)}) as stand:
            for answer in (await stand.client.post("/callbacks/form"), await stand.client.get("/callbacks/form")):
                assert (answer.status_code, answer.json()["detail"]) == (status, "not signed by the form")
            assert stand.counts.no == {counted: 2}

    asyncio.run(case())
    assert not [one for one in caplog.records if one.exc_info]
