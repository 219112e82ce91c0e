"""How each vendor calls: what it seals, and how it signs that."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from andon.core.ports import Inbound
from tests.unit.ingress.callbacks.bench import KEYS, NOW, aes, post, seal, sha1

KEY = KEYS[0]
MS = str(NOW * 1_000)
LARK_KEY = "enc-key"


def dingtalk_push(
    fields: dict[str, Any] | str,
    *,
    token: str = "tok",
    key: str = KEY,
    whom: str = "app1",
    at: str = MS,
    name: str = "msg_signature",
) -> Inbound:
    sealed = seal(key, whom, fields if isinstance(fields, str) else json.dumps(fields))
    query = {name: sha1(token, at, "n", sealed), "timestamp": at, "nonce": "n"}
    return post(json.dumps({"encrypt": sealed}), query)


def dingtalk_message(fields: dict[str, Any], *, secret: str = "s3cret", at: str = MS) -> Inbound:
    sign = base64.b64encode(hmac.digest(secret.encode(), f"{at}\n{secret}".encode(), hashlib.sha256)).decode()
    return post(json.dumps(fields), headers={"timestamp": at, "sign": sign})


def lark_sealed(fields: dict[str, Any] | str, key: str = LARK_KEY) -> bytes:
    text = fields if isinstance(fields, str) else json.dumps(fields)
    iv = bytes(range(16))
    inside = iv + aes(hashlib.sha256(key.encode()).digest(), iv, text.encode(), 16)
    return json.dumps({"encrypt": base64.b64encode(inside).decode()}).encode()


def lark_push(fields: dict[str, Any] | str, *, key: str = LARK_KEY, sign: str = "", at: str = str(NOW)) -> Inbound:
    return lark_signed(lark_sealed(fields, key), sign or key, at)


def lark_signed(body: bytes, key: str, at: str = str(NOW)) -> Inbound:
    digest = hashlib.sha256(f"{at}n{key}".encode() + body).hexdigest()
    headers = {"x-lark-request-timestamp": at, "x-lark-request-nonce": "n", "x-lark-signature": digest}
    return post(body, headers=headers)


def wechat_signed(token: str = "open", at: int | str = NOW, **more: str) -> dict[str, str]:
    return {"signature": sha1(token, str(at), "n"), "timestamp": str(at), "nonce": "n"} | more


def wechat_push(
    text: str,
    *,
    token: str = "tok",
    key: str = KEY,
    whom: str = "wx1",
    at: int | str = NOW,
    form: str = "xml",
    beside: str = "",
) -> Inbound:
    sealed = seal(key, whom, text)
    query = wechat_signed(token, at, encrypt_type="aes", msg_signature=sha1(token, str(at), "n", sealed))
    if form == "json":
        return post(json.dumps({"ToUserName": "gh_mini", "Encrypt": sealed}), query)
    return post(f"<xml>{beside}<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>", query)
