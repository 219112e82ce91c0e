"""Callbacks of DingTalk, Feishu and WeChat, and Standard Webhooks: signatures that are missing, bad, old or of other
content."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from andon.core.ports import CallbackSource, Clock, Context, Inbound
from andon.ingress.sources.dingtalk import DingtalkCallback
from andon.ingress.sources.feishu import FeishuCallback
from andon.ingress.sources.standard_webhooks import StandardWebhooks
from andon.ingress.sources.wechat_oa import WechatOa
from tests.component.ingress.corpus.case import NOW, Case, request, text
from tests.unit.ingress.callbacks.bench import KEYS, post
from tests.unit.ingress.callbacks.calls import LARK_KEY, dingtalk_push, lark_push, wechat_push

Made = Callable[..., Inbound]
_WEBHOOK = "whsec_" + base64.b64encode(b"secret of both the sides").decode()
_SECRETS = {"tok": "tok", "aes": KEYS[0], "lark": LARK_KEY, "webhook": _WEBHOOK}
_MESSAGE = "<xml><ToUserName>gh</ToUserName><FromUserName>o1</FromUserName><CreateTime>{at}</CreateTime>{kind}</xml>"


class _Vendor(NamedTuple):
    """Where it calls, how it makes a good call, what its signature and its time are called, how old a call may be."""

    name: str
    good: Made
    signature: str
    beside: tuple[str, ...]
    within: int
    unit: int
    other: Mapping[str, Any]


def sources(folder: Path, clock: Clock) -> dict[str, CallbackSource]:
    """One of each kind."""
    for name, value in _SECRETS.items():
        (folder / name).write_text(value, encoding="utf-8")
    token, aes, lark, webhook = (f"file:{folder / name}" for name in _SECRETS)
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "ding": (DingtalkCallback, {"token": token, "aes_key": aes, "receive_id": "app1"}),
        "lark": (FeishuCallback, {"token": token, "encrypt_key": lark}),
        "wechat": (WechatOa, {"token": token, "aes_key": aes, "receive_id": "wx1"}),
        "webhook": (StandardWebhooks, {"secrets": [webhook]}),
    }
    return {
        name: kind(kind.Config.model_validate(options), Context(name, folder, clock, None))  # type: ignore[arg-type]
        for name, (kind, options) in kinds.items()
    }


def _ding(number: str, at: int = NOW * 1_000, **more: Any) -> Inbound:
    fields = {"EventType": "user_add_org", "CorpId": "c", "eventId": number, "TimeStamp": str(NOW * 1_000)}
    return dingtalk_push(fields, at=str(at), **more)


def _lark(number: str, at: int = NOW, **more: Any) -> Inbound:
    head = {"event_id": number, "event_type": "contact.user.created_v3", "create_time": f"{NOW}000", "token": "tok"}
    return lark_push({"schema": "2.0", "header": head, "event": {"name": "x"}}, at=str(at), **more)


def _wechat(number: str, at: int = NOW, **more: Any) -> Inbound:
    kind = f"<MsgType>text</MsgType><Content>hi</Content><MsgId>{number}</MsgId>"
    return wechat_push(_MESSAGE.format(at=NOW, kind=kind), at=at, **more)


def _webhook(number: str, at: int = NOW, secret: str = _WEBHOOK) -> Inbound:
    body = text({"type": "order.late", "timestamp": "2026-03-01T08:30:00Z", "data": {"encrypt": "A" * 100}})
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = base64.b64encode(hmac.digest(key, f"{number}.{at}.".encode() + body, hashlib.sha256)).decode()
    headers = {"webhook-id": number, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signed}"}
    return post(body, headers=headers | {"content-type": "application/json"})


_LARK = ("x-lark-request-timestamp", "x-lark-request-nonce")
_HOOK = ("webhook-timestamp", "webhook-id")
_VENDORS = (
    _Vendor("ding", _ding, "msg_signature", ("timestamp", "nonce"), 3_600, 1_000, {"token": "x"}),
    _Vendor("lark", _lark, "x-lark-signature", _LARK, 28_800, 1, {"sign": "x"}),
    _Vendor("webhook", _webhook, "webhook-signature", _HOOK, 300, 1, {"secret": "whsec_" + "QUJD" * 8}),
    _Vendor("wechat", _wechat, "msg_signature", ("timestamp", "nonce"), 600, 1, {"token": "x"}),
)


def cases() -> Iterator[Case]:
    for vendor in _VENDORS:
        name = vendor.name
        first, anew = vendor.good(f"{name}-1"), vendor.good(f"{name}-1", (NOW + 1) * vendor.unit)
        yield Case("vendor", f"{name} that is right", _sent(name, first), 200, kept=(f"{name}-1".encode(),))
        yield Case("vendor replayed", f"{name} as it was", _sent(name, first), 200)
        yield Case("vendor replayed", f"{name} signed anew", _sent(name, anew), 200)
        for where, inbound in _wrong(vendor):
            yield Case("vendor signature", f"{name} {where}", _sent(name, inbound), 401, "unauthorised")


def _wrong(vendor: _Vendor) -> Iterator[tuple[str, Inbound]]:
    good = vendor.good(f"{vendor.name}-2")
    right = _value(good, vendor.signature)
    for one in (vendor.signature, *vendor.beside):
        yield f"without {one}", _changed(good, one, None)
        yield f"with an empty {one}", _changed(good, one, "")
    for at in range(len(right)):
        flipped = right[:at] + ("0" if right[at] != "0" else "1") + right[at + 1 :]
        yield f"signature changed at {at}", _changed(good, vendor.signature, flipped)
    for wrong in (right[:-1], right + "0", right.upper(), "x", "0" * len(right), "' OR 1=1 --", "{{ 7*7 }}"):
        yield f"signature {wrong!r}", _changed(good, vendor.signature, wrong)
    for one in vendor.beside:
        yield f"another {one}", _changed(good, one, _value(good, one) + "1")
    for away in (vendor.within + 1, vendor.within * 2, 86_400 * 365):
        for at in (NOW - away, NOW + away):
            yield f"of {at - NOW:+} s", vendor.good(f"{vendor.name}-3", at * vendor.unit)
    yield "with another secret", vendor.good(f"{vendor.name}-4", **vendor.other)
    key = good.body.index(b"ncrypt") + 20
    for at in range(key, key + 64, 4):
        other = b"B" if good.body[at : at + 1] == b"A" else b"A"
        yield f"body changed at {at}", msgspec.structs.replace(good, body=good.body[:at] + other + good.body[at + 1 :])


def _value(inbound: Inbound, name: str) -> str:
    return inbound.query[name] if name in inbound.query else inbound.headers[name]


def _changed(inbound: Inbound, name: str, value: str | None) -> Inbound:
    def other(those: Mapping[str, str]) -> dict[str, str]:
        changed = {key: value if key == name else old for key, old in those.items()}
        return {key: new for key, new in changed.items() if new is not None}

    return msgspec.structs.replace(inbound, query=other(inbound.query), headers=other(inbound.headers))


def _sent(name: str, inbound: Inbound) -> bytes:
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in inbound.query.items())
    return request(f"/callbacks/{name}?{query}", inbound.body, **dict(inbound.headers))
