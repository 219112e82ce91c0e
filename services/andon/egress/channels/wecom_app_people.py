"""Whom an application message can be addressed to (developer.work.weixin.qq.com, page 90236)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

ALL = "@all"
PARTY, TAG = "party:", "tag:"
MOST_GROUPS = 100
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-@.]{0,63}")
_GROUP = re.compile(r"[1-9][0-9]{0,18}")


class Addressed(NamedTuple):
    """The recipients by the vendor's three lists; `wrong` are those it has no word for."""

    users: tuple[str, ...]
    parties: tuple[str, ...]
    tags: tuple[str, ...]
    wrong: tuple[str, ...]


def addressed(recipients: Sequence[str]) -> Addressed:
    """The recipients apart, parties and tags as their numbers."""
    users: list[str] = []
    parties: list[str] = []
    tags: list[str] = []
    wrong: list[str] = []
    for name in recipients:
        if mistake(name):
            wrong.append(name)
        elif name.startswith(PARTY):
            parties.append(name.removeprefix(PARTY))
        elif name.startswith(TAG):
            tags.append(name.removeprefix(TAG))
        else:
            users.append(name)
    if ALL in users:  # the vendor looks at nobody else then
        return Addressed((ALL,), (), (), tuple(wrong))
    return Addressed(tuple(users), tuple(parties), tuple(tags), tuple(wrong))


def wide(name: str) -> bool:
    """Whether it stands for people who are not named."""
    return name == ALL or name.startswith((PARTY, TAG))


def mistake(name: str) -> str | None:
    """Why a name is nobody's, if it is."""
    for word in (PARTY, TAG):
        if name.startswith(word):
            good = _GROUP.fullmatch(name.removeprefix(word))
            return None if good else f"'{name}' names none: write {word} and its number, for example {word}12"
    if name == ALL or _USER.fullmatch(name):
        return None
    return f"'{name}' is no userid (letters, digits, _ - @ . and at most 64 of them), nor party:ID, tag:ID or @all"


def mistakes(to: Sequence[str]) -> Iterator[tuple[int | None, str]]:
    """What is wrong with the `to` of a receiver: the entry, or None for the whole, and a sentence."""
    if not to:
        yield None, "`to` is missing: an app writes to people, so name them: userids, party:ID, tag:ID or @all"
    for number, name in enumerate(to):
        if text := mistake(name):
            yield number, text
    if ALL in to and len(to) > 1:
        yield to.index(ALL), "@all is everybody the app may see, and stands alone"
    for word in (PARTY, TAG):
        if sum(name.startswith(word) for name in to) > MOST_GROUPS:
            yield None, f"one call takes at most {MOST_GROUPS} of {word}: make several receivers"
