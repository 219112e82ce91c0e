"""Cards, news and files of a WeCom application (developer.work.weixin.qq.com, pages 90236 and 94888).

`task_id` is no field of a template: a card that people can answer gets one of its own from the call that sends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from andon.egress.cards.wecom_pieces import (
    ACTION,
    AMR,
    LINK,
    MORE_THAN,
    NOTICE,
    OPENS,
    PARAGRAPHS,
    PICTURE,
    PICTURE_AND_TEXT,
    PICTURES,
    QUOTE,
    ROWS,
    SOURCE,
    TITLE,
    WORDS,
    Rule,
    says_something,
)
from andon.egress.structure import Choice, Fields, File, Forms, Items, Problem, Shape, Structure, Text, Url, is_open

FILES: Mapping[str, int] = {"image": 10 << 20, "file": 20 << 20, "voice": 2 << 20, "video": 10 << 20}
"""The kinds that are uploaded first, with the bytes the vendor takes of each."""
ANSWERABLE = frozenset({"button_interaction", "vote_interaction", "multiple_interaction"})
_KEY, _ID, _URL = Text(1024), Text(128), Url(2048)
_NO_MORE: Mapping[str, Shape] = {}


def is_answerable(card: Mapping[str, Any]) -> bool:
    """Whether people can answer this card, so that it needs a task id, and the vendor gives a response code for it."""
    return card.get("card_type") in ANSWERABLE or "action_menu" in card


def _does_something(button: Mapping[str, Any]) -> Iterator[Problem]:
    """A rule: a button calls back, unless it opens a page."""
    key = {"0": "key", "1": "url"}.get(f"{button.get('type', 0)}")
    if key and key not in button:
        yield Problem((), f"`{key}` is missing: a button of `type: {button.get('type', 0)}` needs it")


def _unique(name: str, key: str) -> Rule:
    """A rule: no two entries of the list `name` have the same `key`."""

    def rule(value: Mapping[str, Any]) -> Iterator[Problem]:
        entries = value.get(name)
        seen: list[Any] = []
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            told = entry.get(key) if isinstance(entry, dict) else None
            if told is not None and told in seen:
                yield Problem((name, number, key), "stands twice; each needs its own")
            seen.append(told)

    return rule


def _has_picture(value: Mapping[str, Any]) -> Iterator[Problem]:
    if "card_image" not in value and "image_text_area" not in value:
        yield Problem((), "`card_image` or `image_text_area` is missing: one of them must be there")


def _leads_somewhere(value: Mapping[str, Any]) -> Iterator[Problem]:
    """A rule: an article has an address, or both words of a mini program."""
    program = [key for key in ("appid", "pagepath") if key in value]
    if len(program) == 1:
        yield Problem((), f"`{program[0]}` stands alone: `appid` and `pagepath` go together")
    elif not program and "url" not in value:
        yield Problem((), "`url`, or `appid` and `pagepath`, is missing")


_MENU = Fields(
    {"action_list": Items(Fields({"text": Text(), "key": _KEY}), most=3)},
    {"desc": Text()},
    _unique("action_list", "key"),
)
_BUTTONS = Items(
    Fields(
        {"text": Text()},
        {"type": Choice((0, 1)), "style": Choice((1, 2, 3, 4)), "key": _KEY, "url": _URL},
        _does_something,
    ),
    most=6,
)
_SUBMIT = Fields({"text": Text(), "key": _KEY})


def _question(most: int, more: Mapping[str, Shape], of_option: Mapping[str, Shape] = _NO_MORE) -> Fields:
    options = Items(Fields({"id": _ID, "text": Text(), **of_option}), most)
    return Fields({"question_key": _KEY, "option_list": options}, more, _unique("option_list", "id"))


def _cards(*, again: bool) -> Forms:
    """The five types, as they are sent or, `again`, as one takes the place of another."""
    more: Mapping[str, Shape] = {"task_id": _ID} if again else {}
    closed: Mapping[str, Shape] = {"replace_text": Text()} if again else {}
    shut: Mapping[str, Shape] = {"disable": Choice((True, False))} if again else {}
    chosen: Mapping[str, Shape] = {"title": Text(), "selected_id": _ID, **shut}
    kind: Mapping[str, Shape] = {"card_type": Text()}
    asks: Mapping[str, Shape] = {**kind, "main_title": TITLE}
    return Forms(
        "card_type",
        {
            "text_notice": Fields(
                {**kind, "card_action": ACTION},
                {
                    **NOTICE,
                    **more,
                    "action_menu": _MENU,
                    "main_title": WORDS,
                    "emphasis_content": WORDS,
                    "sub_title_text": Text(),
                },
                says_something,
            ),
            "news_notice": Fields(
                {**asks, "card_action": ACTION},
                {
                    **NOTICE,
                    **more,
                    "action_menu": _MENU,
                    "card_image": PICTURE,
                    "image_text_area": PICTURE_AND_TEXT,
                    "vertical_content_list": PARAGRAPHS,
                },
                _has_picture,
            ),
            "button_interaction": Fields(
                {**asks, "button_list": _BUTTONS},
                {
                    **more,
                    **closed,
                    "source": SOURCE,
                    "action_menu": _MENU,
                    "quote_area": QUOTE,
                    "sub_title_text": Text(),
                    "horizontal_content_list": ROWS,
                    "card_action": Fields({}, {"type": Choice((0, 1, 2)), **LINK}, OPENS),
                    "button_selection": _question(10, chosen),
                },
                _unique("button_list", "key"),
            ),
            "vote_interaction": Fields(
                {
                    **asks,
                    "checkbox": _question(20, {"mode": Choice((0, 1)), **shut}, {"is_checked": Choice((True, False))}),
                    "submit_button": _SUBMIT,
                },
                {**more, **closed, "source": SOURCE},
            ),
            "multiple_interaction": Fields(
                {**asks, "select_list": Items(_question(10, chosen), most=3), "submit_button": _SUBMIT},
                {**more, **closed, "source": SOURCE},
                _unique("select_list", "question_key"),
            ),
        },
    )


_ARTICLE = Fields(
    {"title": Text(128)},
    {"description": Text(512), "url": _URL, "picurl": _URL, "appid": Text(), "pagepath": Text(128)},
    _leads_somewhere,
)
_TEXTCARD = Fields(
    # The vendor reads HTML in a description, from which the escapes of markdown keep values as well.
    {"title": Text(characters=128), "description": Text(markdown=True, characters=512), "url": _URL},
    {"btntxt": Text(characters=4)},
)
_MARKS = (("main_title", "title"), ("sub_title_text",))


def _one_of_both(value: Mapping[str, Any]) -> Iterator[Problem]:
    """A rule: either the buttons get a text, or the card is replaced."""
    if ("button" in value) == ("card" in value):
        yield Problem((), "`button` or `card` is missing, or both are there: an update has one of them")


def _long_enough(value: Mapping[str, Any]) -> Iterator[Problem]:
    """A rule: the vendor takes no shorter words in a notice of a mini-program."""
    for key in ("title", "description"):
        words = value.get(key)
        if isinstance(words, str) and not is_open(words) and 0 < len(words.strip()) < 4:
            yield Problem((key,), f"has {len(words.strip())} characters, the vendor takes at least 4")


MINIPROGRAM = "miniprogram_notice"
_MINIPROGRAM = Fields(
    {"appid": Text(), "title": Text(characters=12)},
    {
        "description": Text(characters=12),
        "page": Text(1024),
        "emphasis_first_item": Choice((True, False)),
        "content_item": Items(Fields({"key": Text(characters=10), "value": Text(characters=30)}), most=10),
    },
    _long_enough,
)
UPDATE = "update_template_card"
REPLACED = Structure(_cards(again=True), 0, _MARKS)
"""The card that takes the place of one that was sent: `replace_text` stands on buttons nobody can press any more."""
APP: Mapping[str, Structure] = {
    "textcard": Structure(_TEXTCARD, 0, (("title",),)),
    "news": Structure(Fields({"articles": Items(_ARTICLE, most=8)}), 0, (("articles", 0, "title"),)),
    "template_card": Structure(_cards(again=False), 0, _MARKS),
    MINIPROGRAM: Structure(_MINIPROGRAM, 0, (("title",),)),
    "image": Structure(
        Fields({"file": File(FILES["image"], least=MORE_THAN, begins=PICTURES, what="JPG or PNG image")}), 0
    ),
    "file": Structure(Fields({"file": File(FILES["file"], least=MORE_THAN)}), 0),
    "voice": Structure(Fields({"file": File(FILES["voice"], least=MORE_THAN, begins=AMR, what="voice in AMR")}), 0),
    "video": Structure(
        Fields(
            {"file": File(FILES["video"], least=MORE_THAN, begins=(b"ftyp",), what="video in MP4", at=4)},
            {"title": Text(128), "description": Text(512)},
        ),
        0,
        (("title",),),
    ),
    UPDATE: Structure(
        Fields({"response_code": Text(512)}, {"button": Text(), "card": REPLACED.shape}, _one_of_both),
        0,
        notice=False,
    ),
}
"""The structured kinds of an app's messages, and the change of a card that was sent."""
