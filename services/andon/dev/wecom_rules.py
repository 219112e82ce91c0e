"""What the WeCom group robot says to a request body, field by field, after the vendor's page 91770."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from andon.dev import http
from andon.dev.robot import Shown, json_of
from andon.dev.shapes import Check, Wrong, by, fields, hidden, items, number, one_of, text, url
from andon.dev.standin import JSON, Refusal

_BYTES = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}
_OPTIONAL = {"text": {"mentioned_list", "mentioned_mobile_list"}}
_USER = re.compile(r"[\w@.\-+]{1,64}")
_IMAGE = 2 << 20
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_ARTICLES = 8

Media = Callable[[str, str], str | None]
"""The name of an uploaded file, by its media_id and its kind; None when the vendor has no such file."""


def typed(needs: Mapping[Any, str]) -> Check:
    """A rule: a `type` needs a key of its own."""

    def rule(value: Any, where: str) -> list[str]:
        key = needs.get(value.get("type"))
        if key and key not in value:
            raise Wrong(f"{where}.{key}", "is missing")
        return []

    return rule


LINK: dict[str, Check] = {"url": url, "appid": hidden, "pagepath": hidden}
LINKED: dict[str, Check] = {"type": one_of(0, 1, 2), **LINK}
OPENS = typed({1: "url", 2: "appid"})
TITLE = fields({}, {"title": text, "desc": text})
ROWS = items(
    fields(
        {"keyname": text},
        {"value": text, "type": one_of(0, 1, 2, 3), "url": url, "media_id": hidden, "userid": hidden},
        typed({1: "url", 2: "media_id", 3: "userid"}),
    ),
    0,
    6,
)
SOURCE = fields({}, {"icon_url": url, "desc": text, "desc_color": one_of(0, 1, 2, 3)})
QUOTE = fields({}, {**LINKED, "title": text, "quote_text": text}, OPENS)
COMMON: dict[str, Check] = {
    "source": SOURCE,
    "quote_area": QUOTE,
    "horizontal_content_list": ROWS,
    "jump_list": items(fields({"title": text}, LINKED, OPENS), 0, 3),
    "card_action": fields({"type": one_of(1, 2)}, LINK, OPENS),
}


def has_words(value: Any, where: str) -> list[str]:
    """A rule: a notice has words, and leads somewhere."""
    if "title" not in value.get("main_title", {}) and "sub_title_text" not in value:
        raise Wrong(f"{where}.main_title.title", "or sub_title_text is missing")
    return has_action(value, where)


def has_action(value: Any, where: str) -> list[str]:
    """A rule: a notice leads somewhere."""
    if "card_action" not in value:
        raise Wrong(f"{where}.card_action", "is missing")
    return []


_CARDS: dict[str, Check] = {
    "text_notice": fields(
        {"card_type": hidden},
        {**COMMON, "main_title": TITLE, "emphasis_content": TITLE, "sub_title_text": text},
        has_words,
    ),
    "news_notice": fields(
        {
            "card_type": hidden,
            "main_title": fields({"title": text}, {"desc": text}),
            "card_image": fields({"url": url}, {"aspect_ratio": number(1.3, 2.25)}),
        },
        {
            **COMMON,
            "image_text_area": fields({"image_url": url}, {**LINKED, "title": text, "desc": text}, OPENS),
            "vertical_content_list": items(fields({"title": text}, {"desc": text}), 0, 4),
        },
        has_action,
    ),
}
_ARTICLE = fields({"title": text, "url": url}, {"description": text, "picurl": url})


def checked(body: bytes, media: Media) -> Shown:
    """What people see of a request body. Raises Refusal with the errcode the vendor uses."""
    value = json_of(body, 40058, "invalid Request Parameter Warning: wrong json format.")
    msgtype = value.get("msgtype")
    if not isinstance(msgtype, str) or not (msgtype in _BYTES or msgtype in _OTHERS):
        raise Refusal(40008, "invalid message type")
    part = value.get(msgtype)
    if not isinstance(part, dict) or set(value) != {"msgtype", msgtype}:
        raise Refusal(40063, f"some parameters are empty or unknown: {msgtype}")
    if msgtype in _BYTES:
        return _words(msgtype, part)
    try:
        return Shown(msgtype, "\n".join(_OTHERS[msgtype](part, msgtype, media)))
    except Wrong as wrong:
        code = 45034 if "scheme" in wrong.what else 40058
        raise Refusal(code, f"invalid Request Parameter: {wrong.where} {wrong.what}") from None


def _words(msgtype: str, part: dict[str, Any]) -> Shown:
    content = part.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Refusal(44004, f"empty content: {msgtype}.content")
    called: list[str] = []
    for name in sorted(set(part) - {"content"}):
        called += _people(msgtype, name, part[name])
    if len(content.encode()) > _BYTES[msgtype]:
        said = f"{msgtype}.content exceed max length {_BYTES[msgtype]}. Invalid input invalid Request Parameter"
        raise Refusal(40058, said)
    return Shown(msgtype, content, tuple(called))


def _people(msgtype: str, name: str, people: Any) -> list[str]:
    if name not in _OPTIONAL.get(msgtype, ()):
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}.{name}")
    if not isinstance(people, list) or not all(isinstance(one, str) and _USER.fullmatch(one) for one in people):
        raise Refusal(40058, f"invalid Request Parameter: {msgtype}.{name}")
    return people


def _news(part: dict[str, Any], where: str, _media: Media) -> list[str]:
    articles = part.get("articles")
    if isinstance(articles, list) and len(articles) > _ARTICLES:
        raise Refusal(45008, "articles exceed max count 8")
    return fields({"articles": items(_ARTICLE, 1, _ARTICLES)})(part, where)


def _card(part: dict[str, Any], where: str, _media: Media) -> list[str]:
    return by("card_type", _CARDS)(part, where)


def _image(part: dict[str, Any], where: str, _media: Media) -> list[str]:
    fields({"base64": hidden, "md5": hidden})(part, where)
    try:
        raw = base64.b64decode(part["base64"], validate=True)
    except binascii.Error:
        raise Wrong(f"{where}.base64", "is not base64") from None
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != part["md5"]:
        raise Wrong(f"{where}.md5", "is not of these bytes")
    if len(raw) > _IMAGE or not raw.startswith(_PICTURES):
        raise Wrong(where, "is no JPG or PNG of 2 MB at most")
    return [digest]


def _uploaded(part: dict[str, Any], where: str, media: Media) -> list[str]:
    fields({"media_id": hidden})(part, where)
    name = media(part["media_id"], where)
    if name is None:
        raise Refusal(40007, "invalid media_id")
    return [name]


_OTHERS = {"news": _news, "template_card": _card, "image": _image, "file": _uploaded, "voice": _uploaded}


_DISPOSITION = re.compile(rb'Content-Disposition: form-data; name="media"; filename="([^"]+)"', re.IGNORECASE)
_MOST = {"file": 20 << 20, "voice": 2 << 20}
_BEGINS = {"voice": (0, (b"#!AMR",)), "image": (0, _PICTURES), "video": (4, (b"ftyp",))}


def upload(body: bytes, kind: str, most: Mapping[str, int] = _MOST) -> str:
    """The name of the file in the body of an upload, of a kind of `most` and of so many bytes. Raises Refusal."""
    if kind not in most:
        raise Refusal(40004, "invalid media type")
    boundary = body.partition(b"\r\n")[0]
    head, blank, rest = body.partition(b"\r\n\r\n")
    raw, end, _ = rest.rpartition(b"\r\n" + boundary + b"--")
    found = _DISPOSITION.search(head)
    if not boundary.startswith(b"--") or not blank or not end or found is None:
        raise Refusal(44001, "empty media data")
    if len(raw) <= 5 or len(raw) > most[kind]:
        raise Refusal(40006, "invalid media size")
    start, beginnings = _BEGINS.get(kind, (0, (b"",)))
    if not raw.startswith(beginnings, start):
        raise Refusal(40005, "invalid file type")
    return found[1].decode()


def refusal(code: int, text: str) -> bytes:
    """The whole response of WeCom to a call that it refuses; its hint and link are part of the text."""
    hint = f"{text}, hint: [1732240000000000001], from ip: 127.0.0.1, more info at "
    link = f"https://open.work.weixin.qq.com/devtool/query?e={code}"
    return http.response(msgspec.json.encode({"errcode": code, "errmsg": hint + link}), JSON)
