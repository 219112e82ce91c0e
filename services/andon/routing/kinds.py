"""What routers decide about very many events: events that their routes cannot tell apart are decided once.

Nothing here decides: `Router.route` does, for the first event of each kind. What its decision depends on is the labels
that matchers look at, whether the matchers on values hold, the time intervals, whether the event is an end, the people
that computed receivers come to, and the mutes that take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from andon.config.calendar import Holds, Interval
from andon.config.computed import is_computed
from andon.core.event import CLEAR, STATE, Event, accepted_at
from andon.core.matchers import PSEUDO_LABELS
from andon.routing.recipients import Names
from andon.routing.router import Router
from andon.routing.target import Target
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
    """Who hears of events of one kind, for each router in turn. Compared by identity."""

    __slots__ = ("sides",)

    def __init__(self, sides: tuple[tuple[Heard, ...], ...]) -> None:
        self.sides = sides


class _Kind:
    """Events that take the same routes. `only` is their decision where nothing else matters to it, `decisions` those by
    what else there is."""

    __slots__ = ("decisions", "named", "only")

    def __init__(self, named: tuple[Callable[[Event], Names], ...]) -> None:
        self.named = named
        self.only: Decision | None = None
        self.decisions: dict[object, Decision] = {}


class Kinds:
    """Routers asked about recorded events, all about each. Belongs to one thread; what it remembers is bounded."""

    def __init__(self, *routers: Router) -> None:
        self._routers = routers
        nodes = [node for router in routers for node in router.root.all()]
        targets = [target for router in routers for target in router.targets.values()]
        matchers = [matcher for node in nodes for matcher in node.matchers]
        labels = {matcher.label.name for matcher in matchers if matcher.label is not None}
        self._labels = sorted(labels - set(PSEUDO_LABELS))
        self._all = itemgetter(*self._labels) if self._labels else lambda _labels: ()
        self._type, self._subject, self._source = (name in labels for name in PSEUDO_LABELS)
        self._tests = tuple({matcher.text: matcher.holds for matcher in matchers if matcher.label is None}.values())
        self._intervals = tuple({id(one): one for node in nodes for one in (*node.active, *node.mute)}.values())
        self._at_minute = lru_cache(maxsize=4_096)(lambda minute: _held(self._intervals, minute))
        self._timed = bool(self._intervals)
        self._silences = tuple(silence for router in routers for silence in router.silences.all)
        self._ends = not all(target.resolved for target in targets)
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._decisions: dict[tuple[tuple[Heard, ...], ...], Decision] = {}
        self._remembered = 0

    def decide(self, event: Event) -> Decision:
        """What the routers decide about an event. Equal decisions are mostly the same object."""
        if len(self._tests) > _MOST_TESTS:
            return self._asked(event)
        key = (
            event.type if self._type else None,
            event.subject if self._subject else None,
            event.source if self._source else None,
            self._seen(event.labels),
            *[test(event) for test in self._tests],
        )
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = self._kind(event)
        if kind.only is not None:
            return kind.only
        rest = (
            self._at_minute(int(accepted_at(event) // _MINUTE_S)) if self._timed else None,
            self._ends and event.labels.get(STATE) == CLEAR,
            self._silences and self._silenced(event),
            *[named(event) for named in kind.named],
        )
        decision = kind.decisions.get(rest)
        if decision is None:
            decision = kind.decisions[rest] = self._remember(event)
            if not (self._timed or self._ends or self._silences or kind.named):
                kind.only = decision
        return decision

    def _seen(self, labels: Mapping[str, str]) -> object:
        """The labels that matchers look at; one that is not there equals the empty text."""
        try:
            return self._all(labels)
        except KeyError:
            found = tuple([labels.get(name, "") for name in self._labels])
            return found if len(found) > 1 else found[0]

    def _silenced(self, event: Event) -> tuple[bool, ...]:
        at = accepted_at(event)
        return tuple(one.until(at) is not None and one.takes(event) for one in self._silences)

    def _kind(self, event: Event) -> _Kind:
        """How people are named by the receivers of the routes that the event takes, and by those in their place."""
        named: dict[tuple[int, str], Callable[[Event], Names]] = {}
        for which, router in enumerate(self._routers):
            nodes: list[Node] = []
            router.root.collect(event, nodes)
            for node in nodes:
                target: Target | None = router.targets[node.receiver]
                while target:
                    if any(map(is_computed, target.settings.to)):
                        named[which, target.name] = target.recipients
                    target = target.if_nobody
        return _Kind(tuple(named.values()))

    def _remember(self, event: Event) -> Decision:
        if self._remembered >= _MOST:
            self._kinds.clear()
            self._decisions.clear()
            self._remembered = 0
        self._remembered += 1
        decision = self._asked(event)
        return self._decisions.setdefault(decision.sides, decision)

    def _asked(self, event: Event) -> Decision:
        return Decision(tuple(_asked(router, event) for router in self._routers))


def _asked(router: Router, event: Event) -> tuple[Heard, ...]:
    """Who hears of it; the parts of a long list of people are one again."""
    heard: dict[str, Heard] = {}
    for one in router.route(event).outputs:
        before = heard.get(one.receiver)
        names = (*before.names, *one.recipients) if before else one.recipients
        heard[one.receiver] = Heard(one.receiver, one.route, one.urgent, names)
    return tuple(heard.values())


def _held(intervals: tuple[Interval, ...], minute: int) -> tuple[Holds, ...]:
    return tuple(interval.holds(minute * _MINUTE_S) for interval in intervals)
