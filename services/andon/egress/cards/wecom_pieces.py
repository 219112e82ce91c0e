"""What the cards of WeCom's group robots and of its applications have in common (pages 91770 and 90236).

Counts of characters that the vendor's pages advise are not checked; what it cuts without a word is checked as a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from andon.egress.structure import Choice, Fields, Items, Number, Problem, Shape, Text, Url

MORE_THAN = 6  # bytes: the vendor takes files of more than 5
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
AMR = (b"#!AMR",)

Rule = Callable[[Mapping[str, Any]], Iterator[Problem]]


def needs(**by_type: str) -> Rule:
    """A rule: `type` 1 needs the key `_1`, and so on."""

    def rule(value: Mapping[str, Any]) -> Iterator[Problem]:
        key = by_type.get(f"_{value.get('type')}")
        if key and key not in value:
            yield Problem((), f"`{key}` is missing: `type: {value['type']}` needs it")

    return rule


def says_something(value: Mapping[str, Any]) -> Iterator[Problem]:
    """A rule: a notice has words."""
    title = value.get("main_title")
    if not (isinstance(title, dict) and "title" in title) and "sub_title_text" not in value:
        yield Problem((), "`main_title.title` or `sub_title_text` is missing: one of them must be there")


LINK: dict[str, Shape] = {"url": Url(), "appid": Text(), "pagepath": Text()}
LINKED: dict[str, Shape] = {"type": Choice((0, 1, 2)), **LINK}
OPENS = needs(_1="url", _2="appid")
WORDS = Fields({}, {"title": Text(), "desc": Text()})
TITLE = Fields({"title": Text()}, {"desc": Text()})
ACTION = Fields({"type": Choice((1, 2))}, LINK, OPENS)
SOURCE = Fields({}, {"icon_url": Url(), "desc": Text(), "desc_color": Choice((0, 1, 2, 3))})
QUOTE = Fields({}, {**LINKED, "title": Text(), "quote_text": Text()}, OPENS)
ROWS = Items(
    Fields(
        {"keyname": Text()},
        {"value": Text(), "type": Choice((0, 1, 2, 3)), "url": Url(), "media_id": Text(), "userid": Text()},
        needs(_1="url", _2="media_id", _3="userid"),
    ),
    most=6,
)
JUMPS = Items(Fields({"title": Text()}, LINKED, OPENS), most=3)
PICTURE = Fields({"url": Url()}, {"aspect_ratio": Number(1.3, 2.25, whole=False)})
PICTURE_AND_TEXT = Fields({"image_url": Url()}, {**LINKED, "title": Text(), "desc": Text()}, OPENS)
PARAGRAPHS = Items(TITLE, most=4)
NOTICE: dict[str, Shape] = {
    "source": SOURCE,
    "quote_area": QUOTE,
    "horizontal_content_list": ROWS,
    "jump_list": JUMPS,
}
"""What every card that only tells something may have."""
