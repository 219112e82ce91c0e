"""What the chats of all vendors have in common: the kinds they take, and people called by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from andon.core.failure import Rejected
from andon.core.markdown import split_markdown
from andon.core.ports import Call, Content
from andon.core.reason import Reason
from andon.core.text import LEAST_NUMBERED, size_of, split_numbered

_MOBILE = re.compile(r"(?:\+\d{1,3}-?)?1\d{10}")
_ID = re.compile(r"[\w.\-][\w.\-@]{0,63}")
_EVERYBODY = "all"


class Kinds(NamedTuple):
    """What a robot or an app takes: texts by kind, of so many bytes at most (as they stand in JSON if
    `in_json`), and cards."""

    robot: str
    texts: Mapping[str, int]
    cards: Collection[str]
    in_json: bool = False

    def require(self, content: Content) -> None:
        """Raises Rejected for another kind."""
        if content.kind not in self.texts and content.kind not in self.cards:
            known = ", ".join((*self.texts, *self.cards))
            raise Rejected(Reason.REJECTED, f"{self.robot} takes {known}, not {content.kind}")

    def split(self, content: Content, tail: str = "") -> Sequence[Content]:
        """Parts that fit with `tail` at the end of each; a card is one part. Raises Rejected for another kind, and for
        a tail that leaves no room."""
        self.require(content)
        if content.kind in self.cards:
            return (content,)
        split = split_numbered if content.kind == "text" else split_markdown
        room = self.texts[content.kind] - size_of(tail, self.in_json)
        if room < LEAST_NUMBERED:
            raise Rejected(Reason.TOO_LONG, "what stands at the end of each part leaves no room for it")
        parts = split(content.text, room, in_json=self.in_json)
        return (content,) if len(parts) == 1 and not tail else [Content(content.kind, part + tail) for part in parts]


class Called(NamedTuple):
    """Whom a notice calls by name (@), as the receiver's `to` has them."""

    everybody: bool = False
    mobiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """All but everybody."""
        return self.mobiles + self.users


def called(call: Call) -> Called:
    """Whom a call is to call by name: its first part only, so that nobody's phone rings for every part.

    A receiver without `to` stands for itself and calls nobody. `all` is everybody, a Chinese mobile number a mobile,
    anything else a user id; an @ before it may be there. What cannot be an id calls nobody: it would be markup.
    """
    if call.part or (call.recipients == (call.receiver,) and not call.named):
        return Called()
    names = dict.fromkeys(name.removeprefix("@") for name in call.recipients)
    mobiles = tuple(name for name in names if _MOBILE.fullmatch(name))
    users = tuple(name for name in names if name != _EVERYBODY and name not in mobiles and _ID.fullmatch(name))
    return Called(_EVERYBODY in names, mobiles, users)
