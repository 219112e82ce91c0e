"""What WeChat pushes to the server of an official account or a mini-program: messages of people, and events.

Source: developers.weixin.qq.com, "Message push" of official accounts and of mini-programs (signature, echostr; plain,
compatible and safe mode; XML and JSON).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

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
    Seals,
    Window,
    checked_size,
    identity_of,
    keys_of,
    moment,
    require_signed,
    signed_by,
    text_of,
)
from andon.ingress.bodies.sealed import same, signature
from andon.ingress.bodies.strict import object_of
from andon.ingress.bodies.xml import fields_of

_LABELS = {
    "user": ("FromUserName", "openid", "OpenID"),
    "unionid": ("UnionID", "UnionId", "unionid", "union_id"),
    "account": ("ToUserName",),
    "key": ("EventKey",),
}
_ids = Namespace(UUID("3f1b7f5e-7d0c-5c43-8a0e-6a6f4f0c2b91"))


class WechatApp(App):
    """One official account or mini-program."""

    token: SecretRef | None = None
    """The Token of the page for message push."""
    aes_key: SecretRef | None = None
    """The EncodingAESKey of the same page. With it only what is encrypted is taken (compatible and safe mode); without
    it, plain mode, the body is not signed."""
    receive_id: SecretRef | str | None = None
    """The AppID, which what is encrypted must be for."""

    def require(self) -> None:
        """Raises ValueError where something is missing."""
        if self.token is None:
            raise ValueError("message push needs `token`")
        if (self.aes_key is None) != (self.receive_id is None):
            raise ValueError("`aes_key` and `receive_id` (the AppID) go together")


class WechatOa(Callback):
    """Message push of one or more official accounts and mini-programs at one address. What is not signed by one of
    them is refused before anything of it is read; what is signed is an event, also when it is of a kind that came later
    than this file.

    A person has another openid in each of them, and one UnionID in all: it is the subject where WeChat says it.
    """

    class Config(WechatApp):
        """Token and key of one account, or of several."""

        apps: tuple[WechatApp, ...] = ()
        """More than one account or mini-program at this address, each with the three keys above."""
        within: Seconds = Field(default=600.0, gt=0, le=MOST_WITHIN)
        """How old, or how far ahead of our clock, a callback may be."""

    specimen: ClassVar = SourceSpecimen(
        options={"token": REFERENCE, "aes_key": REFERENCE, "receive_id": "wx1"},
        query={"msg_signature": "c8399df646afbab654211107f5d4f6430add59bf", "timestamp": "1700000000", "nonce": "n1"},
        body=b"<xml><Encrypt>IG+0eOkLdhYW9kHtuT3HY+B4Kue8EoYS2zXEXy27dJ6i5zaNwBZseRPuM7M9P5tYIRDj4SyC4/52ud00NzDJ6Z"
        b"1Zh3So9ZKSpGdJWckWUgCgaQlLXzklzr9DGaywdPgCxiFxX44e92Ts/OsPkOh8jhCvmkvjbxPTwbD9juwyL5zCcCk1wGpPnk1ib2TlOVL"
        b"It4aSVTEtOlhvZrUWQX3ag+fw3nAMIDPhupRitKnwq3Psg+dYwzfAIUyLMiK2/qHH</Encrypt></xml>",
        secret="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",  # noqa: S106 - the alphabet
    )

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(context)
        apps = config.apps or (config,)
        self._window = Window(context.clock, config.within)
        keys = keys_of(apps, lambda app: app.receive_id)
        self._sealed = bool(keys)
        self._seals = Seals(keys, self._window)
        self._tokens = [app.token for app in apps if app.token]
        self._plain = [app.token for app in apps if app.token and not app.aes_key]

    def greet(self, inbound: Inbound, /) -> Answer:
        """The text the vendor came with, as it was; it is signed in one way in all modes. Raises Invalid, and
        Retryable without a secret."""
        self._require_signed(inbound.query, self._tokens)
        return Answer(inbound.query.get("echostr", "").encode(errors="replace"))

    def called(self, inbound: Inbound, /) -> Called:
        """The one event of a message or an event, and "success". Raises Invalid (a Rejected), and Retryable without a
        secret."""
        fields, signed = self._theirs(inbound)
        kind, event = text_of(fields, "MsgType"), text_of(fields, "Event")
        if not kind:
            raise Invalid(Reason.INVALID, "message push has MsgType", "MsgType")
        at = moment(text_of(fields, WRITTEN), WRITTEN)
        type_ = f"wechat.event.{event.lower()}" if kind == "event" else f"wechat.message.{kind.lower()}"
        labels = {label: text_of(fields, *names) for label, names in _LABELS.items()}
        subject = labels["unionid"] or labels["user"] or self._name
        # A message has a number of its own, within its account; an event has none.
        number = text_of(fields, "MsgId")
        identity = f"{labels['account']}:{number}" if number else identity_of(_ids, fields)
        taken = self._event(inbound, type_, subject, identity, at, fields, labels)
        return Called((taken,), Answer(b"success"), signed)

    def _theirs(self, inbound: Inbound) -> tuple[dict[str, Any], str]:
        """What was pushed, and its signature: sealed, where the account has a key, and plain only where it has none.
        Then the time and the nonce are signed, and nothing of the body."""
        query, body = inbound.query, checked_size(inbound.body)
        if not self._plain or ("msg_signature" in query and self._sealed):
            signed = signed_by(query)
            opened = self._seals.opened(signed, text_of(_fields(body), "Encrypt"))
            fields = _fields(opened.message)
            self._window.require_written(signed.timestamp, signed.nonce, fields)
            return fields, signed.signature
        self._require_signed(query, self._plain)
        return _fields(body), query["signature"]

    def _require_signed(self, query: Mapping[str, str], tokens: Sequence[SecretRef]) -> None:
        """One of these tokens has signed the time and the nonce. Raises Invalid (UNAUTHORISED), and Retryable when it
        may be one that cannot be read."""
        theirs, timestamp, nonce = (query.get(name, "") for name in ("signature", "timestamp", "nonce"))
        nobody = Invalid(Reason.UNAUTHORISED, "the signature is none of ours", "signature")
        require_signed(tokens, lambda token: same(signature(token, timestamp, nonce), theirs), nobody)
        self._window.require(timestamp)


def _fields(body: bytes) -> dict[str, Any]:
    """What stands in XML or in JSON, as the account's page says it. Raises Invalid (MALFORMED)."""
    return object_of(body) if body.lstrip()[:1] == b"{" else fields_of(body)
