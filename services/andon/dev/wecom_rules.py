"""What the WeCom group robot says to a request body, field by field, after the vendor's page 91770."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from andon.dev.standin import Refusal, Shown

_BYTES = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}
_OPTIONAL = {"text": {"mentioned_list", "mentioned_mobile_list"}}
_ELSEWHERE = {"image", "news", "file", "voice", "template_card"}
_USER = re.compile(r"[\w@.\-]{1,64}")
_decode = msgspec.json.Decoder().decode


def checked(body: bytes) -> Shown:
    """What people see of a request body. Raises Refusal with the errcode the vendor uses."""
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        raise Refusal(40058, "invalid Request Parameter Warning: wrong json format.") from None
    if not isinstance(value, dict):
        raise Refusal(40058, "invalid Request Parameter")
    msgtype = value.get("msgtype")
    if not isinstance(msgtype, str) or msgtype not in _BYTES:
        known = isinstance(msgtype, str) and msgtype in _ELSEWHERE
        raise Refusal(40008, "not spoken by this stand-in" if known else "invalid message type")
    part = value.get(msgtype)
    if not isinstance(part, dict) or set(value) != {"msgtype", msgtype}:
        raise Refusal(40063, f"some parameters are empty or unknown: {msgtype}")
    content = part.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Refusal(44004, f"empty content: {msgtype}.content")
    called: list[str] = []
    for name in sorted(set(part) - {"content"}):
        called += _people(msgtype, name, part[name])
    if len(content.encode()) > _BYTES[msgtype]:
        text = f"{msgtype}.content exceed max length {_BYTES[msgtype]}. Invalid input invalid Request Parameter"
        raise Refusal(40058, text)
    return Shown(msgtype, content, tuple(called))


def _people(msgtype: str, name: str, people: Any) -> list[str]:
    if name not in _OPTIONAL.get(msgtype, ()):
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}.{name}")
    if not isinstance(people, list) or not all(isinstance(one, str) and _USER.fullmatch(one) for one in people):
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}.{name}")
    return people
