"""The router against the naive implementation in generated cases, and what it sees of mistakes in the router."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import re2

from andon.config import calendar
from andon.core import matcher_text, matchers
from andon.core.delivery import Delivery
from andon.core.event import Event
from andon.core.matchers import MatcherError, compile_matchers, label_value
from andon.core.ports import Result
from andon.routing import Router, explain, index, tree
from andon.routing.recipients import Whom
from andon.routing.target import Target
from tests.unit.routing import generated, naive
from tests.unit.routing.events import TUESDAY_NOON
from tests.unit.routing.generated import some_text, some_tree
from tests.unit.routing.sides import built, disagreements, happened, is_on, some_event

SEED = 20_261_126


@pytest.mark.parametrize("module", [naive, generated])
def test_shares_no_code_with_the_router(module: Any) -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    plain = {"__future__", "collections.abc", "dataclasses", "datetime", "json", "operator", "random", "re", "typing"}
    assert imported <= plain


@pytest.mark.parametrize("trees", [300, pytest.param(3_000, marks=pytest.mark.long)])
def test_agrees_on_generated_trees(trees: int) -> None:
    assert list(islice(disagreements(SEED, trees, events=4), 1)) == []


def test_the_index_changes_nothing_in_wide_trees() -> None:
    assert list(islice(disagreements(SEED, trees=10, events=20, depth=0, width=80), 1)) == []


@pytest.mark.parametrize("part", range(40))
def test_explains_what_it_does(part: int) -> None:
    random = Random(f"{SEED} {part}")
    route, given_ = some_tree(random, own=True), some_event(random)
    subject = built(route)
    result, explanation = subject.route(given_), explain(subject, given_)
    assert explanation.receivers == tuple(delivery.receiver for delivery in result.outputs)
    assert explanation.ended == result.ended
    taken = [(visit.path, visit.silenced is not None) for visit in explanation.visits if visit.taken]
    assert taken == [(one.path, bool(one.verdict)) for one in naive.taken(route, happened(given_), is_on)]
    msgspec.json.encode(explanation)


def test_reads_the_same_texts() -> None:
    random, seen = Random(SEED), {True: 0, False: 0}
    for _ in range(4_000):
        text = some_text(random)
        try:
            compile_matchers((text,))
            problem = ""
        except MatcherError as mistake:
            problem = mistake.problem
        if "pattern cannot be read" in problem:
            continue  # told before what else is wrong, and nothing that the naive one looks at
        is_taken = not problem
        try:
            naive.read(text)
            assert is_taken, text
        except naive.Refused:
            assert not is_taken, text
        seen[is_taken] += 1
    assert min(seen.values()) > 500


# ---- seeded mistakes: each is seen by the comparison


def _tests_hold(self: tree.Node, given_: Event) -> list[tree.Node]:
    return [child for _, child, tests in self._index.candidates(given_) if all(test(given_) for test in tests)]


def _ignores_continue(self: tree.Node, given_: Event, found: list[tree.Node]) -> None:
    for child in _tests_hold(self, given_)[:1]:
        child.collect(given_, found)
        return
    found.append(self)


def _always_continues(self: tree.Node, given_: Event, found: list[tree.Node]) -> None:
    for child in _tests_hold(self, given_):
        child.collect(given_, found)
    if not _tests_hold(self, given_):
        found.append(self)


def _adds_itself_after_continue(self: tree.Node, given_: Event, found: list[tree.Node]) -> None:
    for child in _tests_hold(self, given_):
        child.collect(given_, found)
        if not child.goes_on:
            return
    found.append(self)


def _takes_the_last(self: tree.Node, given_: Event, found: list[tree.Node]) -> None:
    for child in _tests_hold(self, given_)[-1:]:
        child.collect(given_, found)
        return
    found.append(self)


def _goes_one_level_deep(self: tree.Node, given_: Event, found: list[tree.Node]) -> None:
    matching = _tests_hold(self, given_)
    stops = next((place for place, child in enumerate(matching) if not child.goes_on), len(matching))
    found += matching[: stops + 1] or [self]


def _unsorted(self: Any, given_: Event) -> list[Any]:
    return sorted(_candidates(self, given_), key=lambda one: len(one[2]))


def _forgets_the_last(self: Any, given_: Event) -> Sequence[Any]:
    return _candidates(self, given_)[:1]


_candidates = index.Index.candidates
_deliver, _several, _label, _silenced = Router._deliver, Router._route_to_several, matchers._label, tree.Node.silenced


def _forgets_the_missing(name: str) -> Callable[[Event], str]:
    read = label_value(name)
    return lambda given_: read(given_) or "none"


def _unequal_only_when_there(text: str, name: str, sign: str, value: Any) -> Any:
    right = _label(text, name, sign, value)
    if sign != "!=":
        return right
    return msgspec.structs.replace(right, holds=lambda given_: bool(right.seen(given_)) and right.holds(given_))


def _is_on_before_it_is_accepted(self: Any, at: float) -> calendar.Holds:
    return _holds(self, at - 12 * 3600)


_holds = calendar.Interval.holds


def _mutes_only(self: tree.Node, given_: Event) -> Any:
    ended = _silenced(self, given_)
    return ended if ended and ended.reason == "muted" else None


def _first_urgency(
    self: Router, given_: Event, node: tree.Node, target: Target, whom: Whom, _urgent: bool, episode: str | None
) -> Any:
    return _deliver(self, given_, node, target, whom, node.urgent, episode)


def _one_for_each_route(self: Router, given_: Event, nodes: Sequence[tree.Node]) -> Any:
    found: list[Delivery] = []
    for node in nodes:
        target, whom = self.targets[node.receiver].answering(given_)
        if whom.names and not node.silenced(given_):
            found += self._deliver(given_, node, target, whom, node.urgent, self.episode(given_))
    return Result(tuple(found)) if found else _several(self, given_, nodes)


def _last_route_names(self: Router, given_: Event, nodes: Any) -> Any:
    return _several(self, given_, nodes[::-1])


def _one_silent_route_silences(self: Router, given_: Event, nodes: Any) -> Any:
    ended = next(filter(None, (node.silenced(given_) for node in nodes)), None)
    return Result((), ended) if ended else _several(self, given_, nodes)


def _matches_the_beginning(text: str, value: Any) -> Callable[[str], bool]:
    return lambda seen: bool(re2.compile(value.text).match(seen))


def _inherits_less(name: str) -> tuple[str, ...]:
    return tuple(one for one in tree._INHERITED if one != name)


MISTAKES: list[tuple[Any, str, Any]] = [
    (tree.Node, "collect", _ignores_continue),
    (tree.Node, "collect", _always_continues),
    (tree.Node, "collect", _adds_itself_after_continue),
    (tree.Node, "collect", _takes_the_last),
    (tree.Node, "collect", _goes_one_level_deep),
    (tree.Node, "silenced", lambda self, given_: None),
    (tree.Node, "silenced", _mutes_only),
    (tree.Node, "batch", lambda self, given_: self._group(given_) if self._group else None),
    (index.Index, "candidates", _unsorted),
    (index.Index, "candidates", _forgets_the_last),
    (index, "tests_left", lambda found, known: ()),
    (index, "words_of", lambda on: frozenset(on.values)),
    (index, "label_value", _forgets_the_missing),
    (tree, "_INHERITED", _inherits_less("urgent")),
    (tree, "_INHERITED", _inherits_less("group_by")),
    (tree, "_INHERITED", _inherits_less("repeat_interval")),
    (tree, "all_hold", lambda tests, given_: any(test(given_) for test in tests) or not tests),
    (tree, "accepted_at", lambda given_: TUESDAY_NOON.timestamp()),
    (calendar.Interval, "holds", _is_on_before_it_is_accepted),
    (matchers, "label_value", _forgets_the_missing),
    (matchers, "_label", _unequal_only_when_there),
    (matchers, "_pattern", _matches_the_beginning),
    (matchers, "_read_and", lambda read, fits, wanted: lambda given_: fits(read(given_))),
    (matchers, "number_of", lambda value: value if isinstance(value, int | float) else None),
    (matchers, "text_of", str),
    (matchers, "_parse", lambda text, right=matchers._parse: right(text)[:1]),
    (matcher_text, "_meant", lambda text, escape: escape[0].encode()),
    (matcher_text, "_RESERVED_IN_NAMES", matcher_text._RESERVED_IN_NAMES - {"\u3000"}),
    (Router, "_deliver", _first_urgency),
    (Router, "_route_to_several", _one_for_each_route),
    (Router, "_route_to_several", _last_route_names),
    (Router, "_route_to_several", _one_silent_route_silences),
]


@pytest.mark.parametrize(("where", "name", "mistake"), MISTAKES)
def test_a_seeded_mistake_is_found(where: Any, name: str, mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, name, mistake)
    (seen,) = islice(disagreements(SEED, trees=300, events=10), 1)
    assert "TypeError" not in seen, "a mistake that no longer fits into the router shows nothing"


def test_there_are_twenty_of_them_and_without_one_nothing_is_found() -> None:
    assert len(MISTAKES) >= 20
    assert list(disagreements(SEED, trees=30, events=10)) == []
