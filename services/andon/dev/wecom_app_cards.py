"""What WeCom says to cards, news and files of an application, field by field, after its pages 90236 and 94888."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from andon.dev.shapes import (
    Check,
    Wrong,
    by,
    cut,
    distinct,
    fields,
    flag,
    hidden,
    items,
    link,
    number,
    one_of,
    short,
    text,
    url,
)
from andon.dev.standin import Refusal
from andon.dev.wecom_rules import COMMON, LINK, LINKED, OPENS, QUOTE, ROWS, SOURCE, TITLE, Media, has_action, has_words

_ARTICLES = 8
_KEY, _ID = short(1024), short(128)
_TASK = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_INTERACTIVE = frozenset({"button_interaction", "vote_interaction", "multiple_interaction"})


class Part(NamedTuple):
    """What people see of a part the vendor takes, whether it was `cut`, and what makes it a card they can answer."""

    content: str
    cut: bool = False
    task_id: str = ""
    answerable: bool = False


def _task(value: Any, where: str) -> list[str]:
    if not isinstance(value, str) or not _TASK.fullmatch(value):
        raise Wrong(where, "is no task id")
    return []


def _has_task(value: Any, where: str) -> list[str]:
    if is_answerable(value) and "task_id" not in value:
        raise Wrong(f"{where}.task_id", "is missing")
    return []


def _nothing(_value: Any, _where: str) -> list[str]:
    return []


def _pressed(value: Any, where: str) -> list[str]:
    key = "url" if value.get("type") == 1 else "key"
    if key not in value:
        raise Wrong(f"{where}.{key}", "is missing")
    return []


def _pictured(value: Any, where: str) -> list[str]:
    if "card_image" not in value and "image_text_area" not in value:
        raise Wrong(f"{where}.card_image", "or image_text_area is missing")
    return has_action(value, where)


def _leads(value: Any, where: str) -> list[str]:
    if ("appid" in value) != ("pagepath" in value):
        raise Wrong(f"{where}.appid", "and pagepath go together")
    if "appid" not in value and "url" not in value:
        raise Wrong(f"{where}.url", "or appid is missing")
    return []


def _every(*rules: Check) -> Check:
    def check(value: Any, where: str) -> list[str]:
        return [seen for rule in rules for seen in rule(value, where)]

    return check


_NAMED = fields({"title": text}, {"desc": text})
_MENU = fields(
    {"action_list": items(fields({"text": text, "key": _KEY}), 1, 3)}, {"desc": hidden}, distinct("action_list", "key")
)
_BUTTON = fields(
    {"text": text}, {"type": one_of(0, 1), "style": one_of(1, 2, 3, 4), "key": _KEY, "url": link(2048)}, _pressed
)
_SUBMIT = fields({"text": text, "key": _KEY})
_IMAGE = fields({"url": url}, {"aspect_ratio": number(1.3, 2.25)})
_IMAGE_TEXT = fields({"image_url": url}, {**LINKED, "title": text, "desc": text}, OPENS)


def _question(most: int, more: Mapping[str, Check], option: Mapping[str, Check]) -> Check:
    options = items(fields({"id": _ID, "text": text, **option}), 1, most)
    return fields({"question_key": _KEY, "option_list": options}, more, distinct("option_list", "id"))


def _cards(*, again: bool) -> Check:
    """A template card as it is sent, or as it takes the place of another."""
    tasked = _nothing if again else _has_task
    open_: dict[str, Check] = {"task_id": _task, **({"replace_text": text} if again else {})}
    shut: dict[str, Check] = {"disable": flag} if again else {}
    chosen: dict[str, Check] = {"title": text, "selected_id": _ID, **shut}
    asks: dict[str, Check] = {"card_type": hidden, "main_title": _NAMED}
    notice: dict[str, Check] = {**COMMON, "action_menu": _MENU, "task_id": _task}
    return by(
        "card_type",
        {
            "text_notice": fields(
                {"card_type": hidden},
                {**notice, "main_title": TITLE, "emphasis_content": TITLE, "sub_title_text": text},
                _every(has_words, tasked),
            ),
            "news_notice": fields(
                asks,
                {
                    **notice,
                    "card_image": _IMAGE,
                    "image_text_area": _IMAGE_TEXT,
                    "vertical_content_list": items(_NAMED, 0, 4),
                },
                _every(_pictured, tasked),
            ),
            "button_interaction": fields(
                {**asks, "button_list": items(_BUTTON, 1, 6)},
                {
                    **open_,
                    "source": SOURCE,
                    "action_menu": _MENU,
                    "quote_area": QUOTE,
                    "sub_title_text": text,
                    "horizontal_content_list": ROWS,
                    "card_action": fields({}, {"type": one_of(0, 1, 2), **LINK}, OPENS),
                    "button_selection": _question(10, chosen, {}),
                },
                _every(distinct("button_list", "key"), tasked),
            ),
            "vote_interaction": fields(
                {
                    **asks,
                    "checkbox": _question(20, {"mode": one_of(0, 1), **shut}, {"is_checked": flag}),
                    "submit_button": _SUBMIT,
                },
                {**open_, "source": SOURCE},
                tasked,
            ),
            "multiple_interaction": fields(
                {**asks, "select_list": items(_question(10, chosen, {}), 1, 3), "submit_button": _SUBMIT},
                {**open_, "source": SOURCE},
                _every(distinct("select_list", "question_key"), tasked),
            ),
        },
    )


_SENT, _AGAIN = _cards(again=False), _cards(again=True)
_TEXTCARD = fields(
    {"title": cut(128, characters=True), "description": cut(512, characters=True), "url": link(2048)},
    {"btntxt": cut(4, characters=True)},
)
_ARTICLE = fields(
    {"title": cut(128)},
    {"description": cut(512), "url": link(2048), "picurl": link(2048), "appid": hidden, "pagepath": short(128)},
    _leads,
)
_CUT = ("title", "description", "btntxt")
NOTICE = "miniprogram_notice"


def _between(least: int, most: int) -> Check:
    """A text people see, of so many characters. What the vendor does to others is not known: here it refuses them."""

    def check(value: Any, where: str) -> list[str]:
        seen = text(value, where)
        if not least <= len(value) <= most:
            raise Wrong(where, f"has not {least} to {most} characters")
        return seen

    return check


_NOTICE = fields(
    {"appid": hidden, "title": _between(4, 12)},
    {
        "description": _between(4, 12),
        "page": short(1024),
        "emphasis_first_item": flag,
        "content_item": items(fields({"key": _between(1, 10), "value": _between(1, 30)}), 1, 10),
    },
)


def is_answerable(card: Mapping[str, Any]) -> bool:
    """Whether people can answer it: the vendor then wants a task id and gives a response code."""
    return card.get("card_type") in _INTERACTIVE or "action_menu" in card


def part_of(msgtype: str, part: dict[str, Any], media: Media) -> Part:
    """What people see of a part. Raises Refusal with the errcode the vendor uses."""
    return _judged(lambda: _PARTS[msgtype](part, msgtype, media))


def again(card: Any) -> str:
    """What people see of a card that takes the place of another. Raises Refusal."""
    return _judged(lambda: Part("\n".join(_AGAIN(card, "template_card")))).content


def _judged(look: Callable[[], Part]) -> Part:
    try:
        return look()
    except Wrong as wrong:
        code = 45034 if "scheme" in wrong.what else 40058
        raise Refusal(code, f"invalid Request Parameter: {wrong.where} {wrong.what}") from None


def _shown(seen: Iterable[str], *parts: Mapping[str, Any]) -> Part:
    texts = list(seen)
    was_cut = any(part[name] not in texts for part in parts for name in _CUT if name in part)
    return Part("\n".join(texts), was_cut)


def _textcard(part: dict[str, Any], where: str, _media: Media) -> Part:
    return _shown(_TEXTCARD(part, where), part)


def _notice(part: dict[str, Any], where: str, _media: Media) -> Part:
    return Part("\n".join(_NOTICE(part, where)))


def _news(part: dict[str, Any], where: str, _media: Media) -> Part:
    articles = part.get("articles")
    if isinstance(articles, list) and len(articles) > _ARTICLES:
        raise Refusal(45008, "articles exceed max count 8")
    seen = fields({"articles": items(_ARTICLE, 1, _ARTICLES)})(part, where)
    return _shown(seen, *part["articles"])


def _card(part: dict[str, Any], where: str, _media: Media) -> Part:
    seen = _SENT(part, where)
    return Part("\n".join(seen), False, part.get("task_id", ""), is_answerable(part))


def _file(part: dict[str, Any], where: str, media: Media) -> Part:
    words: dict[str, Check] = {"title": cut(128), "description": cut(512)} if where == "video" else {}
    seen = fields({"media_id": hidden}, words)(part, where)
    name = media(part["media_id"], where)
    if name is None:
        raise Refusal(40007, "invalid media_id")
    return _shown((name, *seen), part)


_PARTS = {
    "textcard": _textcard,
    "news": _news,
    "template_card": _card,
    NOTICE: _notice,
    **dict.fromkeys(("image", "voice"), _file),
}
_PARTS |= dict.fromkeys(("video", "file"), _file)
KINDS = frozenset(_PARTS)
"""The kinds of message that are looked at here."""
