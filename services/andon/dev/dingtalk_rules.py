"""What the DingTalk custom robot says to a request, after the vendor's page on custom robots.

https://open.dingtalk.com/document/robots/custom-robot-access
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from andon.dev.robot import Shown, json_of
from andon.dev.shapes import Check, Wrong, by, fields, flag, hidden, items, one_of, text, url
from andon.dev.standin import Refusal

BODY = 20_000
PEOPLE = 50
_HOUR_MS = 3_600_000
_WRONG = 40035
_TOO_LONG = 460101
_MSGTYPE = 400105
_SECURITY = 310000


def _one_button_or_several(value: Any, where: str) -> list[str]:
    if ("singleTitle" in value) != ("singleURL" in value):
        raise Wrong(where, "singleTitle and singleURL go together")
    if ("btns" in value) == ("singleTitle" in value):
        raise Wrong(where, "is of one button or of several")
    return []


_FORMS: dict[str, Check] = {
    "text": fields({"content": text}),
    "markdown": fields({"title": hidden, "text": text}),
    "link": fields({"title": text, "text": text, "messageUrl": url}, {"picUrl": url}),
    "actionCard": fields(
        {"title": hidden, "text": text},
        {
            "singleTitle": text,
            "singleURL": url,
            "btnOrientation": one_of("0", "1"),
            "btns": items(fields({"title": text, "actionURL": url}), 1, 100),
        },
        _one_button_or_several,
    ),
    "feedCard": fields({"links": items(fields({"title": text, "messageURL": url, "picURL": url}), 1, 100)}),
}
_AT = fields({}, {"atMobiles": items(text, 0, PEOPLE), "atUserIds": items(text, 0, PEOPLE), "isAtAll": flag})


def verify(secret: str, timestamp: str, sign: str, now: float) -> None:
    """Raises Refusal unless `sign` is the robot's signature of a time (milliseconds) within an hour of now."""
    if not timestamp.isdecimal() or abs(int(timestamp) - now * 1000) > _HOUR_MS:
        raise Refusal(_SECURITY, "invalid timestamp")
    said = f"{timestamp}\n{secret}".encode()
    right = base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(right, sign):
        raise Refusal(_SECURITY, "sign not match")


def checked(body: bytes, keywords: tuple[str, ...] = ()) -> tuple[Shown, str]:
    """What people see of a body, and its msgUuid, "" without one. Raises Refusal."""
    value = json_of(body, _WRONG, "invalid json")
    if len(body) > BODY:
        raise Refusal(_TOO_LONG, "message too long")
    msgtype = value.get("msgtype")
    if not isinstance(msgtype, str) or msgtype not in _FORMS:
        raise Refusal(_MSGTYPE, "unsupported msgtype")
    try:
        seen = by("msgtype", {msgtype: fields({"msgtype": hidden, msgtype: _FORMS[msgtype]}, _BESIDE)})(value, "")
        called = _called(value.get("at", {}), "\n".join(seen))
    except Wrong as wrong:
        raise Refusal(_WRONG, f"invalid parameter: {wrong.where.lstrip('.')} {wrong.what}") from None
    content = "\n".join(seen)
    if keywords and not any(word in content for word in keywords):
        raise Refusal(_SECURITY, "keywords not in content")
    return Shown(msgtype, content, called), value.get("msgUuid", "")


def _at(value: Any, where: str) -> list[str]:
    _AT(value, where)
    return []


_BESIDE: dict[str, Check] = {"at": _at, "msgUuid": hidden}


def _called(at: dict[str, Any], content: str) -> tuple[str, ...]:
    people = [*at.get("atMobiles", ()), *at.get("atUserIds", ())]
    if len(people) > PEOPLE:
        raise Wrong("at", f"calls more than {PEOPLE}")
    for one in people:
        if f"@{one}" not in content:
            raise Wrong("at", "calls somebody whom the content does not name")
    return (*people, *(("all",) if at.get("isAtAll") else ()))
