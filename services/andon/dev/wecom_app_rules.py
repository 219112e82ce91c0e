"""What WeCom says to the bodies of an application's calls, field by field, after the vendor's pages 90236, 90248 and
94888."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from andon.dev.standin import Refusal
from andon.dev.wecom_app_cards import KINDS, NOTICE, Part, again, part_of
from andon.dev.wecom_rules import Media

_TEXTS = ("text", "markdown")
_ELSEWHERE = frozenset({"mpnews"})
_CONFIDENTIAL = frozenset({*_TEXTS, "image", "video", "file"})
_IN_CHATS = frozenset({*_TEXTS, "image", "voice", "video", "file", "textcard", "news"})
# What the vendor keeps of a longer text, without a word.
KEPT = 2048
_MOST_USERS, _MOST_GROUPS = 1_000, 100
_FLAGS = ("safe", "enable_id_trans", "enable_duplicate_check")
_FIELDS = frozenset({"touser", "toparty", "totag", "msgtype", "agentid", "duplicate_check_interval", *_FLAGS})
_UPDATED = frozenset({"userids", "partyids", "tagids", "atall", "agentid", "response_code"})
_NUMBER = re.compile(r"[0-9]+")
_decode = msgspec.json.Decoder().decode


class To(NamedTuple):
    """Whom a body names."""

    users: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Message(NamedTuple):
    """A message the vendor takes: as it was addressed, and what people will see of it."""

    to: To
    chat: str
    msgtype: str
    part: Part
    duplicate_check: bool = False
    interval: int = 0


class Update(NamedTuple):
    """A change of a card: for whom, None for everybody, and what is seen of it now."""

    to: To | None
    code: object
    msgtype: str
    content: str


def body_of(body: bytes) -> dict[str, Any]:
    """The map in a request body. Raises Refusal."""
    try:
        value = _decode(body)
    except msgspec.DecodeError:
        raise Refusal(40058, "invalid Request Parameter Warning: wrong json format.") from None
    if not isinstance(value, dict):
        raise Refusal(40058, "invalid Request Parameter")
    return value


def checked(body: bytes, agent: int, media: Media) -> Message:
    """The message of a request body for the app of the token. Raises Refusal with the errcode the vendor uses."""
    value = body_of(body)
    groups = (_names(value, name, _MOST_GROUPS) for name in ("toparty", "totag"))
    to = To(_names(value, "touser", _MOST_USERS), *groups)
    if not any(to):
        raise Refusal(40063, "some parameters are empty: touser, toparty and totag")
    for name in (*to.parties, *to.tags):
        if not _NUMBER.fullmatch(name):
            raise Refusal(40058, "invalid Request Parameter: toparty or totag")
    _require_agent(value, agent)
    msgtype, part = _part(value, _FIELDS, media)
    if msgtype == NOTICE and "@all" in to.users:
        raise Refusal(40058, f"invalid Request Parameter: touser of {msgtype}")
    _require_flags(value, msgtype)
    interval = value.get("duplicate_check_interval", 1_800)
    if type(interval) is not int or not 0 < interval <= 14_400:
        raise Refusal(40058, "invalid Request Parameter: duplicate_check_interval")
    return Message(to, "", msgtype, part, value.get("enable_duplicate_check") == 1, interval)


def checked_in_chat(body: bytes, media: Media) -> Message:
    """The message of a request body to a group chat. Raises Refusal."""
    value = body_of(body)
    chat = value.get("chatid")
    if not isinstance(chat, str) or not chat:
        raise Refusal(86001, "invalid chatid")
    if value.get("msgtype") not in _IN_CHATS:
        raise Refusal(40008, "invalid message type")
    msgtype, part = _part(value, frozenset({"chatid", "msgtype", "safe"}), media)
    _require_flags(value, msgtype)
    return Message(To(), chat, msgtype, part)


def checked_update(body: bytes, agent: int) -> Update:
    """The change of a card in a request body. Raises Refusal."""
    value = body_of(body)
    what = set(value) - _UPDATED
    if what not in ({"button"}, {"template_card"}):
        raise Refusal(40063, "some parameters are empty or unknown: button or template_card")
    _require_agent(value, agent)
    everybody = value.get("atall", 0)
    if type(everybody) is not int or everybody not in (0, 1):
        raise Refusal(40058, "invalid Request Parameter: atall")
    users = _list(value, "userids", str, _MOST_USERS)
    groups = [tuple(map(str, _list(value, name, int, _MOST_GROUPS))) for name in ("partyids", "tagids")]
    to = To(users, *groups)
    if not (everybody or any(to)):
        raise Refusal(40063, "some parameters are empty: userids, partyids and tagids")
    content = again(value["template_card"]) if "template_card" in what else _button(value["button"])
    return Update(None if everybody else to, value.get("response_code"), next(iter(what)), content)


def _button(button: Any) -> str:
    name = button.get("replace_name") if isinstance(button, dict) and len(button) == 1 else None
    if not isinstance(name, str) or not name.strip():
        raise Refusal(40058, "invalid Request Parameter: button.replace_name")
    return name


def _require_agent(value: dict[str, Any], agent: int) -> None:
    agentid = value.get("agentid")
    if type(agentid) is not int:
        raise Refusal(40058, "invalid Request Parameter: agentid should be an integer")
    if agentid != agent:
        raise Refusal(301002, "not allow operate another agent with this accesstoken")


def _require_flags(value: dict[str, Any], msgtype: str) -> None:
    for flag in _FLAGS:
        if value.get(flag, 0) not in (0, 1) or isinstance(value.get(flag), bool):
            raise Refusal(40058, f"invalid Request Parameter: {flag}")
    if "safe" in value and msgtype not in _CONFIDENTIAL:
        raise Refusal(40058, f"invalid Request Parameter: safe of {msgtype}")


def _list(value: dict[str, Any], field: str, kind: type, most: int) -> tuple[Any, ...]:
    names = value.get(field, [])
    if not isinstance(names, list) or len(names) > most or not all(type(one) is kind for one in names):
        raise Refusal(40058, f"invalid Request Parameter: {field}")
    return tuple(names)


def _names(value: dict[str, Any], field: str, most: int) -> tuple[str, ...]:
    text = value.get(field, "")
    if not isinstance(text, str):
        raise Refusal(40058, f"invalid Request Parameter: {field} should be a string")
    names = tuple(text.split("|")) if text else ()
    if len(names) > most or not all(names):
        raise Refusal(40058, f"invalid Request Parameter: {field}")
    return names


def _part(value: dict[str, Any], others: frozenset[str], media: Media) -> tuple[str, Part]:
    msgtype = value.get("msgtype")
    if not isinstance(msgtype, str) or not (msgtype in _TEXTS or msgtype in KINDS):
        raise Refusal(40008, "not spoken by this stand-in" if msgtype in _ELSEWHERE else "invalid message type")
    part = value.get(msgtype)
    if not isinstance(part, dict) or set(value) - others != {msgtype}:
        raise Refusal(40063, f"some parameters are empty or unknown: {msgtype}")
    return msgtype, _words(msgtype, part) if msgtype in _TEXTS else part_of(msgtype, part, media)


def _words(msgtype: str, part: dict[str, Any]) -> Part:
    content = part.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Refusal(44004, f"empty content: {msgtype}.content")
    if set(part) != {"content"}:
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}")
    whole = content.encode()
    return Part(whole[:KEPT].decode(errors="ignore"), len(whole) > KEPT)
