"""Links and cards of DingTalk's custom robot (https://open.dingtalk.com/document/robots/custom-robot-access)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from andon.egress.structure import Choice, Fields, Items, Problem, Structure, Text, Url

# Of a body of 20,000 bytes the rest is for its key and its kind.
_MOST = 19_800
_URL = Url(schemes=("https", "http", "dingtalk"))
_LINKS = 100


def _one_button_or_several(value: Mapping[str, Any]) -> Iterator[Problem]:
    single = [key for key in ("singleTitle", "singleURL") if key in value]
    if len(single) == 1:
        yield Problem((), f"`{single[0]}` stands alone: `singleTitle` and `singleURL` go together")
    elif single and "btns" in value:
        yield Problem((), "has `btns` beside `singleTitle`; a card has one button for the whole of it, or several")
    elif not single and "btns" not in value:
        yield Problem((), "`btns`, or `singleTitle` and `singleURL`, is missing")


ROBOT: Mapping[str, Structure] = {
    "link": Structure(
        Fields({"title": Text(), "text": Text(), "messageUrl": _URL}, {"picUrl": _URL}), _MOST, (("title",),)
    ),
    "actionCard": Structure(
        Fields(
            {"title": Text(), "text": Text(markdown=True)},
            {
                "singleTitle": Text(),
                "singleURL": _URL,
                "btnOrientation": Choice(("0", "1")),
                "btns": Items(Fields({"title": Text(), "actionURL": _URL}), most=20),
            },
            _one_button_or_several,
        ),
        _MOST,
        (("text",),),
    ),
    "feedCard": Structure(
        Fields({"links": Items(Fields({"title": Text(), "messageURL": _URL, "picURL": _URL}), most=_LINKS)}),
        _MOST,
        (("links", 0, "title"),),
    ),
}
"""The structured kinds of a custom robot."""
