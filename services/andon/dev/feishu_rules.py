"""What the Feishu custom bot says to a request body, after the vendor's guide to custom bots.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any

from andon.dev.robot import Shown, json_of
from andon.dev.shapes import Check, Wrong, by, fields, flag, hidden, items, number, one_of, text, url
from andon.dev.standin import Refusal

BODY = 20 << 10
_HOUR_S = 3_600
_BAD = 9499
_SIGN = 19021
_KEYWORDS = 19024
_AT = re.compile(r"<at (?:user_id|id)=\"?([\w@.\-]+)\"?>")
_COLOURS = (
    "blue wathet turquoise green yellow orange red carmine violet purple indigo grey default".split()  # noqa: SIM905
)

_PLAIN = fields({"tag": one_of("plain_text"), "content": text}, {"lines": number(1, 100)})
_WORDS = by("tag", {"plain_text": _PLAIN, "lark_md": fields({"tag": hidden, "content": text})})
_BUTTON = fields(
    {"tag": hidden, "text": _WORDS, "url": url},
    {"type": one_of("default", "primary", "danger"), "multi_url": fields({"url": url}), "width": hidden},
)
_IMAGE = fields({"tag": hidden, "img_key": hidden, "alt": _PLAIN}, {"title": _PLAIN, "mode": hidden})
_FIELDS = items(fields({"is_short": flag, "text": _WORDS}), 1, 50)
_SIMPLE: dict[str, Check] = {
    "markdown": fields({"tag": hidden, "content": text}, {"text_align": one_of("left", "center", "right")}),
    "div": fields({"tag": hidden}, {"text": _WORDS, "fields": _FIELDS}),
    "hr": fields({"tag": hidden}),
    "img": _IMAGE,
}
_NOTE = fields({"tag": hidden, "elements": items(by("tag", {"plain_text": _PLAIN, "lark_md": _WORDS}), 1, 50)})
_ACTION = fields({"tag": hidden, "actions": items(by("tag", {"button": _BUTTON}), 1, 50)})


def _column_set(inner: dict[str, Check]) -> Check:
    column = fields(
        {"tag": one_of("column"), "elements": items(by("tag", inner), 1, 50)},
        {"width": hidden, "weight": number(1, 5), "vertical_align": one_of("top", "center", "bottom")},
    )
    return fields(
        {"tag": hidden, "columns": items(column, 1, 50)},
        {"flex_mode": hidden, "background_style": hidden, "horizontal_spacing": hidden},
    )


_OLD = {**_SIMPLE, "note": _NOTE, "action": _ACTION, "column_set": _column_set({**_SIMPLE, "action": _ACTION})}
_NEW_SIMPLE = {**_SIMPLE, "button": _BUTTON}
_NEW = {**_NEW_SIMPLE, "column_set": _column_set(_NEW_SIMPLE)}
_HEADER = fields({"title": _WORDS}, {"subtitle": _WORDS, "template": one_of(*_COLOURS)})
_CONFIG = fields({}, {"wide_screen_mode": flag, "enable_forward": flag, "update_multi": flag, "width_mode": hidden})
_LINK = fields({"url": url}, {"pc_url": url, "android_url": url, "ios_url": url})
_BODY = fields({"elements": items(by("tag", _NEW), 1, 200)})
_CARD_2 = fields({"schema": one_of("2.0"), "body": _BODY}, {"config": _CONFIG, "header": _HEADER, "card_link": _LINK})
_CARD_1 = fields(
    {"elements": items(by("tag", _OLD), 1, 200)}, {"config": _CONFIG, "header": _HEADER, "card_link": _LINK}
)

_INLINE = {
    "text": fields({"tag": hidden, "text": text}, {"un_escape": flag}),
    "a": fields({"tag": hidden, "text": text, "href": url}),
    "at": fields({"tag": hidden, "user_id": hidden}, {"user_name": text}),
    "img": fields({"tag": hidden, "image_key": hidden}),
}
_LINES = items(items(by("tag", _INLINE), 1, 200), 1, 200)
_POST = fields(
    {"post": fields({}, {name: fields({"content": _LINES}, {"title": text}) for name in ("zh_cn", "en_us")})}
)


def _card(value: Any, where: str) -> list[str]:
    form = _CARD_2 if isinstance(value, dict) and "schema" in value else _CARD_1
    return form(value, where)


_SIGNED: dict[str, Check] = {"timestamp": hidden, "sign": hidden, "msg_type": hidden}
_FORMS: dict[str, Check] = {
    "text": fields({"msg_type": hidden, "content": fields({"text": text})}, _SIGNED),
    "post": fields({"msg_type": hidden, "content": _POST}, _SIGNED),
    "interactive": fields({"msg_type": hidden, "card": _card}, _SIGNED),
}


def verify(secret: str, timestamp: Any, sign: Any, now: float) -> None:
    """Raises Refusal unless `sign` is the robot's signature of a time (seconds) within an hour of now."""
    text_ = "sign match fail or timestamp is not within one hour from current time"
    if not isinstance(timestamp, str) or not timestamp.isdecimal() or abs(int(timestamp) - now) > _HOUR_S:
        raise Refusal(_SIGN, text_)
    right = base64.b64encode(hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()
    if not isinstance(sign, str) or not hmac.compare_digest(right, sign):
        raise Refusal(_SIGN, text_)


def checked(body: bytes, secret: str, keywords: tuple[str, ...], now: float) -> Shown:
    """What people see of a body. Raises Refusal."""
    value = json_of(body, _BAD, "Bad Request")
    if len(body) > BODY:
        raise Refusal(_BAD, "Bad Request: request body is too large")
    if secret:
        verify(secret, value.get("timestamp"), value.get("sign"), now)
    try:
        seen = by("msg_type", _FORMS)(value, "")
    except Wrong as wrong:
        raise Refusal(_BAD, f"Bad Request: {wrong.where.lstrip('.')} {wrong.what}") from None
    content = "\n".join(seen)
    if keywords and not any(word in content for word in keywords):
        raise Refusal(_KEYWORDS, "Key Words Not Found")
    return Shown(value["msg_type"], content, tuple(_called(value, content)))


def _called(value: Any, content: str) -> list[str]:
    """Whom the text or a part of a post calls by name."""
    called = _AT.findall(content)
    if value["msg_type"] == "post":
        posts = value["content"]["post"].values()
        parts = [part for post in posts for line in post["content"] for part in line]
        called += [part["user_id"] for part in parts if part["tag"] == "at"]
    return called
