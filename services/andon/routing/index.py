"""An index over the children of a route: which of them an event can match at all, by its labels.

Each child stands in the table of one of its matchers, the one that the fewest of its siblings share: `=`, `in` and
lists of words (`=~"L1|L2"`) by the texts they name, other patterns by what they were found to fit. What has no such
matcher is asked every time: comparisons, `!=`, `!~`. So a thousand routes told apart by `type` and `line` cost two
look-ups and the few candidates these give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from andon.core.event import Event
from andon.core.matchers import LONGEST_REMEMBERED, Matcher, OnLabel, Test, label_value
from andon.routing.words import words_of

T = TypeVar("T")
Candidate = tuple[int, T, tuple[Test, ...]]  # its place, the child, and the tests that are left to ask

# A pattern is tried on every new text of its label, which costs about as much as this many siblings asked too often.
_PATTERN_COSTS = 8
_REMEMBERED = 250_000  # texts of a label and the candidates found for them; all are forgotten beyond that
_LETTERS = 32  # of a text count as one more


class Index(Generic[T]):
    """The children, each with its matchers, in the order of the file."""

    __slots__ = ("_always", "_tables")

    def __init__(self, children: Sequence[tuple[T, Sequence[Matcher]]]) -> None:
        shared = Counter(place for _, matchers in children for matcher in matchers for place in _places(matcher))
        tables: dict[str, _Table[T]] = {}
        self._always: list[Candidate[T]] = []
        for position, (child, matchers) in enumerate(children):
            key = min(filter(_places, matchers), key=lambda matcher: _cost(matcher, shared), default=None)
            candidate = (position, child, tests_left(matchers, key))
            if key is None or key.label is None:
                self._always.append(candidate)
            else:
                tables.setdefault(key.label.name, _Table()).add(key.label, candidate)
        self._tables = [(label_value(name), table.finder()) for name, table in tables.items()]

    def candidates(self, event: Event) -> Sequence[Candidate[T]]:
        """Those whose key holds, in the order of the file."""
        found = self._always
        for read, find in self._tables:
            more = find(read(event))
            if more:
                found = found + more if found else more
        return sorted(found) if len(found) > 1 else found


class _Table(Generic[T]):
    """What stands under one label."""

    def __init__(self) -> None:
        self._named: dict[str, list[Candidate[T]]] = {}
        self._fitting: list[tuple[Callable[[str], bool], Candidate[T]]] = []
        self._known: dict[str, list[Candidate[T]]] = {}
        self._remembered = 0

    def add(self, label: OnLabel, candidate: Candidate[T]) -> None:
        words = words_of(label)
        if words is None:
            self._fitting.append((label.fits, candidate))
        for word in words or ():
            self._named.setdefault(word, []).append(candidate)

    def finder(self) -> Callable[[str], list[Candidate[T]] | None]:
        """What finds the candidates for a text of the label."""
        return self._find if self._fitting else self._named.get

    def _find(self, text: str) -> list[Candidate[T]]:
        found = self._known.get(text)
        if found is None:
            found = [*self._named.get(text, ()), *(candidate for fits, candidate in self._fitting if fits(text))]
            if len(text) <= LONGEST_REMEMBERED:
                self._remember(text, found)
        return found

    def _remember(self, text: str, found: list[Candidate[T]]) -> None:
        room = 1 + len(found) + len(text) // _LETTERS
        self._remembered += room
        if self._remembered > _REMEMBERED:
            self._known.clear()
            self._remembered = room
        self._known[text] = found


def tests_left(matchers: Sequence[Matcher], key: Matcher | None) -> tuple[Test, ...]:
    """The tests of the matchers but for the one that the index has asked."""
    return tuple(matcher.holds for matcher in matchers if matcher is not key)


def _places(matcher: Matcher) -> list[tuple[str, str, str]]:
    """Where the matcher could stand; nowhere, if it says what a label is not, or asks no label."""
    label = matcher.label
    if label is None or label.sign in ("!=", "!~"):
        return []
    words = words_of(label)
    return [(label.name, "~", label.values[0])] if words is None else [(label.name, "=", word) for word in words]


def _cost(matcher: Matcher, shared: Counter[tuple[str, str, str]]) -> int:
    places = _places(matcher)
    siblings = max(shared[place] for place in places)
    return max(siblings, _PATTERN_COSTS) if places[0][1] == "~" else siblings
