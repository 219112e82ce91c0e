"""What a list of matchers says of the labels of an event: whether it contradicts itself, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product

from andon.core.matchers import Matcher, OnLabel
from andon.routing.words import words_of

# What is put for the parts of a pattern to get a text that may fit it.
_SHORTEST = ((re.compile(r"(?<!\\)(?:\.\*|\(\.\*\))"), ""), (re.compile(r"(?<!\\)\.\+?"), "x"), (re.compile(r"\\"), ""))

Pool = Mapping[str, frozenset[str]]
"""Texts that each label may have."""


class Conditions:
    """Matchers that hold all at once.

    A pattern that is no list of words, and a comparison of data or facts, is understood as it is written. So a yes of
    `implies`, and a contradiction, are certain; a no is not.
    """

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self._labels: dict[str, list[OnLabel]] = {}
        self._comparisons: set[str] = set()
        for matcher in self.matchers:
            if matcher.label is None:
                self._comparisons.add(matcher.text)
            else:
                self._labels.setdefault(matcher.label.name, []).append(matcher.label)
        self.values = {name: _values(on) for name, on in self._labels.items()}
        """The only texts a label can have; None for one whose texts cannot be listed."""

    def contradiction(self) -> tuple[Matcher, ...]:
        """Matchers that cannot hold together, in their order; none where there is no such contradiction."""
        for name, values in self.values.items():
            if values is not None and not values:
                on = [matcher for matcher in self.matchers if matcher.label and matcher.label.name == name]
                return next((pair for pair in product(on, on) if _exclude(*pair)), tuple(on))
        return ()

    def implies(self, matcher: Matcher) -> bool:
        """Whether the matcher holds whenever these do."""
        if matcher.label is None:
            return matcher.text in self._comparisons
        wanted = matcher.label
        here = self._labels.get(wanted.name, [])
        if any((one.sign, one.values) == (wanted.sign, wanted.values) for one in here):
            return True
        if values := self.values.get(wanted.name):
            return all(map(wanted.fits, values))
        if wanted.sign in ("!=", "!~") and (words := words_of(wanted)) is not None:
            return all(any(not one.fits(word) for one in here) for word in words)
        return False

    def imply(self, matchers: Iterable[Matcher]) -> bool:
        """Whether all of the matchers hold whenever these do."""
        return all(map(self.implies, matchers))

    def certain(self) -> Iterator[tuple[str, str]]:
        """Labels that can have one text only, with it."""
        for name, values in self.values.items():
            if values is not None and len(values) == 1:
                yield name, next(iter(values))

    def examples(self, pool: Pool, most: int) -> Iterator[dict[str, str]]:
        """Labels that meet the conditions, at most so many: each label as in `pool`, first no more than need be. None
        where data or facts are compared."""
        if self._comparisons:
            return
        texts = {name: [text for text in sorted(pool[name]) if self._fit(name, text)] for name in pool}
        if not all(texts.values()):
            return
        first = {name: some[0] for name, some in texts.items()}
        yield first
        others = ({**first, name: text} for name, some in texts.items() for text in some[1:])
        yield from islice(others, most - 1)

    def _fit(self, name: str, text: str) -> bool:
        return all(one.fits(text) for one in self._labels.get(name, ()))


def pool_of(matchers: Iterable[Matcher]) -> Pool:
    """For each label of the matchers: no text, one that nobody names, and texts that fit one of the conditions."""
    pool: dict[str, set[str]] = {}
    for matcher in matchers:
        if on := matcher.label:
            pool.setdefault(on.name, {"", "~"}).update(words_of(on) or {_shortest(on.values[0])})
    return {name: frozenset(texts) for name, texts in pool.items()}


def _shortest(pattern: str) -> str:
    for part, text in _SHORTEST:
        pattern = part.sub(text, pattern)
    return pattern


def _values(on: list[OnLabel]) -> frozenset[str] | None:
    named = [words for one in on if one.sign in ("=", "=~", "in") and (words := words_of(one)) is not None]
    if named:
        return frozenset(word for word in min(named, key=len) if all(one.fits(word) for one in on))
    signs = {(one.sign, one.values) for one in on}
    return frozenset() if any(sign == "=~" and ("!~", values) in signs for sign, values in signs) else None


def _exclude(one: Matcher, other: Matcher) -> bool:
    """Whether two conditions on the same label cannot hold together."""
    return (
        one is not other
        and one.label is not None
        and other.label is not None
        and _values([one.label, other.label]) == frozenset()
    )
