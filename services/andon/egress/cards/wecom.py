"""News and template cards of WeCom, as a group robot takes them (developer.work.weixin.qq.com, page 91770).

Counts of characters in the vendor's page are advice and not checked; what it cuts without a word is checked as a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from andon.egress.structure import Choice, Fields, File, Forms, Items, Number, Problem, Shape, Structure, Text, Url

IMAGE_BYTES, FILE_BYTES, VOICE_BYTES = 2 << 20, 20 << 20, 2 << 20
_MORE_THAN = 6  # bytes: the vendor takes files of more than 5


def _needs(**by_type: str) -> Callable[[Mapping[str, Any]], Iterator[Problem]]:
    """A rule: `type` 1 needs the key `_1`, and so on."""

    def rule(value: Mapping[str, Any]) -> Iterator[Problem]:
        key = by_type.get(f"_{value.get('type')}")
        if key and key not in value:
            yield Problem((), f"`{key}` is missing: `type: {value['type']}` needs it")

    return rule


_LINK: dict[str, Shape] = {"url": Url(), "appid": Text(), "pagepath": Text()}
_LINKED: dict[str, Shape] = {"type": Choice((0, 1, 2)), **_LINK}
_OPENS = _needs(_1="url", _2="appid")
_TITLE = Fields({}, {"title": Text(), "desc": Text()})
_COMMON: dict[str, Shape] = {
    "source": Fields({}, {"icon_url": Url(), "desc": Text(), "desc_color": Choice((0, 1, 2, 3))}),
    "quote_area": Fields({}, {**_LINKED, "title": Text(), "quote_text": Text()}, _OPENS),
    "horizontal_content_list": Items(
        Fields(
            {"keyname": Text()},
            {"value": Text(), "type": Choice((0, 1, 2, 3)), "url": Url(), "media_id": Text(), "userid": Text()},
            _needs(_1="url", _2="media_id", _3="userid"),
        ),
        most=6,
    ),
    "jump_list": Items(Fields({"title": Text()}, _LINKED, _OPENS), most=3),
}
_ACTION = Fields({"type": Choice((1, 2))}, _LINK, _OPENS)


def _says_something(value: Mapping[str, Any]) -> Iterator[Problem]:
    title = value.get("main_title")
    if not (isinstance(title, dict) and "title" in title) and "sub_title_text" not in value:
        yield Problem((), "`main_title.title` or `sub_title_text` is missing: one of them must be there")


_TEXT_NOTICE = Fields(
    {"card_type": Text(), "card_action": _ACTION},
    {**_COMMON, "main_title": _TITLE, "emphasis_content": _TITLE, "sub_title_text": Text()},
    _says_something,
)
_NEWS_NOTICE = Fields(
    {
        "card_type": Text(),
        "main_title": Fields({"title": Text()}, {"desc": Text()}),
        "card_image": Fields({"url": Url()}, {"aspect_ratio": Number(1.3, 2.25, whole=False)}),
        "card_action": _ACTION,
    },
    {
        **_COMMON,
        "image_text_area": Fields({"image_url": Url()}, {**_LINKED, "title": Text(), "desc": Text()}, _OPENS),
        "vertical_content_list": Items(Fields({"title": Text()}, {"desc": Text()}), most=4),
    },
)
_ARTICLE = Fields({"title": Text(128), "url": Url()}, {"description": Text(512), "picurl": Url()})
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")

ROBOT: Mapping[str, Structure] = {
    "news": Structure(Fields({"articles": Items(_ARTICLE, most=8)}), 0, (("articles", 0, "title"),)),
    "template_card": Structure(
        Forms("card_type", {"text_notice": _TEXT_NOTICE, "news_notice": _NEWS_NOTICE}),
        0,
        (("main_title", "title"), ("sub_title_text",)),
    ),
    "image": Structure(Fields({"file": File(IMAGE_BYTES, begins=_PICTURES, what="JPG or PNG image")}), 0),
    "file": Structure(Fields({"file": File(FILE_BYTES, least=_MORE_THAN)}), 0),
    "voice": Structure(
        Fields({"file": File(VOICE_BYTES, least=_MORE_THAN, begins=(b"#!AMR",), what="voice in AMR")}), 0
    ),
}
"""The structured kinds of a group robot. Buttons that call back need an app."""
