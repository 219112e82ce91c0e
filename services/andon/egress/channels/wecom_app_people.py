"""Whom an application message can be addressed to (developer.work.weixin.qq.com, pages 90236 and 90248)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ALL = "@all"
PARTY, TAG, CHAT = "party:", "tag:", "chat:"
MOST_GROUPS = 100
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}")
_GROUP = re.compile(r"[1-9][0-9]{0,18}")
# Ids that an app chooses have at most 32 letters and digits; those that the vendor makes have "_" and "-" as well.
_CHAT = re.compile(r"[A-Za-z0-9_\-]{1,64}")


class Addressed(NamedTuple):
    """The recipients by the vendor's three lists, and the chats; `wrong` are those it has no word for."""

    users: tuple[str, ...]
    parties: tuple[str, ...]
    tags: tuple[str, ...]
    wrong: tuple[str, ...]
    chats: tuple[str, ...] = ()

    @property
    def people(self) -> bool:
        """Whether there is anybody but chats."""
        return bool(self.users or self.parties or self.tags)


def addressed(recipients: Sequence[str]) -> Addressed:
    """The recipients apart, parties and tags as their numbers, chats by their names here (`chat:ID`)."""
    users: list[str] = []
    parties: list[str] = []
    tags: list[str] = []
    wrong: list[str] = []
    chats: list[str] = []
    for name in recipients:
        if mistake(name):
            wrong.append(name)
        elif name.startswith(PARTY):
            parties.append(name.removeprefix(PARTY))
        elif name.startswith(TAG):
            tags.append(name.removeprefix(TAG))
        elif is_chat(name):
            chats.append(name)
        else:
            users.append(name)
    if ALL in users:  # the vendor looks at nobody else then
        return Addressed((ALL,), (), (), tuple(wrong), tuple(chats))
    return Addressed(tuple(users), tuple(parties), tuple(tags), tuple(wrong), tuple(chats))


def wide(name: str) -> bool:
    """Whether it stands for people who are not named."""
    return name == ALL or name.startswith((PARTY, TAG))


def is_chat(name: str) -> bool:
    """Whether it is a group chat that the app made."""
    return name.startswith(CHAT)


def mistake(name: str) -> str | None:
    """Why a name is nobody's, if it is."""
    if is_chat(name):
        good = _CHAT.fullmatch(name.removeprefix(CHAT))
        return None if good else f"'{name}' names no chat: write chat: and the chatid that the app made it with"
    for word in (PARTY, TAG):
        if name.startswith(word):
            good = _GROUP.fullmatch(name.removeprefix(word))
            return None if good else f"'{name}' names none: write {word} and its number, for example {word}12"
    if name == ALL or _USER.fullmatch(name):
        return None
    known = "party:ID, tag:ID, chat:ID or @all"
    return f"'{name}' is no userid (letters, digits, _ - @ . and at most 64 of them), nor {known}"


def mistakes(to: Sequence[str]) -> Iterator[tuple[int | None, str]]:
    """What is wrong with the `to` of a receiver: the entry, or None for the whole, and a sentence."""
    if not to:
        yield None, "`to` is missing: an app writes to people, so name them: userids, party:ID, tag:ID, chat:ID or @all"
    for number, name in enumerate(to):
        if text := mistake(name):
            yield number, text
    if ALL in to and len(to) > 1:
        yield to.index(ALL), "@all is everybody the app may see, and stands alone"
    chats = [number for number, name in enumerate(to) if is_chat(name)]
    if ALL not in to and 0 < len(chats) < len(to):
        yield chats[0], "a chat is reached in another way than people: make a receiver of its own for it"
    for word in (PARTY, TAG):
        if sum(name.startswith(word) for name in to) > MOST_GROUPS:
            yield None, f"one call takes at most {MOST_GROUPS} of {word}: make several receivers"
