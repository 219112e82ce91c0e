"""The route tree as its lints see it: each route with what it inherits, and what holds of events that come there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from andon.config.routing import Route
from andon.core.event import Event
from andon.core.matchers import Matcher
from andon.routing.lints.conditions import Conditions
from andon.routing.tree import Node, heir

Place = tuple[str | int, ...]

_EPOCH = datetime.fromtimestamp(0, UTC)


class Branch:
    """One route. `route` has inherited what it does not say itself; `known` is what its own matchers and those above
    it say of an event that takes it."""

    def __init__(self, node: Node, route: Route, place: Place = ("route",), above: Branch | None = None) -> None:
        self.node = node
        self.route = route
        self.place = place
        self.above = above
        self.lineage: tuple[Branch, ...] = (*(above.lineage if above else ()), self)
        self.own = Conditions(node.matchers)
        inherited: Sequence[Matcher] = above.known.matchers if above else ()
        self.known: Conditions = Conditions([*inherited, *node.matchers])
        self.children = tuple(
            Branch(child, heir(written, route), (*place, "routes", number), self)
            for number, (child, written) in enumerate(zip(node.children, route.routes, strict=True))
        )
        self.takers = Takers(self.children)

    @property
    def receiver(self) -> str:
        return self.node.receiver

    @property
    def position(self) -> int:
        """Its place among the routes beside it."""
        number = self.place[-1]
        return number if isinstance(number, int) else 0

    def walk(self) -> Iterator[Branch]:
        """This route and all below it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.walk()

    def taken_before(self, known: Conditions) -> Branch | None:
        """The route that takes every such event before it comes here, if there is one."""
        for step in self.lineage[1:]:
            if step.above and (taker := step.above.takers.first(known, step.position)):
                return taker
        return None

    def takes(self, labels: dict[str, str]) -> frozenset[str]:
        """The paths of the routes that an event with such labels (and no data) takes, from this one on."""
        read = labels.get
        event = Event("", read("source", ""), read("type", ""), read("subject", ""), _EPOCH, {}, labels)
        found: list[Node] = []
        self.node.collect(event, found)
        return frozenset(node.path for node in found)

    def matchers(self) -> Iterator[Matcher]:
        """Every matcher of this route and all below it."""
        for branch in self.walk():
            yield from branch.node.matchers


class Takers:
    """Of the routes of one list, those that end the walk; found by a label and its text, for lists may be long."""

    def __init__(self, routes: Sequence[Branch]) -> None:
        self._by_label: dict[tuple[str, str], list[Branch]] = {}
        self._always: list[Branch] = []
        for route in routes:
            if not route.node.goes_on:
                equals = next((matcher.equals for matcher in route.node.matchers if matcher.equals), None)
                (self._by_label.setdefault(equals, []) if equals else self._always).append(route)

    def first(self, known: Conditions, before: int) -> Branch | None:
        """The first one before that position whose matchers follow from what is known."""
        some = [*self._always, *(route for pair in known.certain() for route in self._by_label.get(pair, ()))]
        sure = (one for one in some if one.position < before and known.imply(one.node.matchers))
        return min(sure, key=lambda one: one.position, default=None)
