"""What DingTalk calls back with: the events an application has subscribed to, and messages to its robot.

Sources: open.dingtalk.com, "Configure an HTTP push" and its published library DingTalk-Callback-Crypto (events);
"Receive messages of a robot" (the headers `timestamp` and `sign`).
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from pydantic import Field

from andon.config.secrets import SecretRef
from andon.config.units import Seconds
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ids import Namespace
from andon.core.ports import Answer, Called, Context, Inbound
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies.callback import (
    MOST_WITHIN,
    App,
    Callback,
    Seals,
    Signed,
    Window,
    checked_size,
    closed,
    identity_of,
    keys_of,
    moment,
    require_signed,
    text_of,
)
from andon.ingress.bodies.sealed import Seal, same
from andon.ingress.bodies.strict import object_of

_OK = b"success"
# These ask whether the address is ours; those of a suite want to read the text they came with.
_ASKING = ("check_url", "check_create_suite_url", "check_update_suite_url")
_SUBJECTS = ("processInstanceId", "staffId", "StaffId", "userId", "chatId", "ChatId", "CorpId")
_LABELS = {"corp": ("CorpId", "corpId"), "user": ("staffId", "StaffId", "userId"), "change": ("type",)} | {
    name: (name,) for name in ("result", "processCode")
}
_ids = Namespace(UUID("c0a5f0d6-3a53-5b8f-9c39-4f3a0d1f6b52"))


class DingtalkApp(App):
    """One application: what its events are sealed with, the secret of its robot, or both."""

    token: SecretRef | None = None
    """The token (签名 token) of the application's page for events."""
    aes_key: SecretRef | None = None
    """The encryption key (加密 aes_key) of the same page."""
    receive_id: SecretRef | str | None = None
    """Whom events are for: the AppKey (Client ID); the corp id of a callback that was registered by API, or a
    SuiteKey."""
    app_secret: SecretRef | None = None
    """The AppSecret (Client Secret), with which messages to its robot are signed."""

    def require(self) -> None:
        """Raises ValueError where something is missing."""
        sealed = (self.token, self.aes_key, self.receive_id)
        if any(one is not None for one in sealed) != all(one is not None for one in sealed):
            raise ValueError("events need `token`, `aes_key` and `receive_id`")
        if self.token is None and self.app_secret is None:
            raise ValueError(
                "write `token`, `aes_key` and `receive_id` for events, `app_secret` for messages to a robot"
            )


class DingtalkCallback(Callback):
    """Events and messages of one or more applications at one address. What is not signed by one of them is refused
    before anything of it is read; what is signed is an event, also when it is of a kind that came later than this
    file."""

    class Config(DingtalkApp):
        """Tokens and keys of one application, or of several."""

        apps: tuple[DingtalkApp, ...] = ()
        """More than one application at this address, each with the four keys above."""
        within: Seconds = Field(default=3_600.0, gt=0, le=MOST_WITHIN)
        """How old, or how far ahead of our clock, a callback may be."""

    specimen: ClassVar = SourceSpecimen(
        options={"token": REFERENCE, "aes_key": REFERENCE, "receive_id": "ding1"},
        query={
            "msg_signature": "474bd69ec45e2d885ef3b4b315c84a5d0a3582b6",
            "timestamp": "1700000000000",
            "nonce": "n1",
        },
        body=b'{"encrypt":"IG+0eOkLdhYW9kHtuT3HYwzr/skz8+XVkfc7cTKxsDsCUtT7MTlXBBF/NvU6CGc6yaRlYAjR5U3I/KGFBfndq+qj'
        b"PnBzy1+MWx5+Zn357Qd6rMs2y7UeALaoVCaQbio4ViE3KeOJvox0ADp9tGdqX/o3pjz7K8LDhu4wRtmr5Z4+0s93QQpLEQnczUPXHqDIg"
        b'szdCp0BvOCifW9tzZBFvQ=="}',
        secret="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",  # noqa: S106 - the alphabet
    )

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(context)
        apps = config.apps or (config,)
        self._window = Window(context.clock, config.within)
        keys = keys_of(apps, lambda app: app.receive_id)
        self._seals = Seals(keys, self._window)
        self._robots = [app.app_secret for app in apps if app.app_secret]

    def called(self, inbound: Inbound, /) -> Called:
        """The one event of a callback, and "success", sealed; none where DingTalk asks whether the address is ours.
        Raises Invalid (a Rejected), and Retryable without a secret."""
        query = inbound.query
        signed = Signed(
            query.get("msg_signature") or query.get("signature", ""),
            query.get("timestamp") or query.get("timeStamp", ""),
            query.get("nonce", ""),
        )
        if not signed.signature and "sign" in inbound.headers:
            return Called((self._message(inbound),))
        seal, message = self._seals.opened(signed, text_of(object_of(checked_size(inbound.body)), "encrypt"))
        fields = object_of(message)
        kind = text_of(fields, "EventType")
        if not kind:
            raise Invalid(Reason.INVALID, "an event of DingTalk has EventType", "EventType")
        if kind in _ASKING:
            return Called(answer=self._sealed(seal, text_of(fields, "Random").encode() or _OK))
        happened = self._happened(inbound, kind, fields, signed.timestamp)
        return Called((happened,), self._sealed(seal, _OK), signed.signature)

    def _happened(self, inbound: Inbound, kind: str, fields: dict[str, Any], signed: str) -> Event:
        written = text_of(fields, "TimeStamp") or signed
        identity = text_of(fields, "eventId", "EventId") or identity_of(_ids, fields)
        subject = text_of(fields, *_SUBJECTS) or self._name
        labels = {label: text_of(fields, *names) for label, names in _LABELS.items()}
        type_, at = f"dingtalk.event.{kind.lower()}", moment(written, "TimeStamp")
        return self._event(inbound, type_, subject, identity, at, fields, labels)

    def _message(self, inbound: Inbound) -> Event:
        """A message to a robot. Its signature is not about the body: it says that the caller knows the secret."""
        self._require_robot(inbound.headers)
        fields = object_of(checked_size(inbound.body))
        kind, identity = text_of(fields, "msgtype"), text_of(fields, "msgId")
        if not kind or not identity:
            raise Invalid(Reason.INVALID, "a message to a robot has msgtype and msgId")
        user = text_of(fields, "senderStaffId", "senderId")
        labels = {
            "user": user,
            "corp": text_of(fields, "senderCorpId"),
            "chat": text_of(fields, "conversationId"),
            "robot": text_of(fields, "robotCode"),
        }
        at = moment(text_of(fields, "createAt") or inbound.headers.get("timestamp", ""), "createAt")
        return self._event(
            inbound, f"dingtalk.message.{kind.lower()}", user or self._name, identity, at, fields, labels
        )

    def _require_robot(self, headers: Mapping[str, str]) -> None:
        """Raises Invalid (UNAUTHORISED), and Retryable when a secret cannot be read."""
        sign, timestamp = headers.get("sign", ""), headers.get("timestamp", "")
        nobody = Invalid(Reason.UNAUTHORISED, "the signature is none of ours", "sign")
        require_signed(self._robots, lambda secret: same(robot_sign(secret, timestamp), sign), nobody)
        self._window.require(timestamp)

    def _sealed(self, seal: Seal, message: bytes) -> Answer:
        encrypt, signature, timestamp, nonce = closed(seal, message, str(int(self._clock.now() * 1_000)), self._random)
        said = {"msg_signature": signature, "timeStamp": timestamp, "nonce": nonce, "encrypt": encrypt}
        return Answer(msgspec.json.encode(said), "application/json")


def robot_sign(secret: str, timestamp: str) -> str:
    """What DingTalk writes into the header `sign` of a message to a robot."""
    key = secret.encode()
    text = b"%b\n%b" % (timestamp.encode(errors="replace"), key)
    return b64encode(hmac.digest(key, text, "sha256")).decode()
