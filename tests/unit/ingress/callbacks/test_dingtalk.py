"""DingTalk: its vector, every way to be refused, and mistakes that the checks would find."""

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
from andon.ingress.sources import dingtalk
from andon.ingress.sources.dingtalk import DingtalkCallback, robot_sign
from tests.unit.ingress.callbacks.bench import (
    KEYS,
    NOW,
    SEALED,
    TAKEN,
    VECTORS,
    Bench,
    Check,
    caught,
    fate,
    post,
    seal,
    sha1,
    unseal,
)
from tests.unit.ingress.callbacks.calls import KEY
from tests.unit.ingress.callbacks.calls import dingtalk_message as message
from tests.unit.ingress.callbacks.calls import dingtalk_push as push
from tests.unit.ingress.callbacks.mistakes import counted, for_anybody

OTHER = KEYS[1]
AT = str(NOW * 1_000)
CHANGED: dict[str, Any] = {
    "EventType": "bpms_instance_change",
    "CorpId": "ding9",
    "processInstanceId": "p-7",
    "staffId": "zhang",
    "type": "finish",
    "result": "agree",
    "TimeStamp": AT,
    "eventId": "e-1",
}
SAID: dict[str, Any] = {
    "msgtype": "text",
    "text": {"content": " 停机"},
    "msgId": "m-1",
    "createAt": NOW * 1_000,
    "conversationId": "c-1",
    "conversationType": "2",
    "senderStaffId": "zhang",
    "senderId": "$:opaque",
    "senderCorpId": "ding9",
    "robotCode": "r-1",
    "sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession?session=x",
}


def options(bench: Bench, **more: Any) -> dict[str, Any]:
    keys = {"token": bench.secret("token", "tok"), "aes_key": bench.secret("key", KEY), "receive_id": "app1"}
    return keys | {"app_secret": bench.secret("secret", "s3cret")} | more


def answered(answer: Answer) -> str:
    """What DingTalk finds in an answer."""
    assert answer.media == "application/json"
    said = json.loads(answer.body)
    assert set(said) == {"msg_signature", "timeStamp", "nonce", "encrypt"}
    assert said["msg_signature"] == sha1("tok", said["timeStamp"], said["nonce"], said["encrypt"])
    assert said["timeStamp"] == AT
    return unseal(KEY, "app1", said["encrypt"])


def an_event_is_taken_and_answered_by_success_sealed(bench: Bench) -> None:
    called = bench.source(**options(bench)).called(push(CHANGED))
    (event,) = called.events
    assert (event.id, event.source, event.type, event.subject) == (
        "e-1",
        "chat",
        "dingtalk.event.bpms_instance_change",
        "p-7",
    )
    assert event.labels == {"corp": "ding9", "user": "zhang", "change": "finish", "result": "agree"}
    assert event.time.timestamp() == NOW
    assert event.data == CHANGED
    assert answered(called.answer) == "success"


def the_signature_has_either_name(bench: Bench) -> None:
    source = bench.source(**options(bench))
    assert fate(source, push(CHANGED, name="signature")) == TAKEN
    assert fate(source, push(CHANGED, name="sig")) == Reason.UNAUTHORISED


def a_question_is_answered_and_no_event(bench: Bench) -> None:
    source = bench.source(**options(bench))
    for fields, text in (
        ({"EventType": "check_url"}, "success"),
        ({"EventType": "check_create_suite_url", "Random": "LPIdSnlF"}, "LPIdSnlF"),
        ({"EventType": "check_update_suite_url", "Random": "abc"}, "abc"),
    ):
        called = source.called(push(fields))
        assert not called.events
        assert answered(called.answer) == text


def a_repetition_has_the_same_id_and_others_have_others(bench: Bench) -> None:
    source = bench.source(**options(bench))

    def id_of(inbound: Inbound) -> str:
        return source.parse(inbound)[0].id

    assert id_of(push(CHANGED, at=AT)) == id_of(push(CHANGED, at=str(NOW * 1_000 + 9)))
    assert id_of(push(CHANGED)) != id_of(push(CHANGED | {"eventId": "e-2"}))
    old = {name: value for name, value in CHANGED.items() if name != "eventId"}
    assert id_of(push(old)) == id_of(push(dict(reversed(old.items())), at=str(NOW * 1_000 + 9)))
    assert id_of(push(old)) != id_of(push(old | {"result": "refuse"}))


def what_is_not_signed_now_by_dingtalk_is_refused(bench: Bench) -> None:
    source = bench.source(**options(bench))
    good = push(CHANGED)
    for other in (
        push(CHANGED, token="other"),
        push(CHANGED, key=OTHER),
        push(CHANGED, whom="app2"),
        push(CHANGED, whom=""),
        push(CHANGED, at=str((NOW - 3_700) * 1_000)),
        push(CHANGED, at=str((NOW + 3_700) * 1_000)),
        push(CHANGED, at="1x"),
        post(good.body),
        post(good.body, dict(good.query) | {"nonce": "m"}),
        post(json.dumps({"encrypt": seal(KEY, "app1", "{}")}), good.query),
        post(json.dumps(CHANGED), good.query),
    ):
        assert fate(source, other) == Reason.UNAUTHORISED


def what_is_signed_but_no_event_is_named(bench: Bench) -> None:
    source = bench.source(**options(bench))
    for plain, reason in (
        ("no json", Reason.MALFORMED),
        ("[]", Reason.MALFORMED),
        ("{}", Reason.INVALID),
        ('{"EventType":1.5}', Reason.INVALID),
        ('{"EventType":"x","TimeStamp":"soon"}', Reason.INVALID),
        ('{"EventType":"x\\n","TimeStamp":"1700000000000"}', Reason.INVALID),
        ('{"EventType":"x","a":' + "[" * 70 + "]" * 70 + "}", Reason.MALFORMED),
    ):
        assert fate(source, push(plain)) == reason, plain
    assert fate(source, post(b"<xml/>", push(CHANGED).query)) == Reason.MALFORMED
    assert fate(source, post(b"x" * ((1 << 20) + 1), push(CHANGED).query)) == Reason.TOO_LARGE


def keys_rotate_and_several_apps_share_an_address(bench: Bench) -> None:
    first = options(bench, token=bench.secret("two", "tok2", "tok"), aes_key=bench.secret("keys", OTHER, KEY))
    second = {"token": bench.secret("b", "tokb"), "aes_key": bench.secret("kb", OTHER), "receive_id": "app2"}
    source = bench.source(apps=[first, second])
    assert fate(source, push(CHANGED)) == TAKEN
    assert fate(source, push(CHANGED, token="tok2", key=OTHER)) == TAKEN
    assert fate(source, push(CHANGED, token="tokb", key=OTHER, whom="app2")) == TAKEN
    assert fate(source, push(CHANGED, token="tokb", key=OTHER, whom="app1")) == Reason.UNAUTHORISED
    (bench.folder / "two").unlink()
    assert fate(source, push(CHANGED)) == Reason.UNAVAILABLE
    assert fate(source, push(CHANGED, token="tokb", key=OTHER, whom="app2")) == TAKEN


def a_message_to_a_robot_is_an_event(bench: Bench) -> None:
    called = bench.source(**options(bench)).called(message(SAID))
    (event,) = called.events
    assert (event.id, event.type, event.subject) == ("m-1", "dingtalk.message.text", "zhang")
    assert event.labels == {"user": "zhang", "corp": "ding9", "chat": "c-1", "robot": "r-1"}
    assert event.data["text"] == {"content": " 停机"}
    assert called.answer.body == b""


def a_robot_hears_only_who_knows_its_secret_now(bench: Bench) -> None:
    source = bench.source(**options(bench, app_secret=bench.secret("secrets", "new", "s3cret")))
    assert fate(source, message(SAID)) == TAKEN
    assert fate(source, message(SAID, secret="new")) == TAKEN
    good = message(SAID)
    for other in (
        message(SAID, secret="other"),
        message(SAID, at=str((NOW - 3_700) * 1_000)),
        message(SAID, at=str((NOW + 3_700) * 1_000)),
        post(good.body, headers={"sign": good.headers["sign"]}),
        post(good.body, headers=dict(good.headers) | {"sign": ""}),
        post(good.body, headers={"timestamp": AT}),
    ):
        assert fate(source, other) == Reason.UNAUTHORISED
    assert fate(source, message({"msgtype": "text"})) == Reason.INVALID
    deaf = bench.source(**{name: value for name, value in options(bench).items() if name != "app_secret"})
    assert fate(deaf, message(SAID)) == Reason.UNAUTHORISED
    (bench.folder / "secrets").unlink()
    assert fate(source, message(SAID)) == Reason.UNAVAILABLE


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        an_event_is_taken_and_answered_by_success_sealed,
        the_signature_has_either_name,
        a_question_is_answered_and_no_event,
        a_repetition_has_the_same_id_and_others_have_others,
        what_is_not_signed_now_by_dingtalk_is_refused,
        what_is_signed_but_no_event_is_named,
        keys_rotate_and_several_apps_share_an_address,
        a_message_to_a_robot_is_an_event,
        a_robot_hears_only_who_knows_its_secret_now,
    )
}


@pytest.mark.parametrize("name", CHECKS)
def test_check(tmp_path: Path, name: str) -> None:
    CHECKS[name](Bench(tmp_path, DingtalkCallback))


_event, _called = Callback._event, DingtalkCallback.called


def _plainly(self: DingtalkCallback, inbound: Inbound, /) -> Called:
    return Called(_called(self, inbound).events, Answer(b"success"))


def _by_type(self: Callback, inbound: Inbound, type_: str, subject: str, _identity: str, *rest: Any) -> Event:
    return _event(self, inbound, type_, subject, type_, *rest)


Mistake = tuple[Any, str, Callable[..., Any] | object, Check]
MISTAKES: dict[str, Mistake] = {
    "any signature": (Seal, "signed", lambda *_: True, what_is_not_signed_now_by_dingtalk_is_refused),
    "any time": (Window, "require", lambda *_: None, what_is_not_signed_now_by_dingtalk_is_refused),
    "for anybody": (Seal, "open", for_anybody(b"app1", b"app2", b""), what_is_not_signed_now_by_dingtalk_is_refused),
    "success in plain": (DingtalkCallback, "called", _plainly, an_event_is_taken_and_answered_by_success_sealed),
    "the answer of others": (dingtalk, "_OK", b"", an_event_is_taken_and_answered_by_success_sealed),
    "questions are events": (dingtalk, "_ASKING", (), a_question_is_answered_and_no_event),
    "a new id each time": (Callback, "_event", counted, a_repetition_has_the_same_id_and_others_have_others),
    "the type is the id": (Callback, "_event", _by_type, a_repetition_has_the_same_id_and_others_have_others),
    "any order is another": (
        callback,
        "_canonical",
        lambda fields: json.dumps(fields).encode(),
        a_repetition_has_the_same_id_and_others_have_others,
    ),
    "one secret at a time": (
        callback,
        "values_of",
        lambda ref: (ref.reveal(),),
        keys_rotate_and_several_apps_share_an_address,
    ),
    "any robot": (dingtalk, "same", lambda *_: True, a_robot_hears_only_who_knows_its_secret_now),
    "a robot at any time": (Window, "require", lambda *_: None, a_robot_hears_only_who_knows_its_secret_now),
    "a robot without its time": (
        dingtalk,
        "robot_sign",
        lambda secret, _at: robot_sign(secret, ""),
        a_message_to_a_robot_is_an_event,
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_would_be_found(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead, check = MISTAKES[name]
    monkeypatch.setattr(where, what, instead)
    caught(check, Bench(tmp_path, DingtalkCallback))


@pytest.mark.parametrize("one", VECTORS["dingtalk_robot_sign"])
def test_a_robot_signs_as_the_vector(one: dict[str, str]) -> None:
    assert robot_sign(one["secret"], one["timestamp_ms"]) == one["sign_base64"]


def test_the_published_callback_is_answered(tmp_path: Path) -> None:
    one = SEALED["dingtalk-official-check-create-suite-url"]
    bench = Bench(tmp_path, DingtalkCallback)
    bench.clock.advance(int(one["timestamp"]) / 1_000 - NOW)
    source = bench.source(
        token=bench.secret("token", one["token"]), aes_key=bench.secret("key", one["key"]), receive_id=one["receiveid"]
    )
    query = {"signature": one["signature"], "timestamp": one["timestamp"], "nonce": one["nonce"]}
    called = source.called(post(json.dumps({"encrypt": one["encrypt"]}), query))
    assert not called.events
    sealed = json.loads(called.answer.body)["encrypt"]
    assert unseal(one["key"], one["receiveid"], sealed) == json.loads(one["plaintext"])["Random"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "app_secret"),
        ({"token": "env:A"}, "receive_id"),
        ({"token": "env:A", "aes_key": "env:B"}, "receive_id"),
        ({"app_secret": "env:A", "apps": [{"app_secret": "env:B"}]}, "apps"),
        ({"apps": [{}]}, "app_secret"),
    ],
)
def test_what_is_missing_is_named(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DingtalkCallback.Config.model_validate(given)
