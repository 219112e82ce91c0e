"""Conditions on a label that name every text it may have: what an index and a warning can go by."""

from __future__ import annotations

import re

from andon.core.matchers import OnLabel

# A pattern that is a list of words: `a`, `a|b`, `(a|b)`, with signs escaped by a backslash.
_WORD = r"(?:[^\\.+*?()|\[\]{}^$]|\\[^\w\s])*"
_WORDS = re.compile(rf"(?:{_WORD}(?:\|{_WORD})*|\((?:\?:)?{_WORD}(?:\|{_WORD})*\))")
_BRANCH = re.compile(rf"(?:^|\|)({_WORD})")


def words_of(on: OnLabel) -> frozenset[str] | None:
    """The texts that a condition names, one by one; None for a pattern that names them otherwise."""
    if on.sign not in ("=~", "!~"):
        return frozenset(on.values)
    (pattern,) = on.values
    if not _WORDS.fullmatch(pattern):
        return None
    inner = pattern.removeprefix("(").removesuffix(")").removeprefix("?:") if pattern.startswith("(") else pattern
    return frozenset(re.sub(r"\\(.)", r"\1", branch) for branch in _BRANCH.findall(inner))
