"""Feishu: its vectors, every way to be refused, and mistakes that the checks would find."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from andon.core.ports import Answer, Called, Inbound
from andon.core.reason import Reason
from andon.ingress.bodies.callback import Callback, Window, within
from andon.ingress.sources import feishu
from andon.ingress.sources.feishu import FeishuCallback, opened, signature
from tests.unit.ingress.callbacks.bench import NOW, TAKEN, VECTORS, Bench, Check, aes, caught, fate, post
from tests.unit.ingress.callbacks.calls import LARK_KEY as KEY
from tests.unit.ingress.callbacks.calls import lark_push as push
from tests.unit.ingress.callbacks.calls import lark_sealed as sealed
from tests.unit.ingress.callbacks.calls import lark_signed as signed
from tests.unit.ingress.callbacks.mistakes import counted

TOKEN = "verify"
PERSON = {"open_id": "ou_1", "union_id": "on_1", "user_id": "zhang"}


def envelope(kind: str, event: dict[str, Any], number: str = "ev-1", token: str = TOKEN) -> dict[str, Any]:
    header = {"event_id": number, "event_type": kind, "create_time": str(NOW * 1_000), "token": token}
    return {"schema": "2.0", "header": header | {"app_id": "cli_1", "tenant_key": "t1"}, "event": event}


MESSAGE: dict[str, Any] = {
    "sender": {"sender_id": PERSON, "sender_type": "user", "tenant_key": "t1"},
    "message": {"message_id": "om_1", "chat_id": "oc_1", "message_type": "text", "content": '{"text":"停机"}'},
}
SAID = envelope("im.message.receive_v1", MESSAGE)
PRESSED = envelope(
    "card.action.trigger",
    {
        "operator": PERSON,
        "token": "c-1",
        "action": {"tag": "button", "name": "take", "value": {"key": "take"}},
        "context": {"open_message_id": "om_2", "open_chat_id": "oc_2"},
    },
)
OLD: dict[str, Any] = {
    "uuid": "u-1",
    "token": TOKEN,
    "ts": "1700000000.7171419",
    "type": "event_callback",
    "event": {"type": "approval_instance", "app_id": "cli_1", "tenant_key": "t1", "instance_code": "A-7"},
}
CHALLENGE = {"challenge": "ajls384kdjx98XX", "token": TOKEN, "type": "url_verification"}


def options(bench: Bench, **more: Any) -> dict[str, Any]:
    return {"token": bench.secret("token", TOKEN), "encrypt_key": bench.secret("key", KEY)} | more


def plain(bench: Bench) -> dict[str, Any]:
    return {"token": bench.secret("token", TOKEN)}


def a_message_is_an_event(bench: Bench) -> None:
    called = bench.source(**options(bench)).called(push(SAID))
    (event,) = called.events
    assert (event.id, event.type, event.subject) == ("om_1", "feishu.event.im.message.receive_v1", "ou_1")
    assert event.labels == {"user": "ou_1", "unionid": "on_1", "app": "cli_1", "tenant": "t1", "chat": "oc_1"}
    assert event.data == MESSAGE
    assert event.time.timestamp() == NOW
    assert (json.loads(called.answer.body), called.answer.media) == ({}, "application/json")


def a_pressed_button_is_an_event(bench: Bench) -> None:
    (event,) = bench.source(**options(bench)).parse(push(PRESSED))
    assert (event.id, event.type, event.subject) == ("ev-1", "feishu.event.card.action.trigger", "ou_1")
    assert (event.labels["key"], event.labels["chat"]) == ("take", "oc_2")
    assert event.data["action"]["value"] == {"key": "take"}


def the_first_schema_is_understood(bench: Bench) -> None:
    (event,) = bench.source(**options(bench)).parse(push(OLD))
    assert (event.id, event.type, event.subject) == ("u-1", "feishu.event.approval_instance", "A-7")
    assert event.labels == {"app": "cli_1", "tenant": "t1"}
    assert int(event.time.timestamp()) == NOW


def no_token_gets_into_an_event(bench: Bench) -> None:
    source = bench.source(**options(bench))
    for fields in (SAID, PRESSED, OLD):
        (event,) = source.parse(push(fields))
        assert TOKEN not in json.dumps([event.data, event.labels])


def a_challenge_is_answered_and_no_event(bench: Bench) -> None:
    for called in (
        bench.source(**plain(bench)).called(post(json.dumps(CHALLENGE))),
        bench.source(**options(bench)).called(post(sealed(CHALLENGE))),
        bench.source(**options(bench)).called(push(CHALLENGE)),
    ):
        assert not called.events
        assert called.answer == Answer(b'{"challenge":"ajls384kdjx98XX"}', "application/json")
    source = bench.source(**options(bench))
    for stranger in (
        post(json.dumps(CHALLENGE)),
        post(sealed(CHALLENGE | {"token": "other"})),
        post(sealed(CHALLENGE, "other")),
    ):
        assert fate(source, stranger) == Reason.UNAUTHORISED


def a_repetition_has_the_same_id_and_others_have_others(bench: Bench) -> None:
    source = bench.source(**options(bench))

    def id_of(fields: dict[str, Any], at: int = NOW) -> str:
        return source.parse(push(fields, at=str(at)))[0].id

    assert id_of(PRESSED) == id_of(PRESSED, NOW + 9)
    assert id_of(PRESSED) != id_of(PRESSED | {"header": PRESSED["header"] | {"event_id": "ev-2"}})
    assert id_of(SAID) == id_of(SAID | {"header": SAID["header"] | {"event_id": "ev-9"}})
    assert fate(source, push(PRESSED, at=str(NOW - 7 * 3_600))) == TAKEN, "the last try comes after seven hours"


def what_is_not_signed_now_by_feishu_is_refused(bench: Bench) -> None:
    source = bench.source(**options(bench))
    good = push(SAID)
    spaced = post(good.body.replace(b": ", b":  "), headers=good.headers)
    for other in (
        push(SAID, key="other"),
        push(SAID, sign="other"),
        push(envelope("x", {}, token="other")),
        push(SAID, at=str(NOW - 9 * 3_600)),
        push(SAID, at=str(NOW + 9 * 3_600)),
        post(good.body),
        post(json.dumps(SAID)),
        post(json.dumps(SAID), headers=good.headers),
        post(sealed(PRESSED), headers=good.headers),
        spaced,
        signed(json.dumps(SAID).encode(), KEY),
        signed(b'{"encrypt":"AAAA"}', KEY),
        *(post(good.body, headers=dict(good.headers) | {name: ""}) for name in good.headers),
    ):
        assert fate(source, other) == Reason.UNAUTHORISED, other


def without_a_key_the_token_decides(bench: Bench) -> None:
    source = bench.source(**plain(bench))
    for fields in (SAID, OLD):
        assert fate(source, post(json.dumps(fields))) == TAKEN
    for token in ("other", "", None, 7, [TOKEN], {"0": TOKEN}):
        for body in (OLD | {"token": token}, SAID | {"header": SAID["header"] | {"token": token}}):
            assert fate(source, post(json.dumps(body))) == Reason.UNAUTHORISED


def what_is_signed_but_no_event_is_named(bench: Bench) -> None:
    source = bench.source(**options(bench))
    for text, reason in (
        ("no json", Reason.MALFORMED),
        ("[]", Reason.MALFORMED),
        (json.dumps({"token": TOKEN}), Reason.INVALID),
        (json.dumps({"token": TOKEN, "header": [], "event": "x"}), Reason.INVALID),
        (json.dumps(envelope("", {})), Reason.INVALID),
        (json.dumps(envelope("x", {}, "")), Reason.INVALID),
        (json.dumps(OLD | {"ts": "soon"}), Reason.INVALID),
        (json.dumps(envelope("x", {}))[:-1] + ',"a":' + "[" * 70 + "]" * 70 + "}", Reason.MALFORMED),
    ):
        assert fate(source, push(text)) == reason, text
    assert fate(source, post(b"no json")) == Reason.MALFORMED
    assert fate(source, post(b"x" * ((1 << 20) + 1))) == Reason.TOO_LARGE


def keys_rotate_and_several_apps_share_an_address(bench: Bench) -> None:
    first = options(bench, encrypt_key=bench.secret("keys", "new-key", KEY))
    second = {"token": bench.secret("b", "other"), "encrypt_key": bench.secret("kb", "key-b")}
    third = {"token": bench.secret("c", "third")}
    source = bench.source(apps=[first, second, third])
    for inbound in (
        push(SAID),
        push(SAID, key="new-key"),
        push(envelope("x", {}, token="other"), key="key-b"),
        post(json.dumps(envelope("x", {}, token="third"))),
    ):
        assert fate(source, inbound) == TAKEN
    assert fate(source, push(SAID, key="key-b")) == Reason.UNAUTHORISED
    assert fate(source, post(json.dumps(SAID))) == Reason.UNAUTHORISED
    (bench.folder / "keys").unlink()
    assert fate(source, push(SAID)) == Reason.UNAVAILABLE
    assert fate(source, push(envelope("x", {}, token="other"), key="key-b")) == TAKEN


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        a_message_is_an_event,
        a_pressed_button_is_an_event,
        the_first_schema_is_understood,
        no_token_gets_into_an_event,
        a_challenge_is_answered_and_no_event,
        a_repetition_has_the_same_id_and_others_have_others,
        what_is_not_signed_now_by_feishu_is_refused,
        without_a_key_the_token_decides,
        what_is_signed_but_no_event_is_named,
        keys_rotate_and_several_apps_share_an_address,
    )
}


@pytest.mark.parametrize("name", CHECKS)
def test_check(tmp_path: Path, name: str) -> None:
    CHECKS[name](Bench(tmp_path, FeishuCallback))


_called, _of = FeishuCallback.called, FeishuCallback._of


def _silent(self: FeishuCallback, inbound: Inbound, /) -> Called:
    return Called(_called(self, inbound).events, Answer())


def _loosely(*args: Any) -> Any:
    """What is not encrypted is as good."""
    outer = args[4]
    return outer if "encrypt" not in outer else _of(*args)


def _spaceless(key: str, timestamp: str, nonce: str, body: bytes) -> str:
    """Over the body as JSON would be written, not as it was."""
    return signature(key, timestamp, nonce, json.dumps(json.loads(body)).encode())


def _keyless(key: str, timestamp: str, nonce: str, body: bytes) -> str:
    return signature("", timestamp, nonce, body)


def _whole(fields: Any, *names: str) -> Any:
    """The header goes into the event, with its token."""
    return fields if names == ("event",) else within(fields, *names)


Mistake = tuple[Any, str, Callable[..., Any] | object, Check]
MISTAKES: dict[str, Mistake] = {
    "any signature": (feishu, "same", lambda *_: True, what_is_not_signed_now_by_feishu_is_refused),
    "any token": (feishu, "_shown", lambda *_: True, without_a_key_the_token_decides),
    "any token beside a signature": (feishu, "_shown", lambda *_: True, what_is_not_signed_now_by_feishu_is_refused),
    "any time": (Window, "require", lambda *_: None, what_is_not_signed_now_by_feishu_is_refused),
    "the body as it might be": (feishu, "signature", _spaceless, what_is_not_signed_now_by_feishu_is_refused),
    "signed without the key": (feishu, "signature", _keyless, a_message_is_an_event),
    "not encrypted is as good": (FeishuCallback, "_of", _loosely, what_is_not_signed_now_by_feishu_is_refused),
    "a challenge is an event": (feishu, "_CHALLENGE", "none", a_challenge_is_answered_and_no_event),
    "an empty answer": (FeishuCallback, "called", _silent, a_challenge_is_answered_and_no_event),
    "a new id each time": (Callback, "_event", counted, a_repetition_has_the_same_id_and_others_have_others),
    "a message by its event": (feishu, "_MESSAGE", "none", a_repetition_has_the_same_id_and_others_have_others),
    "the token in the log": (feishu, "within", _whole, no_token_gets_into_an_event),
    "one secret at a time": (
        feishu,
        "values_of",
        lambda ref: (ref.reveal(),),
        keys_rotate_and_several_apps_share_an_address,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_would_be_found(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead, check = MISTAKES[name]
    monkeypatch.setattr(where, what, instead)
    caught(check, Bench(tmp_path, FeishuCallback))


@pytest.mark.parametrize("one", VECTORS["feishu_event_decrypt"])
def test_a_vector_both_ways(one: dict[str, str]) -> None:
    assert opened(one["encrypt_key"], one["encrypt"]).decode() == one["plaintext"]
    iv = base64.b64decode(one["encrypt"])[:16]
    again = iv + aes(hashlib.sha256(one["encrypt_key"].encode()).digest(), iv, one["plaintext"].encode(), 16)
    assert base64.b64encode(again).decode() == one["encrypt"]


@pytest.mark.parametrize("one", VECTORS["feishu_signature"])
def test_a_signature_of_the_vectors(one: dict[str, str]) -> None:
    ours = signature(one["encrypt_key"], one["timestamp"], one["nonce"], one["raw_body"].encode())
    assert ours == one["x_lark_signature"]


def test_the_challenge_of_the_vectors_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = VECTORS["feishu_event_decrypt"][1]
    monkeypatch.setenv("FEISHU_TOKEN", json.loads(one["plaintext"])["token"])
    monkeypatch.setenv("FEISHU_KEY", one["encrypt_key"])
    source = Bench(tmp_path, FeishuCallback).source(token="env:FEISHU_TOKEN", encrypt_key="env:FEISHU_KEY")
    called = source.called(post(json.dumps({"encrypt": one["encrypt"]})))
    assert json.loads(called.answer.body) == {"challenge": "ajls384kdjx98XX"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Verification Token"),
        ({"encrypt_key": "env:A"}, "Verification Token"),
        ({"token": "env:A", "apps": [{"token": "env:B"}]}, "apps"),
        ({"apps": [{}]}, "Verification Token"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        FeishuCallback.Config.model_validate(given)
