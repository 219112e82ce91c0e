"""What a router decides about very many events: events that its routes cannot tell apart are decided once.

Nothing here decides: `Router.route` does, for the first event of each kind. What its decision depends on is the labels
that matchers look at, whether the matchers on values hold, the time intervals, whether the event is an end, and the
people that facts name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from andon.core.event import CLEAR, STATE, Event, accepted_at
from andon.core.matchers import PSEUDO_LABELS
from andon.routing.calendar import Holds, Interval
from andon.routing.recipients import FACT, Names
from andon.routing.router import Router
from andon.routing.tree import Node

_MOST = 50_000
_MOST_TESTS = 64
_MINUTE_S = 60


class Heard(NamedTuple):
    """One receiver of a decision, the route it is told by, and who is told."""

    receiver: str
    route: str
    urgent: bool
    names: Names


class Decision:
    """Who hears of events of one kind. Compared by identity."""

    __slots__ = ("heard",)

    def __init__(self, heard: tuple[Heard, ...]) -> None:
        self.heard = heard


class _Kind:
    """Events that take the same routes, and their decisions by what else there is to a decision."""

    __slots__ = ("decisions", "named")

    def __init__(self, named: tuple[Callable[[Event], Names], ...]) -> None:
        self.named = named
        self.decisions: dict[object, Decision] = {}


class Rehearsal:
    """A router asked about recorded events. Belongs to one thread; what it remembers is bounded."""

    def __init__(self, router: Router) -> None:
        self.router = router
        nodes = list(_all(router.root))
        matchers = [matcher for node in nodes for matcher in node.matchers]
        labels = {matcher.label.name for matcher in matchers if matcher.label is not None}
        self._labels = sorted(labels - set(PSEUDO_LABELS))
        self._type, self._subject, self._source = (name in labels for name in PSEUDO_LABELS)
        tests = {matcher.text: matcher.holds for matcher in matchers if matcher.label is None}
        self._tests = tuple(tests.values())
        self._too_many = len(tests) > _MOST_TESTS
        self._intervals = tuple({id(one): one for node in nodes for one in (*node.active, *node.mute)}.values())
        self._at_minute = lru_cache(maxsize=4_096)(lambda minute: _held(self._intervals, minute))
        self._computed = {
            name: target.recipients
            for name, target in router.targets.items()
            if any(entry.startswith(FACT) for entry in target.settings.to)
        }
        self._kinds: dict[object, _Kind] = {}
        self._decisions: dict[tuple[Heard, ...], Decision] = {}
        self._remembered = 0

    def decide(self, event: Event) -> Decision:
        """What the router decides about an event. Equal decisions are mostly the same object."""
        if self._too_many:
            return _asked(self.router, event)
        key = self._key(event)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = self._kind(event)
        rest = (
            self._at_minute(int(accepted_at(event) // _MINUTE_S)) if self._intervals else None,
            event.labels.get(STATE) == CLEAR,
            *[named(event) for named in kind.named],
        )
        decision = kind.decisions.get(rest)
        if decision is None:
            if self._remembered >= _MOST:
                self._kinds.clear()
                self._decisions.clear()
                self._remembered = 0
            self._remembered += 1
            decision = _asked(self.router, event)
            decision = kind.decisions[rest] = self._decisions.setdefault(decision.heard, decision)
        return decision

    def _key(self, event: Event) -> tuple[object, ...]:
        """What the routes see of an event."""
        read = event.labels.get
        return (
            event.type if self._type else None,
            event.subject if self._subject else None,
            event.source if self._source else None,
            *[read(name, "") for name in self._labels],
            *[test(event) for test in self._tests],
        )

    def _kind(self, event: Event) -> _Kind:
        nodes: list[Node] = []
        self.router.root.collect(event, nodes)
        return _Kind(tuple(self._computed[node.receiver] for node in nodes if node.receiver in self._computed))


def _asked(router: Router, event: Event) -> Decision:
    """The decision; the parts of a long list of people are one again."""
    heard: dict[str, Heard] = {}
    for one in router.route(event).outputs:
        before = heard.get(one.receiver)
        names = (*before.names, *one.recipients) if before else one.recipients
        heard[one.receiver] = Heard(one.receiver, one.route, one.urgent, names)
    return Decision(tuple(heard.values()))


def _all(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _held(intervals: tuple[Interval, ...], minute: int) -> tuple[Holds, ...]:
    return tuple(interval.holds(minute * _MINUTE_S) for interval in intervals)
