"""Posts and cards of Feishu's custom bot (https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot).

Of a card's components those that a custom bot can use and people can only look at or open: texts, pictures, columns,
and buttons with an address. A button that calls back needs an app.
"""

from __future__ import annotations

from collections.abc import Mapping

from andon.egress.structure import Choice, Fields, Forms, Items, Number, Person, Shape, Structure, Text, Url

# Of a body of 20,000 bytes the rest is for its signature and its kind.
_MOST = 19_700
_MANY = 200
_URL = Url(schemes=("https", "http", "lark", "feishu"))
_COLOURS = (
    *("blue", "wathet", "turquoise", "green", "yellow", "orange"),
    *("red", "carmine", "violet", "purple", "indigo", "grey", "default"),
)

_PLAIN = Fields({"tag": Choice(("plain_text",)), "content": Text()}, {"lines": Number(1, 100)})
_RICH = Fields({"tag": Text(), "content": Text(markdown=True)})
_WORDS = Forms("tag", {"plain_text": _PLAIN, "lark_md": _RICH})
_FLAG = Choice((True, False))
_BUTTON = Fields(
    {"tag": Text(), "text": _WORDS, "url": _URL},
    {"type": Choice(("default", "primary", "danger")), "width": Text()},
)
_ALIGN = Choice(("left", "center", "right"))
_PIECES = {
    "markdown": Fields({"tag": Text(), "content": Text(markdown=True)}, {"text_align": _ALIGN}),
    "div": Fields(
        {"tag": Text()}, {"text": _WORDS, "fields": Items(Fields({"is_short": _FLAG, "text": _WORDS}), most=50)}
    ),
    "hr": Fields({"tag": Text()}),
    "img": Fields({"tag": Text(), "img_key": Text(), "alt": _PLAIN}, {"title": _PLAIN, "mode": Text()}),
}
_NOTE = Fields({"tag": Text(), "elements": Items(_WORDS, most=50)})
_ACTION = Fields({"tag": Text(), "actions": Items(Forms("tag", {"button": _BUTTON}), most=50)})


def _columns(inner: Mapping[str, Fields]) -> Fields:
    column = Fields(
        {"tag": Choice(("column",)), "elements": Items(Forms("tag", inner), most=50)},
        {"width": Text(), "weight": Number(1, 5), "vertical_align": Choice(("top", "center", "bottom"))},
    )
    return Fields(
        {"tag": Text(), "columns": Items(column, most=50)},
        {"flex_mode": Text(), "background_style": Text(), "horizontal_spacing": Text()},
    )


_OLD = {**_PIECES, "note": _NOTE, "action": _ACTION, "column_set": _columns({**_PIECES, "action": _ACTION})}
_SIMPLE = {**_PIECES, "button": _BUTTON}
_NEW = {**_SIMPLE, "column_set": _columns(_SIMPLE)}
_HEAD: dict[str, Shape] = {
    "config": Fields(
        {}, {"wide_screen_mode": _FLAG, "enable_forward": _FLAG, "update_multi": _FLAG, "width_mode": Text()}
    ),
    "header": Fields({"title": _WORDS}, {"subtitle": _WORDS, "template": Choice(_COLOURS)}),
    "card_link": Fields({"url": _URL}, {"pc_url": _URL, "android_url": _URL, "ios_url": _URL}),
}
_CARD = Forms(
    "schema",
    {
        "": Fields({"elements": Items(Forms("tag", _OLD), most=_MANY)}, _HEAD),
        "2.0": Fields({"schema": Text(), "body": Fields({"elements": Items(Forms("tag", _NEW), most=_MANY)})}, _HEAD),
    },
)
_INLINE = Forms(
    "tag",
    {
        "text": Fields({"tag": Text(), "text": Text()}, {"un_escape": _FLAG}),
        "a": Fields({"tag": Text(), "text": Text(), "href": _URL}),
        "at": Fields({"tag": Text(), "user_id": Person()}, {"user_name": Text()}),
        "img": Fields({"tag": Text(), "image_key": Text()}),
    },
)
_POST = Fields({"content": Items(Items(_INLINE, most=_MANY), most=_MANY)}, {"title": Text()})

ROBOT: Mapping[str, Structure] = {
    "post": Structure(
        Fields({}, {"zh_cn": _POST, "en_us": _POST}),
        _MOST,
        (("zh_cn", "title"), ("en_us", "title"), ("zh_cn", "content", 0, 0, "text")),
    ),
    "interactive": Structure(
        _CARD,
        _MOST,
        (
            ("header", "title", "content"),
            ("body", "elements", 0, "content"),
            ("elements", 0, "content"),
            ("elements", 0, "text", "content"),
        ),
    ),
}
"""The structured kinds of a custom bot."""
