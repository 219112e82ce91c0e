"""What WeCom calls an application back with: messages to it, clicks on its cards, approvals, changes of contacts.

Source: developer.work.weixin.qq.com/document/path/90930 (callbacks), 90968 (their encryption), 90239 and 90240
(messages and events), 90241 (passive replies).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID
from xml.sax.saxutils import escape

from pydantic import Field

from andon.config.secrets import SecretRef
from andon.config.units import Seconds
from andon.core.failure import Invalid
from andon.core.ids import Namespace
from andon.core.ports import Answer, Called, Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies.callback import (
    MOST_WITHIN,
    WRITTEN,
    App,
    Callback,
    Opened,
    Seals,
    Window,
    checked_size,
    closed,
    identity_of,
    keys_of,
    moment,
    signed_by,
    text_of,
    within,
)
from andon.ingress.bodies.sealed import Seal
from andon.ingress.bodies.xml import fields_of

_LISTS = ("SpRecord", "Notifyer", "Comments", "Details", "SelectedItem", "OptionId", "Item")
_LABELS = {"FromUserName": "user", "AgentID": "agent", "EventKey": "key", "ChangeType": "change"}
_ids = Namespace(UUID("5f1d3c52-6b0e-5c7a-9d0a-0c5b6b1c8f41"))


class WecomApp(App):
    """One application's callback: its token and key, and the corp it belongs to."""

    token: SecretRef | None = None
    """Token of the application's page for receiving messages."""
    aes_key: SecretRef | None = None
    """EncodingAESKey of the same page."""
    channel: str | None = None
    """The channel of the same application, whose `corp_id` the callback must be for."""
    receive_id: SecretRef | str | None = None
    """In place of `channel`: the corp id, or a suite's id. What a robot calls back with is JSON, and not taken here."""

    def require(self) -> None:
        """Raises ValueError where something is missing."""
        if self.token is None or self.aes_key is None:
            raise ValueError("a callback needs `token` and `aes_key`")
        if (self.channel is None) == (self.receive_id is None):
            raise ValueError("whom a callback is for is said by `channel` or by `receive_id`")


class WecomCallback(Callback):
    """The callbacks of one or more applications at one address. What is not signed by one of them is refused before
    anything of it is read; what is signed is an event, also when it is of a kind that came later than this file."""

    class Config(WecomApp):
        """Tokens and keys, and what is answered to a message."""

        apps: tuple[WecomApp, ...] = ()
        """More than one application at this address, each with the four keys above."""
        within: Seconds = Field(default=600.0, gt=0, le=MOST_WITHIN)
        """How old, or how far ahead of our clock, a callback may be."""
        reply: str = Field(default="", max_length=512)
        """A text that whoever writes to the application is answered at once; none by default."""

    specimen: ClassVar = SourceSpecimen(
        options={"token": REFERENCE, "aes_key": REFERENCE, "receive_id": "ww1"},
        query={"msg_signature": "9392bcf134411abdee56862f057718cedcedf4ce", "timestamp": "1700000000", "nonce": "n1"},
        body=b"<xml><Encrypt>IG+0eOkLdhYW9kHtuT3HY0Wn6498gELLAnN7oEjrCGsRm0tgBHOKjf45GdTvqoMTXywQKV798il7tVjvc3KdaZ1N7NPmv4"
        b"T0TFO7c0YPEiu6NStbZWfV3vD8I45u9rB5qlkcxbga8596841dj1C1fEmUeyYQ2vTk9M7d3vhBhFVWj/ea7Yj/tmYdq+q3jLHtcKlF5bm4Kj0Lt"
        b"hYMoM47P9AcVUxpp6rMeR2aYvNSM0qxd2r6GeDM7lalYIs4kXAFgkWuNBLOO29gjLFUUYncOXhw5Vq60JxxRM8zUfRFzkg=</Encrypt></xml>",
        secret="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",  # noqa: S106 - the alphabet
    )

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(context)
        self._reply = config.reply
        keys = keys_of(config.apps or (config,), lambda app: _receiver(app, context.channels))
        self._window = Window(context.clock, config.within)
        self._seals = Seals(keys, self._window)

    def greet(self, inbound: Inbound, /) -> Answer:
        """The text the vendor has sealed, as it was. Raises Invalid, and Retryable without a secret."""
        return Answer(self._opened(inbound, inbound.query.get("echostr", "")).message)

    def called(self, inbound: Inbound, /) -> Called:
        """The one event of a callback. Raises Invalid (a Rejected), and Retryable without a secret."""
        seal, message = self._opened(inbound, text_of(fields_of(checked_size(inbound.body)), "Encrypt"))
        fields = fields_of(message, _LISTS)
        self._window.require_written(inbound.query["timestamp"], inbound.query["nonce"], fields)
        kind, event = text_of(fields, "MsgType"), text_of(fields, "Event")
        if not kind:
            raise Invalid(Reason.INVALID, "a callback has MsgType", "MsgType")
        at = moment(text_of(fields, WRITTEN), WRITTEN)
        type_ = f"wecom.event.{event.lower()}" if kind == "event" else f"wecom.message.{kind.lower()}"
        # All events of an approval come in the name of its number.
        approval = text_of(within(fields, "ApprovalInfo"), "SpNoStr", "SpNo", "ThirdNo")
        subject = approval or text_of(fields, "FromUserName") or self._name
        # A message has a number of its own. An event has none, and many come within one second, all in the name of
        # `sys`: it is known again by all that it says, for any field may be the one that differs.
        identity = text_of(fields, "MsgId") or identity_of(_ids, fields)
        labels = {label: text_of(fields, name) for name, label in _LABELS.items()}
        taken = self._event(inbound, type_, subject, identity, at, fields, labels)
        answer = Answer() if kind == "event" or not self._reply else self._passive(seal, fields)
        return Called((taken,), answer, inbound.query["msg_signature"])

    def _passive(self, seal: Seal, asked: Mapping[str, Any]) -> Answer:
        now = str(int(self._clock.now()))
        said = {
            "ToUserName": text_of(asked, "FromUserName"),
            "FromUserName": text_of(asked, "ToUserName"),
            "CreateTime": now,
            "MsgType": "text",
            "Content": self._reply,
        }
        sealed, signature, timestamp, nonce = closed(seal, _xml(said), now, self._random)
        outer = {"Encrypt": sealed, "MsgSignature": signature, "TimeStamp": timestamp, "Nonce": nonce}
        return Answer(_xml(outer), "application/xml")

    def _opened(self, inbound: Inbound, sealed: str) -> Opened:
        return self._seals.opened(signed_by(inbound.query), sealed)


def _receiver(app: WecomApp, channels: Mapping[str, Mapping[str, Any]]) -> SecretRef | str:
    if app.channel is None:
        return app.receive_id or ""
    corp = channels.get(app.channel, {}).get("corp_id")
    if not isinstance(corp, str) or not corp:
        raise ValueError(f"the channel `{app.channel}` has no corp_id; write `receive_id`")
    return SecretRef(corp) if corp.startswith(("env:", "file:")) else corp


def _xml(fields: Mapping[str, str]) -> bytes:
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f"<xml>{inside}</xml>".encode()
