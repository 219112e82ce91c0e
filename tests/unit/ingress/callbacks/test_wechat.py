"""WeChat: its vectors, every way to be refused, and mistakes that the checks would find."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from andon.core.event import Event
from andon.core.ports import Answer, Called, Inbound
from andon.core.reason import Reason
from andon.ingress.bodies import callback
from andon.ingress.bodies.callback import Callback, Window
from andon.ingress.bodies.sealed import Seal
from andon.ingress.bodies.xml import fields_of
from andon.ingress.sources import wechat_oa
from andon.ingress.sources.wechat_oa import WechatOa
from tests.unit.ingress.callbacks.bench import (
    KEYS,
    NOW,
    SEALED,
    TAKEN,
    Bench,
    Check,
    caught,
    fate,
    outcome,
    post,
    sha1,
)
from tests.unit.ingress.callbacks.calls import KEY
from tests.unit.ingress.callbacks.calls import wechat_push as push
from tests.unit.ingress.callbacks.calls import wechat_signed as signed
from tests.unit.ingress.callbacks.mistakes import counted, for_anybody

OTHER = KEYS[1]
TEXT = (
    "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1700000000</CreateTime>"
    "<MsgType>text</MsgType><Content><![CDATA[停机]]></Content><MsgId>77</MsgId></xml>"
)
FOLLOWED = (
    "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>1700000000</CreateTime>"
    "<MsgType>event</MsgType><Event>subscribe</Event><EventKey>qrscene_7</EventKey></xml>"
)
POPUP: dict[str, Any] = {
    "ToUserName": "gh_mini",
    "FromUserName": "o2",
    "CreateTime": NOW,
    "MsgType": "event",
    "Event": "subscribe_msg_popup_event",
    "List": [{"TemplateId": "t", "SubscribeStatusString": "accept", "PopupScene": "1"}],
}


def options(bench: Bench, **more: Any) -> dict[str, Any]:
    keys = {"token": bench.secret("token", "tok"), "aes_key": bench.secret("key", KEY), "receive_id": "wx1"}
    return keys | more


def plain(bench: Bench) -> dict[str, Any]:
    return {"token": bench.secret("plain", "open")}


def a_message_is_an_event_in_every_mode(bench: Bench) -> None:
    sealed, open_ = bench.source(**options(bench)), bench.source(**plain(bench))
    compatible = TEXT.removeprefix("<xml>").removesuffix("</xml>").replace("停机", "forged")
    for source, inbound in (
        (sealed, push(TEXT)),
        (sealed, push(TEXT, beside=compatible)),
        (open_, post(TEXT, signed())),
        (open_, post(TEXT, signed(encrypt_type="raw", openid="o1"))),
    ):
        called = source.called(inbound)
        (event,) = called.events
        assert (event.id, event.type, event.subject) == ("gh_1:77", "wechat.message.text", "o1")
        assert event.labels == {"user": "o1", "account": "gh_1"}
        assert event.data["Content"] == "停机"
        assert event.time.timestamp() == NOW
        assert called.answer == Answer(b"success")


def a_mini_program_speaks_json_or_xml(bench: Bench) -> None:
    sealed, open_ = bench.source(**options(bench)), bench.source(**plain(bench))
    text = json.dumps(POPUP)
    for source, inbound in (
        (sealed, push(text, form="json")),
        (sealed, push(text)),
        (open_, post(f" \n{text}", signed())),
    ):
        (event,) = source.parse(inbound)
        assert (event.type, event.subject) == ("wechat.event.subscribe_msg_popup_event", "o2")
        assert event.data == POPUP
        assert event.labels == {"user": "o2", "account": "gh_mini"}


def a_unionid_joins_who_has_two_openids(bench: Bench) -> None:
    source = bench.source(**options(bench))
    (one,) = source.parse(push(TEXT.replace("<MsgId>", "<UnionID>u9</UnionID><MsgId>")))
    (other,) = source.parse(push(json.dumps(POPUP | {"unionid": "u9"}), form="json"))
    assert (one.subject, other.subject) == ("u9", "u9")
    assert (one.labels["user"], other.labels["user"]) == ("o1", "o2")
    assert one.labels["unionid"] == other.labels["unionid"] == "u9"
    (unknown,) = source.parse(push(TEXT.replace("<MsgId>", "<UnionID/><MsgId>")))
    assert (unknown.subject, "unionid" in unknown.labels) == ("o1", False)


def a_repetition_has_the_same_id_and_others_have_others(bench: Bench) -> None:
    source = bench.source(**options(bench))

    def id_of(text: str, at: int = NOW) -> str:
        return source.parse(push(text, at=at))[0].id

    assert id_of(TEXT) == id_of(TEXT, NOW + 9)
    assert id_of(TEXT) != id_of(TEXT.replace("77", "78"))
    assert id_of(TEXT) != id_of(TEXT.replace("gh_1", "gh_2")), "another account counts on its own"
    assert id_of(FOLLOWED) == id_of(FOLLOWED, NOW + 9)
    for changed in ("gh_2", "o2", "1700000001", "unsubscribe", "qrscene_8"):
        old = {"gh_2": "gh_1", "o2": "o1", "1700000001": "1700000000", "unsubscribe": "subscribe"}
        assert id_of(FOLLOWED) != id_of(FOLLOWED.replace(old.get(changed, "qrscene_7"), changed))
    assert id_of(json.dumps(POPUP)) == id_of(json.dumps(dict(reversed(POPUP.items()))))


def what_is_not_signed_now_by_wechat_is_refused(bench: Bench) -> None:
    source = bench.source(**options(bench))
    good = push(TEXT)
    for other in (
        push(TEXT, token="other"),
        push(TEXT, key=OTHER),
        push(TEXT, whom="wx2"),
        push(TEXT, whom=""),
        push(TEXT, at=NOW - 700),
        push(TEXT, at=NOW + 700),
        push(TEXT, at="1x"),
        post(good.body),
        post(good.body, signed("tok")),
        post(TEXT, good.query),
        post(TEXT, signed("tok")),
        post(good.body, dict(good.query) | {"nonce": "m"}),
    ):
        assert fate(source, other) == Reason.UNAUTHORISED
    open_ = bench.source(**plain(bench))
    for query in (signed("other"), signed(at=NOW - 700), signed(at=NOW + 700), signed(at="1x"), {}, {"signature": ""}):
        assert fate(open_, post(TEXT, query)) == Reason.UNAUTHORISED


def what_was_written_long_ago_is_refused_where_time_and_nonce_may_be_swapped(bench: Bench) -> None:
    source, open_ = bench.source(**options(bench)), bench.source(**plain(bench))
    bench.clock.advance(40 * 86_400)
    now, past = NOW + 40 * 86_400, str(NOW + 5 * 86_400)

    def shown(written: int, nonce: str) -> Inbound:
        """A call that is signed now, whenever it was written."""
        call = push(TEXT.replace(str(NOW), str(written)), at=now)
        sealed = fields_of(call.body)["Encrypt"]
        return post(call.body, {**call.query, "nonce": nonce, "msg_signature": sha1("tok", str(now), nonce, sealed)})

    assert fate(source, shown(now - 4 * 3_600, past)) == TAKEN, (
        "some pushes are repeated for hours, as they were written"
    )
    for written in (now - 86_500, now + 86_500):
        assert fate(source, shown(written, past)) == Reason.UNAUTHORISED
        for no_time in ("n", "1372623149", "263014780", "2012345678"):
            assert fate(source, shown(written, no_time)) == TAKEN
        text = TEXT.replace(str(NOW), str(written))
        assert fate(open_, post(text, signed(at=now))) == TAKEN, "nobody has sealed it: it may say any time"


def the_address_is_verified_in_every_mode(bench: Bench) -> None:
    for options_, token in ((options(bench), "tok"), (plain(bench), "open")):
        source = bench.source(**options_)
        assert source.greet(post(b"", signed(token, echostr="8812<b>"))) == Answer(b"8812<b>", "text/plain")
        for query in (signed("x", echostr="1"), {"echostr": "1"}, signed(token, NOW - 700)):
            assert outcome(source.greet, post(b"", query)) == Reason.UNAUTHORISED


def what_is_signed_but_no_event_is_named(bench: Bench) -> None:
    source, open_ = bench.source(**options(bench)), bench.source(**plain(bench))
    for text, reason in (
        ("no xml", Reason.MALFORMED),
        ("<xml/>", Reason.MALFORMED),
        ("<!DOCTYPE x><xml><MsgType>text</MsgType></xml>", Reason.MALFORMED),
        ("<a>" * 20 + "</a>" * 20, Reason.MALFORMED),
        ('{"a":' + "[" * 70 + "]" * 70 + "}", Reason.MALFORMED),
        ("{}", Reason.INVALID),
        ("<xml><a>1</a></xml>", Reason.INVALID),
        (TEXT.replace("1700000000", "soon"), Reason.INVALID),
        (TEXT.replace("1700000000", ""), Reason.INVALID),
    ):
        assert fate(source, push(text)) == reason, text
        assert fate(open_, post(text, signed())) == reason, text
    assert fate(source, post("no xml", push(TEXT).query)) == Reason.MALFORMED
    assert fate(source, post(b"<" * ((1 << 20) + 1), push(TEXT).query)) == Reason.TOO_LARGE


def keys_rotate_and_several_apps_share_an_address(bench: Bench) -> None:
    first = options(bench, token=bench.secret("two", "new", "tok"), aes_key=bench.secret("keys", OTHER, KEY))
    second = {"token": bench.secret("b", "tokb"), "aes_key": bench.secret("kb", KEY), "receive_id": "wx2"}
    source = bench.source(apps=[first, second, plain(bench)])
    assert fate(source, push(TEXT)) == TAKEN
    assert fate(source, push(TEXT, token="new", key=OTHER)) == TAKEN
    assert fate(source, push(TEXT, token="tokb", whom="wx2")) == TAKEN
    assert fate(source, push(TEXT, token="tokb", whom="wx1")) == Reason.UNAUTHORISED
    assert fate(source, post(TEXT, signed())) == TAKEN
    assert fate(source, post(TEXT, signed("tokb"))) == Reason.UNAUTHORISED, "who has a key must use it"
    (bench.folder / "two").unlink()
    assert fate(source, push(TEXT)) == Reason.UNAVAILABLE
    assert fate(source, push(TEXT, token="tokb", whom="wx2")) == TAKEN


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        a_message_is_an_event_in_every_mode,
        a_mini_program_speaks_json_or_xml,
        a_unionid_joins_who_has_two_openids,
        a_repetition_has_the_same_id_and_others_have_others,
        what_is_not_signed_now_by_wechat_is_refused,
        what_was_written_long_ago_is_refused_where_time_and_nonce_may_be_swapped,
        the_address_is_verified_in_every_mode,
        what_is_signed_but_no_event_is_named,
        keys_rotate_and_several_apps_share_an_address,
    )
}


@pytest.mark.parametrize("name", CHECKS)
def test_check(tmp_path: Path, name: str) -> None:
    CHECKS[name](Bench(tmp_path, WechatOa))


_event, _called, _theirs = Callback._event, WechatOa.called, WechatOa._theirs


def _silent(self: WechatOa, inbound: Inbound, /) -> Called:
    return Called(_called(self, inbound).events, Answer(b"ok"))


def _by_number(self: Callback, inbound: Inbound, type_: str, subject: str, identity: str, *rest: Any) -> Event:
    return _event(self, inbound, type_, subject, identity.rpartition(":")[2], *rest)


def _downgraded(self: WechatOa, inbound: Inbound) -> Any:
    """Plain is as good, also from who has a key."""
    if "msg_signature" in inbound.query:
        return _theirs(self, inbound)
    self._require_signed(inbound.query, self._tokens)
    return wechat_oa._fields(inbound.body), inbound.query["signature"]


def _beside(self: WechatOa, inbound: Inbound) -> Any:
    """What stands beside the sealed message is believed."""
    fields, signed = _theirs(self, inbound)
    return fields | wechat_oa._fields(inbound.body), signed


def _echo(self: WechatOa, inbound: Inbound, /) -> Answer:
    return Answer(inbound.query.get("echostr", "").encode())


Mistake = tuple[Any, str, Callable[..., Any] | object, Check]
MISTAKES: dict[str, Mistake] = {
    "any sealed signature": (Seal, "signed", lambda *_: True, what_is_not_signed_now_by_wechat_is_refused),
    "any plain signature": (wechat_oa, "same", lambda *_: True, what_is_not_signed_now_by_wechat_is_refused),
    "any time": (Window, "require", lambda *_: None, what_is_not_signed_now_by_wechat_is_refused),
    "any time inside": (
        Window,
        "require_written",
        lambda *_: None,
        what_was_written_long_ago_is_refused_where_time_and_nonce_may_be_swapped,
    ),
    "for anybody": (Seal, "open", for_anybody(b"wx1", b"wx2", b""), what_is_not_signed_now_by_wechat_is_refused),
    "plain is as good": (WechatOa, "_theirs", _downgraded, what_is_not_signed_now_by_wechat_is_refused),
    "what stands beside": (WechatOa, "_theirs", _beside, a_message_is_an_event_in_every_mode),
    "echo for all": (WechatOa, "greet", _echo, the_address_is_verified_in_every_mode),
    "another answer": (WechatOa, "called", _silent, a_message_is_an_event_in_every_mode),
    "a new id each time": (Callback, "_event", counted, a_repetition_has_the_same_id_and_others_have_others),
    "numbers of all accounts": (Callback, "_event", _by_number, a_repetition_has_the_same_id_and_others_have_others),
    "no unionid": (
        wechat_oa,
        "_LABELS",
        wechat_oa._LABELS | {"unionid": ()},
        a_unionid_joins_who_has_two_openids,
    ),
    "xml only": (wechat_oa, "_fields", fields_of, a_mini_program_speaks_json_or_xml),
    "one secret at a time": (
        callback,
        "values_of",
        lambda ref: (ref.reveal(),),
        keys_rotate_and_several_apps_share_an_address,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_would_be_found(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead, check = MISTAKES[name]
    monkeypatch.setattr(where, what, instead)
    caught(check, Bench(tmp_path, WechatOa))


@pytest.mark.parametrize("name", ["wecom-official-text", "wechatpy-text"])
def test_a_published_message_is_an_event(tmp_path: Path, name: str) -> None:
    one = SEALED[name]
    bench = Bench(tmp_path, WechatOa)
    bench.clock.advance(int(one["timestamp"]) - NOW)
    source = bench.source(
        token=bench.secret("token", one["token"]), aes_key=bench.secret("key", one["key"]), receive_id=one["receiveid"]
    )
    query = {"msg_signature": one["signature"], "timestamp": one["timestamp"], "nonce": one["nonce"]}
    (event,) = source.parse(post(f"<xml><Encrypt>{one['encrypt']}</Encrypt></xml>", query))
    assert event.type == "wechat.message.text"
    assert event.data["Content"] in one["plaintext"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "token"),
        ({"token": "env:A", "aes_key": "env:B"}, "go together"),
        ({"token": "env:A", "receive_id": "wx1"}, "go together"),
        ({"token": "env:A", "apps": [{"token": "env:B"}]}, "apps"),
        ({"apps": [{}]}, "token"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        WechatOa.Config.model_validate(given)
