"""How many routes are looked at for an event, counted and not timed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from andon.core.event import Event
from andon.core.matchers import Matcher, compile_matchers
from andon.routing import index, tree
from tests.bench.routes import SHAPES, Routes, events
from tests.unit.routing import naive
from tests.unit.routing.events import event, settings
from tests.unit.routing.sides import happened

SIZES = (10, 100, 400)
CANDIDATES = index.Index.candidates


class Counted:
    """A tree in which every test that is asked, and every candidate that is looked at, is counted."""

    def __init__(self, routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counted(matcher: Matcher) -> Matcher:
            fits = matcher.label and msgspec.structs.replace(matcher.label, fits=self._counting(matcher.label.fits))
            return msgspec.structs.replace(matcher, holds=self._counting(matcher.holds), label=fits)

        def looked_at(self_: Any, given: Event) -> Sequence[Any]:
            found = CANDIDATES(self_, given)
            self.count += len(found)
            return found

        monkeypatch.setattr(tree, "compile_matchers", lambda texts: tuple(map(counted, compile_matchers(texts))))
        monkeypatch.setattr(index.Index, "candidates", looked_at)
        self._root = tree.compile_tree(settings({"receiver": "r0", "routes": routes}).route, {})

    def asked(self, given: Event) -> int:
        """How much is asked for this event."""
        self.count = 0
        self._root.collect(given, [])
        return self.count

    def _counting(self, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
        def asked(given: Any) -> bool:
            self.count += 1
            return test(given)

        return asked


def reachable(routes: Routes, given: Event) -> int:
    """The routes whose first matcher holds, here and below those; those before which another one took the event too."""
    found = 0
    for one in routes:
        if naive.holds(naive.read(one["matchers"][0])[0], happened(given)):
            found += 1 + reachable(one.get("routes", []), given)
    return found


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "lists"])
def test_no_more_is_asked_than_first_matchers_let_through(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in SIZES:
        routes = SHAPES[shape](size)
        subject, given = Counted(routes, monkeypatch), events(shape, size, 15)
        for one in given:
            subject.asked(one)  # the texts of a label are met for the first time once
        for one in given:
            assert subject.asked(one) <= 2 * reachable(routes, one) + 10, (size, one)


@pytest.mark.parametrize(("shape", "most"), [("by_type_and_line", 90), ("teams", 14), ("with_continue", 90)])
def test_what_is_asked_grows_with_the_root_of_their_number(
    shape: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Counted(SHAPES[shape](1_000), monkeypatch)
    assert max(map(subject.asked, events(shape, 1_000, 200))) <= most


@pytest.mark.parametrize("shape", ["one_type", "words", "lists"])
def test_what_is_asked_does_not_grow_at_all(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worst = []
    for size in SIZES:
        subject = Counted(SHAPES[shape](size), monkeypatch)
        worst.append(max(map(subject.asked, events(shape, size, 100))))
    assert max(worst) <= 3


def test_a_pattern_is_tried_once_on_each_text(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Counted(SHAPES["patterns"](500), monkeypatch)
    given = event("machine.fault", labels={"machine": "L7-M1", "severity": "minor"})
    assert subject.asked(given) >= 500
    assert subject.asked(given) <= 2


def test_what_has_no_place_in_an_index_is_asked_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["data.x > 1", 'line!="L1"', 'line!~"L.*"', "facts.m exists"]
    subject = Counted([{"matchers": [text]} for text in texts], monkeypatch)
    assert subject.asked(event(labels={"line": "L1"})) == 2 * len(texts)


def test_texts_of_a_label_are_forgotten_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_REMEMBERED", 120)
    (pattern,) = compile_matchers(('line=~"L.*"',))
    table: Any = index.Index([(number, (pattern,)) for number in range(5)])
    for number in range(50):
        assert len(table.candidates(event(labels={"line": f"L{number}"}))) == 5
        ((_, find),) = table._tables
        assert 6 * len(find.__self__._known) <= 120


@pytest.mark.parametrize("text", ['note=~"E.*"', 'note!~"E.*"', 'data.text =~ "E.*"'])
def test_long_texts_are_not_remembered(text: str) -> None:
    root = tree.compile_tree(settings({"receiver": "r0", "routes": [{"matchers": ["x!=1", text]}] * 2}).route, {})
    tracemalloc.start()
    try:
        for number in range(40):
            long = f"{number} {'x' * 100_000}"
            root.collect(event(labels={"note": long}, data={"text": long}), [])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 400_000, "not even four of them"


def test_texts_of_some_length_are_forgotten_the_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_REMEMBERED", 120)
    (pattern,) = compile_matchers(('line=~"L.*"',))
    table: Any = index.Index([(0, (pattern,))])
    for number in range(50):
        assert len(table.candidates(event(labels={"line": f"L{number}{'x' * 200}"}))) == 1
        ((_, find),) = table._tables
        assert 200 * len(find.__self__._known) <= 32 * 120
