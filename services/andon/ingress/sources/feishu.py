"""What Feishu and Lark call an application back with: events it has subscribed to, and what people do on its cards.

Source: open.feishu.cn, "Send events to the developer's server" (challenge, Encrypt Key, signature), "Event structure"
(schemas 1.0 and 2.0), "Card callbacks" (`card.action.trigger`).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar

import msgspec
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad
from pydantic import Field

from andon.config.secrets import SecretRef
from andon.config.units import Seconds
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ports import Answer, Called, Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies.callback import (
    MOST_WITHIN,
    App,
    Callback,
    Window,
    checked_size,
    first_of,
    moment,
    text_of,
    values_of,
    within,
)
from andon.ingress.bodies.sealed import NotOurs, same
from andon.ingress.bodies.strict import object_of

_CHALLENGE = "url_verification"
_MESSAGE = "im.message.receive_v1"
_CARD = "card.action.trigger"
_BLOCK = 16
_HEADERS = ("x-lark-request-timestamp", "x-lark-request-nonce", "x-lark-signature")
# Where an event says who did it; the ids of a person stand there, or one level below.
_PEOPLE = (("sender", "sender_id"), ("operator",), ("operator", "operator_id"), ("operator_id",), ("user_id",), ())


class FeishuApp(App):
    """One application: its Verification Token, and its Encrypt Key, if it has one."""

    token: SecretRef | None = None
    """The Verification Token of the application's page Events & Callbacks › Encryption Strategy."""
    encrypt_key: SecretRef | None = None
    """The Encrypt Key of the same page. With it only what is encrypted and signed is taken; without it nothing but
    the token says that a callback is from Feishu."""

    def require(self) -> None:
        """Raises ValueError where something is missing."""
        if self.token is None:
            raise ValueError("a callback needs `token`, the Verification Token")


class FeishuCallback(Callback):
    """Events and card callbacks of one or more applications at one address. What is of none of them is refused; what
    is theirs is an event, also when it is of a kind that came later than this file.

    Feishu tries again after 15 s, 5 min, 1 h and 6 h. Nobody says whether it signs again, and a repetition is no
    second event: hence a window of 8 hours.
    """

    class Config(FeishuApp):
        """Token and key of one application, or of several."""

        apps: tuple[FeishuApp, ...] = ()
        """More than one application at this address, each with the two keys above."""
        within: Seconds = Field(default=28_800.0, gt=0, le=MOST_WITHIN)
        """How long ago, or how far ahead of our clock, a callback may have been signed."""

    specimen: ClassVar = SourceSpecimen(
        options={"token": REFERENCE, "encrypt_key": REFERENCE},
        headers={
            "x-lark-request-timestamp": "1700000000",
            "x-lark-request-nonce": "n1",
            "x-lark-signature": "66c9fc396190ba9eec4f4fe6465f152977e3870de4a5fcc1937f64374b856bdb",
        },
        body=b'{"encrypt":"AAECAwQFBgcICQoLDA0OD/PikH3i9OpHBTymJWxW8CHEaGRftV8RSnt6eBYUWgwIDICeX3hZV4WuypCMNwOrx0Oa'
        b"lqVTuIUAvdlisTjUuwp72NKu3xMMO9TBtBbfsirL2sHKMFG+U/nCeScUO1eilBo2q4Lsi/NQ0kH0HCwqL8C+TRDcsB33jf74mMlsZXwBW"
        b'KWOZfE7sMzLWn6TEKE+AH6tW1RwjY0wSdvrAnr0xSI="}',
    )

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(context)
        self._apps = config.apps or (config,)
        self._window = Window(context.clock, config.within)

    def called(self, inbound: Inbound, /) -> Called:
        """The one event of a callback; none of a challenge, which is answered. Raises Invalid (a Rejected), and
        Retryable without a secret."""
        fields = self._theirs(inbound.headers, checked_size(inbound.body))
        if text_of(fields, "type") == _CHALLENGE:
            said = {"challenge": text_of(fields, "challenge")}
            return Called(answer=Answer(msgspec.json.encode(said), "application/json"))
        return Called((self._happened(inbound, fields),), Answer(b"{}", "application/json"))

    def _theirs(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """What one of the applications was called with. Raises Invalid and Retryable."""
        outer = object_of(body)
        nobody = Invalid(Reason.UNAUTHORISED, "it is not signed with a key of ours, or shows no token of ours")
        return first_of(self._apps, lambda app: self._of(app, headers, body, outer), nobody)

    def _of(
        self, app: FeishuApp, headers: Mapping[str, str], body: bytes, outer: dict[str, Any]
    ) -> dict[str, Any] | None:
        """What this application was called with; None: somebody else was. Raises Invalid and Retryable."""
        tokens = values_of(app.token) if app.token else ()
        if app.encrypt_key is None:
            return outer if _shown(outer, tokens) else None
        timestamp, nonce, theirs = (headers.get(name, "") for name in _HEADERS)
        for key in values_of(app.encrypt_key):
            signed = same(signature(key, timestamp, nonce, body), theirs)
            if signed:
                self._window.require(timestamp)
            try:
                fields = object_of(opened(key, text_of(outer, "encrypt")))
            except NotOurs as error:
                if signed:
                    raise Invalid(Reason.UNAUTHORISED, str(error)) from None
                continue
            except Invalid:
                if signed:
                    raise
                continue
            # A challenge need not be signed: it makes no event.
            if (signed or text_of(fields, "type") == _CHALLENGE) and _shown(fields, tokens):
                return fields
        return None

    def _happened(self, inbound: Inbound, fields: dict[str, Any]) -> Event:
        header, event = within(fields, "header"), within(fields, "event")
        if header:
            kind, identity = text_of(header, "event_type"), text_of(header, "event_id")
            written, origin = text_of(header, "create_time"), header
        else:
            kind, identity = text_of(event, "type"), text_of(fields, "uuid")
            written, origin = text_of(fields, "ts"), event
        if not kind or not identity:
            raise Invalid(Reason.INVALID, "an event of Feishu has a type and an id")
        message = within(event, "message")
        if kind == _MESSAGE:  # of which Feishu says that the id of an event may differ from one try to the next
            identity = text_of(message, "message_id") or identity
        person = _person(event)
        user = text_of(person, "open_id", "user_id")
        subject = text_of(event, "instance_code") or user or self._name
        labels = {
            "user": user,
            "unionid": text_of(person, "union_id"),
            "app": text_of(origin, "app_id"),
            "tenant": text_of(origin, "tenant_key"),
            "chat": text_of(message, "chat_id")
            or text_of(event, "chat_id", "open_chat_id")
            or text_of(within(event, "context"), "open_chat_id"),
            "key": text_of(within(event, "action"), "name") if kind == _CARD else "",
        }
        return self._event(
            inbound,
            f"feishu.event.{kind.lower()}",
            subject,
            identity,
            moment(written, "create_time"),
            dict(event),
            labels,
        )


def signature(encrypt_key: str, timestamp: str, nonce: str, body: bytes) -> str:
    """What Feishu writes into `X-Lark-Signature`: lower-case hexadecimal."""
    return sha256(f"{timestamp}{nonce}{encrypt_key}".encode(errors="replace") + body).hexdigest()


def opened(encrypt_key: str, sealed: str) -> bytes:
    """What is encrypted with this key; the first block is the initialisation vector. Raises NotOurs."""
    try:
        raw = b64decode(sealed, validate=True)
        cipher = AES.new(sha256(encrypt_key.encode()).digest(), AES.MODE_CBC, iv=raw[:_BLOCK])
        return unpad(cipher.decrypt(raw[_BLOCK:]), _BLOCK)
    except (binascii.Error, ValueError):
        raise NotOurs("it cannot be opened with our key") from None


def _shown(fields: Mapping[str, Any], tokens: Sequence[str]) -> bool:
    """Whether a callback shows the application's token."""
    shown = text_of(within(fields, "header"), "token") or text_of(fields, "token")
    return any(same(token, shown) for token in tokens)


def _person(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ids of who did it; without members where the event names nobody."""
    found = (within(event, *path) for path in _PEOPLE)
    return next((ids for ids in found if text_of(ids, "open_id", "user_id")), {})
