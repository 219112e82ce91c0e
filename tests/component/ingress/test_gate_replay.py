"""What comes again: a vendor's retry is answered and is no second event, a replay with other content is refused, and
both are known after a restart."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import pytest

from andon.core.ports import Context
from andon.ingress.bodies.sealed import signature
from andon.ingress.sources.wechat_oa import WechatOa
from andon.runtime.clock import SystemClock
from andon.testing.clock import ManualClock
from tests.component.ingress.stand import Stand, standing, unavailable
from tests.component.ingress.wecom import MES, PATH, RANDOM, message, signed, text
from tests.component.ingress.wecom import source as wecom

PUSH = "/callbacks/account"
CLICK = "<MsgType>event</MsgType><Event>click</Event><EventKey>take</EventKey>"
Case = Callable[[Stand], Coroutine[Any, Any, None]]


def run(folder: Path, case: Case) -> None:
    """Entered again with the same folder it is the door after a restart."""
    (folder / "push").write_text("push", encoding="utf-8")
    context = Context("account", folder, SystemClock(), None)  # type: ignore[arg-type]  # nothing is called through it
    config = WechatOa.Config.model_validate({"token": f"file:{folder / 'push'}"})

    async def inside() -> None:
        callbacks = {"app-events": wecom(folder), "account": WechatOa(config, context)}
        async with standing(folder, callbacks=callbacks) as stand:
            await case(stand)

    asyncio.run(inside())


def pushed(nonce: str, at: float | None = None) -> str:
    """The address of a plain push: WeChat signs its time and its nonce, and nothing of the body."""
    now = str(int(time.time() if at is None else at))
    return f"{PUSH}?signature={signature('push', now, nonce)}&timestamp={now}&nonce={nonce}"


def words(content: str, number: str) -> bytes:
    kind = f"<MsgType>text</MsgType><Content>{content}</Content><MsgId>{number}</MsgId>"
    whom = "<ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>1760000000</CreateTime>"
    return f"<xml>{whom}{kind}</xml>".encode()


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2] if answer.status_code >= 400 else answer.text


@pytest.mark.parametrize("kind", ["sealed", "plain"])
def test_a_vendor_that_repeats_every_byte_has_one_event_and_every_time_its_answer(tmp_path: Path, kind: str) -> None:
    sealed = MES.close(text("hi"), RANDOM)
    path, body, good = {
        "sealed": (PATH + signed(MES, sealed), f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode(), (200, "")),
        "plain": (pushed("n1"), words("hi", "1"), (200, "success")),
    }[kind]

    async def first(stand: Stand) -> None:
        stand.log.answers = [unavailable()]
        assert said(await stand.client.post(path, content=body)) == (503, "unavailable"), "not taken yet"
        assert said(await stand.client.post(path, content=body)) == good
        assert said(await stand.client.post(path, content=body)) == good
        assert len(stand.log.events) == 1

    run(tmp_path, first)

    async def after_a_restart(stand: Stand) -> None:
        for _ in range(2):
            assert said(await stand.client.post(path, content=body)) == good
        assert not stand.log.events

    run(tmp_path, after_a_restart)


def test_a_signature_that_was_seen_says_nothing_for_other_content(tmp_path: Path) -> None:
    path = pushed("n1")

    async def replayed(stand: Stand, events: int) -> None:
        for number in range(3):
            for query in ("", "&msg_signature=other", "&x=1"):
                answer = await stand.client.post(path + query, content=words("forged", f"9{number}"))
                assert said(answer) == (409, "conflict")
        assert len(stand.log.events) == events

    async def first(stand: Stand) -> None:
        assert said(await stand.client.post(path, content=words("hi", "1"))) == (200, "success")
        await replayed(stand, 1)
        assert said(await stand.client.post(pushed("n2"), content=words("hi", "2"))) == (200, "success")
        assert stand.counts.no == {"conflict": 9}

    run(tmp_path, first)

    async def after_a_restart(stand: Stand) -> None:
        await replayed(stand, 0)
        assert said(await stand.client.post(path, content=words("hi", "1"))) == (200, "success"), "the vendor's own"

    run(tmp_path, after_a_restart)


def test_of_many_at_once_under_one_signature_one_is_taken(tmp_path: Path) -> None:
    path = pushed("n1")

    async def case(stand: Stand) -> None:
        stand.log.open.clear()
        bodies = [words("hi", str(number % 5)) for number in range(20)]
        calls = [asyncio.ensure_future(stand.client.post(path, content=body)) for body in bodies]
        await stand.log.until_asked(1)
        stand.log.open.set()
        answers = Counter([one.status_code for one in await asyncio.gather(*calls)])
        assert answers == {200: 4, 409: 16}, "the one that came first, as often as it came"
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_after_the_window_nothing_is_taken_whether_it_was_seen_or_not(tmp_path: Path) -> None:
    sealed = MES.close(text("hi"), RANDOM)
    body = f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode()
    old = time.time() - 700

    async def case(stand: Stand) -> None:
        assert said(await stand.client.post(PATH + signed(MES, sealed, old), content=body)) == (401, "unauthorised")
        assert said(await stand.client.post(pushed("n1", old), content=words("hi", "1"))) == (401, "unauthorised")
        assert not stand.log.events

    run(tmp_path, case)


@pytest.mark.parametrize(
    ("time_then", "nonce_then", "time_later", "nonce_later"),
    [
        ("1763000001", "1770000000", "1770000000", "1763000001"),
        ("1763000001", "770000000", "1770000000", "176300000"),
        ("1763000017", "70000000", "1770000000", "17630000"),
        ("1763000177", "3123456789", "1773123456789", "1763000"),
    ],
    ids=["swapped", "one digit", "two digits", "milliseconds"],
)
def test_a_recorded_call_is_refused_however_time_and_nonce_are_cut_once_it_is_forgotten(
    tmp_path: Path, time_then: str, nonce_then: str, time_later: str, nonce_later: str
) -> None:
    """The two are sorted and joined before they are signed, and the nonces of WeCom are numbers. What is sealed says
    when it was written."""
    clock = ManualClock(float(time_then))
    sealed = MES.close(message(CLICK, at=int(time_then)), RANDOM)
    body = f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode()
    signature = MES.signature(time_then, nonce_then, sealed)
    assert signature == MES.signature(time_later, nonce_later, sealed)

    async def scene() -> None:
        callbacks = {"app-events": wecom(tmp_path, clock)}
        async with standing(tmp_path, callbacks=callbacks) as stand:
            query = f"msg_signature={signature}&timestamp={time_then}&nonce={nonce_then}"
            assert said(await stand.client.post(f"{PATH}?{query}", content=body)) == (200, "")
        clock.advance(float(time_later[:10]) - float(time_then))
        (anew := tmp_path / "anew").mkdir()
        async with standing(anew, callbacks=callbacks) as stand:  # one that remembers nothing of it
            query = f"msg_signature={signature}&timestamp={time_later}&nonce={nonce_later}"
            answer = await stand.client.post(f"{PATH}?{query}", content=body)
            assert said(answer) == (401, "unauthorised")
            assert answer.json()["field"] == "CreateTime"
            assert not stand.log.events

    asyncio.run(scene())


def test_the_same_letters_cut_elsewhere_are_no_second_event(tmp_path: Path) -> None:
    """Time and nonce are joined before they are signed: digits that move from one to the other leave the signature as
    it is. Here the time in milliseconds, which vendors write too, comes out of the time in seconds."""
    now = str(int(time.time()))

    async def case(stand: Stand) -> None:
        whole = f"{PUSH}?signature={signature('push', now, '4567')}"
        first = await stand.client.post(f"{whole}&timestamp={now}&nonce=4567", content=words("hi", "1"))
        cut = await stand.client.post(f"{whole}&timestamp={now}456&nonce=7", content=words("forged", "2"))
        assert (said(first), said(cut)) == ((200, "success"), (409, "conflict"))
        assert len(stand.log.events) == 1

    run(tmp_path, case)


def test_a_repeat_that_is_signed_anew_takes_that_signature_for_what_it_repeats(tmp_path: Path) -> None:
    again = pushed("n2")

    async def first(stand: Stand) -> None:
        assert said(await stand.client.post(pushed("n1"), content=words("hi", "1"))) == (200, "success")
        assert said(await stand.client.post(again, content=words("hi", "1"))) == (200, "success")
        assert said(await stand.client.post(again, content=words("bye", "2"))) == (409, "conflict")
        assert said(await stand.client.post(again, content=words("hi", "1"))) == (200, "success")
        assert len(stand.log.events) == 1

    run(tmp_path, first)

    async def after_a_restart(stand: Stand) -> None:
        assert said(await stand.client.post(again, content=words("bye", "2"))) == (409, "conflict")
        assert not stand.log.events

    run(tmp_path, after_a_restart)
