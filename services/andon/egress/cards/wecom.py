"""News and template cards of WeCom, as a group robot takes them (developer.work.weixin.qq.com, page 91770)."""

from __future__ import annotations

from collections.abc import Mapping

from andon.egress.cards.wecom_pieces import (
    ACTION,
    AMR,
    MORE_THAN,
    NOTICE,
    PARAGRAPHS,
    PICTURE,
    PICTURE_AND_TEXT,
    PICTURES,
    TITLE,
    WORDS,
    says_something,
)
from andon.egress.structure import Fields, File, Forms, Items, Structure, Text, Url

IMAGE_BYTES, FILE_BYTES, VOICE_BYTES = 2 << 20, 20 << 20, 2 << 20

_TEXT_NOTICE = Fields(
    {"card_type": Text(), "card_action": ACTION},
    {**NOTICE, "main_title": WORDS, "emphasis_content": WORDS, "sub_title_text": Text()},
    says_something,
)
_NEWS_NOTICE = Fields(
    {"card_type": Text(), "main_title": TITLE, "card_image": PICTURE, "card_action": ACTION},
    {**NOTICE, "image_text_area": PICTURE_AND_TEXT, "vertical_content_list": PARAGRAPHS},
)
_ARTICLE = Fields({"title": Text(128), "url": Url()}, {"description": Text(512), "picurl": Url()})

ROBOT: Mapping[str, Structure] = {
    "news": Structure(Fields({"articles": Items(_ARTICLE, most=8)}), 0, (("articles", 0, "title"),)),
    "template_card": Structure(
        Forms("card_type", {"text_notice": _TEXT_NOTICE, "news_notice": _NEWS_NOTICE}),
        0,
        (("main_title", "title"), ("sub_title_text",)),
    ),
    "image": Structure(Fields({"file": File(IMAGE_BYTES, begins=PICTURES, what="JPG or PNG image")}), 0),
    "file": Structure(Fields({"file": File(FILE_BYTES, least=MORE_THAN)}), 0),
    "voice": Structure(Fields({"file": File(VOICE_BYTES, least=MORE_THAN, begins=AMR, what="voice in AMR")}), 0),
}
"""The structured kinds of a group robot. Buttons that call back need an app."""
