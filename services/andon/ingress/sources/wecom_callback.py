"""What WeCom calls an application back with: messages to it, clicks on its cards, approvals, changes of contacts.

Source: developer.work.weixin.qq.com/document/path/90930 (callbacks), 90968 (their encryption), 90239 and 90240
(messages and events), 90241 (passive replies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any, ClassVar, NamedTuple, Self
from uuid import UUID
from xml.sax.saxutils import escape

import msgspec
from pydantic import Field, model_validator

from andon.config.secrets import SecretMissing, SecretRef
from andon.config.settings import Section
from andon.config.units import Seconds
from andon.core.event import Event
from andon.core.failure import Invalid, Retryable
from andon.core.ids import Namespace
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress import traceparent
from andon.ingress.randomness import Randomness
from andon.ingress.sealed import NotOurs, Seal
from andon.ingress.sent import check
from andon.ingress.xml import fields_of

MOST_SEALED = 1 << 20
_LISTS = ("SpRecord", "Notifyer", "Comments", "Details", "SelectedItem", "OptionId", "Item")
_LABELS = {"FromUserName": "user", "AgentID": "agent", "EventKey": "key", "ChangeType": "change"}
# What tells two events of one person within one second apart; a message has an id of its own.
_IDENTITY = ("ToUserName", "AgentID", "FromUserName", "CreateTime", "Event", "EventKey", "TaskId", "ChangeType")
_ids = Namespace(UUID("5f1d3c52-6b0e-5c7a-9d0a-0c5b6b1c8f41"))


class App(Section):
    """One application's callback: its token and key, and the corp it belongs to."""

    token: SecretRef | None = None
    """Token of the application's page for receiving messages."""
    aes_key: SecretRef | None = None
    """EncodingAESKey of the same page."""
    channel: str | None = None
    """The channel of the same application, whose `corp_id` the callback must be for."""
    receive_id: SecretRef | str | None = None
    """In place of `channel`: the corp id, or a suite's id; empty for a robot."""

    def require(self) -> None:
        """Raises ValueError where something is missing."""
        if self.token is None or self.aes_key is None:
            raise ValueError("a callback needs `token` and `aes_key`")
        if (self.channel is None) == (self.receive_id is None):
            raise ValueError("whom a callback is for is said by `channel` or by `receive_id`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.require()
        return self


class _Opened(NamedTuple):
    seal: Seal
    message: bytes


class WecomCallback:
    """The callbacks of one or more applications at one address. What is not signed by one of them is refused before
    anything of it is read; what is signed is an event, also when it is of a kind that came later than this file."""

    class Config(App):
        """Tokens and keys, and what is answered to a message."""

        apps: tuple[App, ...] = ()
        """More than one application at this address, each with the four keys above."""
        within: Seconds = Field(default=600.0, gt=0)
        """How old, or how far ahead of our clock, a callback may be."""
        reply: str = Field(default="", max_length=512)
        """A text that whoever writes to the application is answered at once; none by default."""

        def require(self) -> None:
            if not self.apps:
                super().require()
            elif any(one is not None for one in (self.token, self.aes_key, self.channel, self.receive_id)):
                raise ValueError("write the keys of one application here, or those of several in `apps`")

    specimen: ClassVar = SourceSpecimen(
        options={"token": REFERENCE, "aes_key": REFERENCE, "receive_id": "ww1"},
        query={"msg_signature": "9392bcf134411abdee56862f057718cedcedf4ce", "timestamp": "1700000000", "nonce": "n1"},
        body=b"<xml><Encrypt>IG+0eOkLdhYW9kHtuT3HY0Wn6498gELLAnN7oEjrCGsRm0tgBHOKjf45GdTvqoMTXywQKV798il7tVjvc3KdaZ1N7NPmv4"
        b"T0TFO7c0YPEiu6NStbZWfV3vD8I45u9rB5qlkcxbga8596841dj1C1fEmUeyYQ2vTk9M7d3vhBhFVWj/ea7Yj/tmYdq+q3jLHtcKlF5bm4Kj0Lt"
        b"hYMoM47P9AcVUxpp6rMeR2aYvNSM0qxd2r6GeDM7lalYIs4kXAFgkWuNBLOO29gjLFUUYncOXhw5Vq60JxxRM8zUfRFzkg=</Encrypt></xml>",
        secret="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",  # noqa: S106 - the alphabet
    )

    def __init__(self, config: Config, context: Context, *, random: Callable[[int], bytes] | None = None) -> None:
        self._name = context.name
        self._clock = context.clock
        self._random = random or Randomness().take
        self._within = config.within
        self._reply = config.reply
        apps = config.apps or (config,)
        self._apps = [
            (app.token, app.aes_key, _receiver(app, context.channels)) for app in apps if app.token and app.aes_key
        ]

    def greet(self, inbound: Inbound, /) -> bytes:
        """The text the vendor has sealed, as it was. Raises Invalid, and Retryable without a secret."""
        return self._opened(inbound.query, inbound.query.get("echostr", "")).message

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The one event of a callback. Raises Invalid (a Rejected), and Retryable without a secret."""
        fields = fields_of(self._opened(inbound.query, _sealed(inbound)).message, _LISTS)
        kind = _text(fields, "MsgType")
        event = _text(fields, "Event")
        created = _text(fields, "CreateTime")
        if not kind or not (created.isascii() and created.isdigit() and len(created) <= 10):
            raise Invalid(Reason.INVALID, "a callback has MsgType and CreateTime")
        type_ = f"wecom.event.{event.lower()}" if kind == "event" else f"wecom.message.{kind.lower()}"
        subject = _number(fields) or _text(fields, "FromUserName") or self._name
        identity = _text(fields, "MsgId") or str(_ids.id("\n".join(_distinct(fields))))
        check(self._name, type_, subject, identity)
        trace = traceparent.accepted(inbound.headers.get("traceparent")) or traceparent.minted(self._random(24))
        labels = {label: text for name, label in _LABELS.items() if (text := _text(fields, name))}
        at = datetime.fromtimestamp(int(created), UTC)
        return (Event(identity, self._name, type_, subject, at, fields, labels, traceparent=trace),)

    def answer(self, inbound: Inbound, events: Sequence[Event], /) -> bytes:
        """The configured reply to a message, sealed; nothing to an event, or without a reply."""
        if not self._reply or not all(event.type.startswith("wecom.message.") for event in events):
            return b""
        seal = self._opened(inbound.query, _sealed(inbound)).seal
        return self._passive(seal, events[0].data)

    def _passive(self, seal: Seal, asked: Mapping[str, Any]) -> bytes:
        now, nonce = str(int(self._clock.now())), str(int.from_bytes(self._random(5), "big"))
        said = {
            "ToUserName": _text(asked, "FromUserName"),
            "FromUserName": _text(asked, "ToUserName"),
            "CreateTime": now,
            "MsgType": "text",
            "Content": self._reply,
        }
        sealed = seal.close(_xml(said).encode(), self._random(16))
        signature = seal.signature(now, nonce, sealed)
        return _xml({"Encrypt": sealed, "MsgSignature": signature, "TimeStamp": now, "Nonce": nonce}).encode()

    def _opened(self, query: Mapping[str, str], sealed: str) -> _Opened:
        """Signature first, then the time, then what is inside. Raises Invalid (UNAUTHORISED)."""
        signature, timestamp, nonce = (query.get(name, "") for name in ("msg_signature", "timestamp", "nonce"))
        if not (signature and timestamp and nonce and sealed):
            raise Invalid(Reason.UNAUTHORISED, "a callback is signed: msg_signature, timestamp and nonce are missing")
        seals = list(self._seals())
        ours = [seal for seal in seals if seal.signed(signature, timestamp, nonce, sealed)]
        if not ours:
            raise Invalid(Reason.UNAUTHORISED, "the signature is none of ours", "msg_signature")
        if not timestamp.isdecimal() or abs(self._clock.now() - int(timestamp[:12])) > self._within:
            raise Invalid(
                Reason.UNAUTHORISED, f"it was not signed within {self._within:.0f} s of our time", "timestamp"
            )
        problem = NotOurs("")
        for seal in ours:
            try:
                return _Opened(seal, seal.open(sealed))
            except NotOurs as error:
                problem = error
        raise Invalid(Reason.UNAUTHORISED, str(problem))

    def _seals(self) -> Iterator[Seal]:
        """Every token with every key: during a rotation there are two of each."""
        for tokens, keys, receiver in self._apps:
            try:
                whom = receiver.reveal() if isinstance(receiver, SecretRef) else receiver
                for token, key in product(tokens.values(), keys.values()):
                    yield Seal(token.get_secret_value(), key.get_secret_value(), whom)
            except SecretMissing as missing:
                raise Retryable(Reason.UNAVAILABLE, str(missing)) from None
            except NotOurs as error:
                raise Retryable(Reason.UNAVAILABLE, f"{keys.reference}: {error}") from None


def _receiver(app: App, channels: Mapping[str, Mapping[str, Any]]) -> SecretRef | str:
    if app.channel is None:
        return app.receive_id or ""
    corp = channels.get(app.channel, {}).get("corp_id")
    if not isinstance(corp, str) or not corp:
        raise ValueError(f"the channel `{app.channel}` has no corp_id; write `receive_id`")
    return SecretRef(corp) if corp.startswith(("env:", "file:")) else corp


def _sealed(inbound: Inbound) -> str:
    if len(inbound.body) > MOST_SEALED:
        raise Invalid(Reason.TOO_LARGE, f"a callback has at most {MOST_SEALED:,} bytes")
    return _text(fields_of(inbound.body), "Encrypt")


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""


def _number(fields: Mapping[str, Any]) -> str:
    """The number of an approval, in whose name all of its events come."""
    info = fields.get("ApprovalInfo")
    if not isinstance(info, dict):
        return ""
    return _text(info, "SpNoStr") or _text(info, "SpNo") or _text(info, "ThirdNo")


def _distinct(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in _IDENTITY:
        yield _text(fields, name)
    if info := fields.get("ApprovalInfo"):
        yield msgspec.json.encode(info, order="deterministic").decode()


def _xml(fields: Mapping[str, str]) -> str:
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f"<xml>{inside}</xml>"
