"""Which branches of the route tree events have gone through: routes taken, matchers true and false, times inside and
outside of intervals.

A matcher is asked when those before it in its route have held, so its two branches are those of this very matcher. A
time interval is asked when its route is taken. A route that can never be taken itself, because one of its children
takes everything, has no branch of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from andon.config.calendar import Interval
from andon.config.routing import Route
from andon.core.event import Event, accepted_at
from andon.core.matchers import Test, compile_matchers
from andon.routing.tree import Node

Way = tuple[str | int, ...]


class Branch(msgspec.Struct, frozen=True, order=True):
    """Something that a test can reach: a place in andon.yaml, what stands there, and what it is to do."""

    place: Way
    rule: str
    does: str


class Watched:
    """One route with the branches at it."""

    __slots__ = ("children", "goes_on", "intervals", "matchers", "taken")

    def __init__(self, node: Node, route: Route, place: Way) -> None:
        name = f"route {node.path}"
        all_taken = any(not child.matchers for child in node.children)
        self.taken = None if all_taken else Branch(place, name, "taken")
        self.goes_on = node.goes_on
        self.matchers: list[tuple[Test, Branch, Branch]] = [
            (
                one.holds,
                Branch((*place, "matchers", index), one.text, "true"),
                Branch((*place, "matchers", index), one.text, "false"),
            )
            for index, text in enumerate(route.matchers)
            for one in compile_matchers((text,))
        ]
        self.intervals: list[tuple[Interval, Branch, Branch]] = [
            (interval, Branch(at, interval.name, "inside"), Branch(at, interval.name, "outside"))
            for interval, at in zip((*node.active, *node.mute), _interval_places(route, place), strict=True)
        ]
        written = node.children[len(node.children) - len(route.routes) :]  # those before stand in no list of routes
        self.children = [
            Watched(child, inner, (*place, "routes", number))
            for number, (child, inner) in enumerate(zip(written, route.routes, strict=True))
        ]

    def branches(self) -> Iterator[Branch]:
        """All of them, in the order of the file."""
        if self.taken:
            yield self.taken
        for _, one, other in (*self.matchers, *self.intervals):
            yield from (one, other)
        for child in self.children:
            yield from child.branches()

    def walk(self, event: Event, reached: set[Branch]) -> bool:
        """Adds the branches of the walk that `Node.collect` makes; whether the route matched."""
        for holds, true, false in self.matchers:
            if not holds(event):
                reached.add(false)
                return False
            reached.add(true)
        none_yet = True
        for child in self.children:
            if child.walk(event, reached):
                none_yet = False
                if not child.goes_on:
                    break
        if none_yet:
            if self.taken:
                reached.add(self.taken)
            for interval, inside, outside in self.intervals:
                holds_now = interval.holds(accepted_at(event))
                if holds_now is not None:
                    reached.add(inside if holds_now else outside)
        return True


def _interval_places(route: Route, place: Way) -> Iterator[Way]:
    for key in ("active_time_intervals", "mute_time_intervals"):
        for index in range(len(getattr(route, key))):
            yield (*place, key, index)
