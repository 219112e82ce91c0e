"""What WeCom says to the body of an application message, field by field, after the vendor's page 90236."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from andon.dev.standin import Refusal

_KINDS = ("text", "markdown")
_ELSEWHERE = frozenset(
    {"image", "voice", "video", "file", "textcard", "news", "mpnews", "miniprogram_notice", "template_card"}
)
# What the vendor keeps of a longer text, without a word.
KEPT = 2048
_MOST_USERS, _MOST_GROUPS = 1_000, 100
_FIELDS = frozenset(
    {"touser", "toparty", "totag", "msgtype", "agentid", "safe", "enable_id_trans", "enable_duplicate_check"}
    | {"duplicate_check_interval"}
)
_FLAGS = ("safe", "enable_id_trans", "enable_duplicate_check")
_NUMBER = re.compile(r"[0-9]+")
_decode = msgspec.json.Decoder().decode


class Message(NamedTuple):
    """A message the vendor takes: as it was addressed, and what people will see of it."""

    users: tuple[str, ...]
    parties: tuple[str, ...]
    tags: tuple[str, ...]
    msgtype: str
    content: str
    cut: bool
    duplicate_check: bool
    interval: int


def checked(body: bytes, agent: int) -> Message:
    """The message of a request body for the app of the token. Raises Refusal with the errcode the vendor uses."""
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        raise Refusal(40058, "invalid Request Parameter Warning: wrong json format.") from None
    if not isinstance(value, dict):
        raise Refusal(40058, "invalid Request Parameter")
    users = _names(value, "touser", _MOST_USERS)
    parties, tags = _names(value, "toparty", _MOST_GROUPS), _names(value, "totag", _MOST_GROUPS)
    if not (users or parties or tags):
        raise Refusal(40063, "some parameters are empty: touser, toparty and totag")
    for name in (*parties, *tags):
        if not _NUMBER.fullmatch(name):
            raise Refusal(40058, "invalid Request Parameter: toparty or totag")
    agentid = value.get("agentid")
    if type(agentid) is not int:
        raise Refusal(40058, "invalid Request Parameter: agentid should be an integer")
    if agentid != agent:
        raise Refusal(301002, "not allow operate another agent with this accesstoken")
    msgtype, content = _content(value)
    for flag in _FLAGS:
        if value.get(flag, 0) not in (0, 1) or isinstance(value.get(flag), bool):
            raise Refusal(40058, f"invalid Request Parameter: {flag}")
    interval = value.get("duplicate_check_interval", 1_800)
    if type(interval) is not int or not 0 < interval <= 14_400:
        raise Refusal(40058, "invalid Request Parameter: duplicate_check_interval")
    whole = content.encode()
    kept = whole[:KEPT].decode(errors="ignore")
    duplicates = value.get("enable_duplicate_check") == 1
    return Message(users, parties, tags, msgtype, kept, len(whole) > KEPT, duplicates, interval)


def _names(value: dict[str, Any], field: str, most: int) -> tuple[str, ...]:
    text = value.get(field, "")
    if not isinstance(text, str):
        raise Refusal(40058, f"invalid Request Parameter: {field} should be a string")
    names = tuple(text.split("|")) if text else ()
    if len(names) > most or not all(names):
        raise Refusal(40058, f"invalid Request Parameter: {field}")
    return names


def _content(value: dict[str, Any]) -> tuple[str, str]:
    msgtype = value.get("msgtype")
    if msgtype not in _KINDS:
        raise Refusal(40008, "not spoken by this stand-in" if msgtype in _ELSEWHERE else "invalid message type")
    part = value.get(msgtype)
    if not isinstance(part, dict) or set(value) - _FIELDS != {msgtype}:
        raise Refusal(40063, f"some parameters are empty or unknown: {msgtype}")
    content = part.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Refusal(44004, f"empty content: {msgtype}.content")
    if set(part) != {"content"}:
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}")
    return msgtype, content
