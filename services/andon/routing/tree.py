"""The route tree, compiled: Alertmanager's rules (dispatch/route.go, `Match`) with an index for speed.

Depth first; the first matching child decides unless it says `continue`; where no child matches, the node itself is
meant. Children inherit `receiver`, `urgent` and everything about groups. Time intervals are not inherited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec.json import encode

from andon.config.calendar import Interval
from andon.config.routing import Route
from andon.core.delivery import Remark
from andon.core.event import Event, accepted_at
from andon.core.matchers import all_hold, compile_matchers
from andon.core.outcome import Skipped
from andon.core.paths import Text, compile_key
from andon.core.policy import Pace
from andon.core.reason import Reason
from andon.routing.index import Index

ROOT = "0"
ALL = "..."
_INHERITED = ("receiver", "urgent", "group_by", "group_wait", "group_interval", "repeat_interval")


class Node:
    """One route. `path` is its place: "0" is `route`, "0.2" is `route.routes[2]`, "0.2.0" the first route in that.

    It speaks within one of its `active` intervals, if it has any, and outside of all its `mute` ones. `before` are
    routes that no list of routes in the file has, by their places; they are asked before those that it has.
    """

    __slots__ = (
        "_group",
        "_index",
        "active",
        "children",
        "goes_on",
        "matchers",
        "mute",
        "pace",
        "path",
        "receiver",
        "urgent",
    )

    def __init__(
        self, route: Route, path: str, known: Mapping[str, Interval], before: Mapping[str, Route] = MappingProxyType({})
    ) -> None:
        """A route that has inherited everything it does not say itself."""
        self.path = path
        self.receiver = route.receiver or ""
        self.urgent = bool(route.urgent)
        self.pace: Pace | None = None
        self._group: Text | None = None
        if route.group_by is not None:
            self.pace = Pace(route.group_wait or 0.0, route.group_interval or 0.0, route.repeat_interval or 0.0)
            self._group = group_key(route.group_by)
        self.goes_on = route.continue_
        self.matchers = compile_matchers(route.matchers)
        self.active = tuple(known[name] for name in route.active_time_intervals)
        self.mute = tuple(known[name] for name in route.mute_time_intervals)
        places = {**before, **{str(number): child for number, child in enumerate(route.routes)}}
        self.children = tuple(Node(heir(child, route), f"{path}.{place}", known) for place, child in places.items())
        self._index = Index([(child, child.matchers) for child in self.children])

    def all(self) -> Iterator[Node]:
        """This route and every one below it, in the order of the file."""
        yield self
        for child in self.children:
            yield from child.all()

    def collect(self, event: Event, found: list[Node]) -> None:
        """Appends the routes this event takes from here on, in the order of the file. At least one."""
        none_yet = True
        for _, child, tests in self._index.candidates(event):
            if all_hold(tests, event):
                child.collect(event, found)
                if not child.goes_on:
                    return
                none_yet = False
        if none_yet:
            found.append(self)

    def batch(self, event: Event) -> str | None:
        """The key of the event's group, which no other route shares; None when the route has no groups."""
        return f"{self.path} {self._group(event)}" if self._group else None

    def silenced(self, event: Event) -> Skipped | None:
        """Why this route says nothing at the time the event was accepted; None when it speaks."""
        if not self.active and not self.mute:
            return None
        at = accepted_at(event)
        if self.active and all(interval.holds(at) is False for interval in self.active):
            names = ", ".join(interval.name for interval in self.active)
            return Skipped(Reason.INACTIVE, f"{self.path} {names}")
        muting = next((interval for interval in self.mute if interval.holds(at)), None)
        return Skipped(Reason.MUTED, f"{self.path} {muting.name}") if muting else None

    def remarks(self, event: Event) -> tuple[Remark, ...]:
        """The intervals for want of which this route speaks: they ask for a day that the working calendar does not
        know, and a route rather speaks than keeps silent on a guess."""
        if not self.active and not self.mute:
            return ()
        at = accepted_at(event)
        active = () if any(interval.holds(at) for interval in self.active) else self.active
        unknown = [interval.name for interval in (*active, *self.mute) if interval.holds(at) is None]
        return tuple(Remark(Reason.UNKNOWN_DAY, f"{self.path} {name}") for name in unknown)


def compile_tree(
    route: Route, known: Mapping[str, Interval], before: Mapping[str, Route] = MappingProxyType({})
) -> Node:
    """The tree of a configuration; `before` stands at the root. Raises MatcherError, KeyError for an unknown interval,
    ValueError for the root."""
    if route.receiver is None:
        raise ValueError("the first route needs a receiver: it is the default for everything no other route takes")
    return Node(route, ROOT, known, before)


def group_key(fields: Sequence[str]) -> Text:
    """The key of `group_by`. Raises PathError."""
    if tuple(fields) == (ALL,):
        return lambda event: encode((event.subject, sorted(event.labels.items()))).decode()
    return compile_key(fields, missing="")


def heir(child: Route, parent: Route) -> Route:
    """The child with what it leaves to its parent."""
    left = {name: getattr(parent, name) for name in _INHERITED if getattr(child, name) is None}
    return child.model_copy(update=left) if left else child
