"""Which rules of a configuration its tests have reached, and which they have not."""

from __future__ import annotations

from collections.abc import Iterator

from andon.config.limits import StormRule
from andon.config.receivers import MergeRule
from andon.config.routing import Route
from andon.config.settings import Settings
from andon.core.delivery import Delivery
from andon.core.event import Event
from andon.core.mute import by_maintenance
from andon.core.outcome import Merged, Outcome, Skipped
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.routing.coverage import Branch, Watched
from andon.routing.router import Router
from andon.routing.tree import Node

_MERGED = (Reason.OVER_RATE, Reason.QUEUE_FULL)
_SILENCED = (Reason.SILENCED, Reason.MAINTENANCE)


class Coverage:
    """Counts for one configuration: the branches of its route tree, and what its other rules are there to do.

    Of groups that is joining events (`group_by`) and leaving out what was told (`repeat_interval`), of a merge rule
    merging, of an inhibition holding back, of a fallback and of `if_nobody` somebody else being told, of a maintenance
    window keeping silent. What is not written in the file has no branch.
    """

    def __init__(self, router: Router, settings: Settings) -> None:
        self._tree = Watched(router.root, settings.route, ("route",))
        self._grouped: dict[str, Branch] = {}
        self._repeated: dict[str, Branch] = {}
        self._receivers = dict(_receivers(router.root))
        self._groups(settings.route, ("route",), "0", None, None)
        self._merges = {
            name: Branch(("receivers", name, "merge"), f"merge of {name}", "merged")
            for name, receiver in settings.receivers.items()
            if isinstance(receiver.merge, MergeRule)
        }
        self._inhibitions = [
            Branch(("inhibit_rules", number), f"inhibit_rules[{number}]", "held back")
            for number in range(len(settings.inhibit_rules))
        ]
        self._next = {name: each.if_nobody for name, each in settings.receivers.items() if each.if_nobody}
        self._stands_in = {
            name: Branch(("receivers", name, "if_nobody"), f"if_nobody of {name}", "told instead")
            for name in self._next
        }
        self._fallbacks: dict[tuple[str, str], Branch] = {}
        for name, receiver in settings.receivers.items():
            for number, rule in enumerate(receiver.fallback):
                place = ("receivers", name, "fallback", number)
                branch = Branch(place, f"fallback of {name} to {rule.receiver}", "told instead")
                self._fallbacks.update(((name, one), branch) for one in self._line(rule.receiver))
        self._storm = (
            Branch(("limits", "storm"), "limits.storm", "merged")
            if isinstance(settings.limits.storm, StormRule)
            else None
        )
        self._maintenance = {
            by_maintenance(name): Branch(("maintenance", name), by_maintenance(name), "silent")
            for name in settings.maintenance
        }
        self.branches: tuple[Branch, ...] = tuple(dict.fromkeys(self._all()))
        self._reached: set[Branch] = set()

    def _all(self) -> Iterator[Branch]:
        yield from self._tree.branches()
        for rules in (self._grouped, self._repeated, self._merges, self._fallbacks, self._stands_in):
            yield from rules.values()
        if self._storm:
            yield self._storm
        yield from self._inhibitions
        yield from self._maintenance.values()

    def _groups(
        self, route: Route, place: tuple[str | int, ...], path: str, group: Branch | None, repeat: Branch | None
    ) -> None:
        """The rule about groups that is in force at each route: its own, or the one it inherits."""
        if route.group_by is not None:
            group = Branch((*place, "group_by"), f"group_by of route {path}", "grouped")
        if route.repeat_interval is not None:
            repeat = Branch((*place, "repeat_interval"), f"repeat_interval of route {path}", "left out")
        if group is not None:
            self._grouped[path] = group
        if repeat is not None:
            self._repeated[path] = repeat
        for number, child in enumerate(route.routes):
            self._groups(child, (*place, "routes", number), f"{path}.{number}", group, repeat)

    # ---- what happens

    def routed(self, event: Event, result: Result[Delivery]) -> None:
        """The router decided about an event; what a mute or a maintenance window drops comes to no route."""
        if isinstance(result.ended, Skipped) and result.ended.reason in _SILENCED:
            self._reach(self._maintenance.get(result.ended.by))
            return
        self._tree.walk(event, self._reached)
        for delivery in result.outputs:
            for receiver in self._line(self._receivers[delivery.route]):
                if receiver == delivery.receiver:
                    break
                self._reach(self._stands_in.get(receiver))
            if delivery.held:
                self._reach(self._maintenance.get(delivery.held.by))

    def _line(self, receiver: str) -> Iterator[str]:
        """A receiver, and those that take its place when it has nobody, one after the other."""
        while True:
            yield receiver
            if receiver not in self._next:
                return
            receiver = self._next[receiver]

    def inhibited(self, by: str) -> None:
        """A delivery is held back `by` this rule and cause."""
        self._reached.update(one for one in self._inhibitions if by.startswith(f"{one.rule} "))

    def handed_on(self, receiver: str, to: str) -> None:
        """A fallback of the receiver a delivery was routed to is told."""
        self._reach(self._fallbacks.get((receiver, to)))

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """A delivery ended."""
        match outcome:
            case Merged(reason=Reason.GROUPED):
                self._reach(self._grouped.get(delivery.route))
            case Merged(reason=reason) if reason in _MERGED:
                self._reach(self._merges.get(delivery.receiver))
            case Merged(reason=Reason.STORM):
                self._reach(self._storm)
            case Skipped(reason=Reason.REPEATED):
                self._reach(self._repeated.get(delivery.route))
            case Skipped(reason=Reason.INHIBITED):
                self.inhibited(outcome.by)

    def _reach(self, branch: Branch | None) -> None:
        if branch is not None:
            self._reached.add(branch)

    # ---- what is known in the end

    @property
    def reached(self) -> int:
        """How many of the branches were reached."""
        return len(self._reached)

    @property
    def percent(self) -> float:
        """The share of them; 100 where there is none."""
        return 100.0 * self.reached / len(self.branches) if self.branches else 100.0

    def left(self) -> list[Branch]:
        """Those that no test has reached, in the order of the file."""
        return [branch for branch in self.branches if branch not in self._reached]


def _receivers(node: Node) -> Iterator[tuple[str, str]]:
    """The receiver of every route, by its path."""
    yield node.path, node.receiver
    for child in node.children:
        yield from _receivers(child)
