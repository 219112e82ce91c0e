"""Routing: from an event to one delivery per receiver that must hear of it. A function of event and configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from andon.config.receivers import FallbackRule, MergeRule, Receiver
from andon.config.settings import Settings, StormRule
from andon.core.delivery import MAX_RECIPIENTS, Delivery, Fallback, delivery_id
from andon.core.event import CLEAR, STATE, Event
from andon.core.matchers import all_hold, compile_matchers
from andon.core.mute import Mute
from andon.core.outcome import Skipped
from andon.core.paths import Text, compile_key
from andon.core.policy import Storm
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.core.tables import Tables
from andon.routing.calendar import intervals
from andon.routing.mutes import Silences, held
from andon.routing.recipients import Names, compile_recipients
from andon.routing.tree import Node, compile_tree


class Target:
    """A receiver, compiled: who hears of an event, and the group its merge rule puts the event in."""

    __slots__ = ("domain", "fallback", "group", "name", "recipients", "resolved", "settings")

    def __init__(self, name: str, receiver: Receiver, domain: str) -> None:
        self.name = name
        self.domain = domain
        self.settings = receiver
        self.recipients: Callable[[Event], Names] = compile_recipients(name, receiver)
        self.group: Text = _group(receiver.merge)
        self.resolved = receiver.send_resolved
        self.fallback: tuple[tuple[FallbackRule, Target], ...] = ()

    def hears(self, event: Event) -> bool:
        """Whether it wants events of this state."""
        return self.resolved or event.labels.get(STATE) != CLEAR


class Router:
    """The routes of one configuration version. `route` never raises for what an event contains.

    `domains` gives each receiver's limit domain, `mutes` are those of the version. Raises MatcherError, IntervalError,
    PathError or ValueError for a configuration `check` would have refused.
    """

    def __init__(
        self,
        settings: Settings,
        version: int,
        domains: Mapping[str, str],
        tables: Tables | None = None,
        mutes: Sequence[Mute] = (),
    ) -> None:
        self.version = version
        workdays = tables.workdays if tables else None
        known = intervals(settings.calendar.time_intervals, settings.site.zone, workdays)
        self.silences = Silences(mutes, settings.maintenance, settings.site.zone, workdays)
        self._silent = bool(self.silences)
        self.root = compile_tree(settings.route, known)
        self.targets = {name: Target(name, each, _domain(domains, name)) for name, each in settings.receivers.items()}
        for name, each in settings.receivers.items():
            self.targets[name].fallback = tuple((rule, self._target(rule.receiver)) for rule in each.fallback)
        self._storm = _storm(settings.limits.storm)
        self._episodes = [
            (tuple(matcher.holds for matcher in compile_matchers(rule.matchers)), compile_key(rule.key))
            for rule in settings.episodes.values()
        ]
        for receiver in _receivers(self.root):
            if receiver not in self.targets:
                raise ValueError(f"a route names the receiver {receiver}, which does not exist")

    def route(self, event: Event) -> Result[Delivery]:
        """One delivery per distinct receiver; several only where one has over 1,000 recipients.

        The first route that names a receiver wins, urgent if any does. With no delivery the result says which rule
        ended the event: nobody to tell before muted or inactive, else the first in the order of the routes. A mute or a
        maintenance window that drops an event is asked before any route; one that holds it holds whatever they decide.
        """
        if self._silent and (silence := self.silences.of(event)) is not None:
            if isinstance(silence, Skipped):
                return Result((), silence)
            decided = self._decide(event)
            return Result(tuple(held(each, silence) for each in decided.outputs), decided.ended)
        return self._decide(event)

    def _decide(self, event: Event) -> Result[Delivery]:
        """The decision of the routes alone."""
        nodes: list[Node] = []
        self.root.collect(event, nodes)
        if len(nodes) > 1:
            return self._route_to_several(event, nodes)
        ended = nodes[0].silenced(event)
        if ended is not None:
            return Result((), ended)
        deliveries = self._deliver(event, nodes[0], nodes[0].urgent, self.episode(event))
        return Result(deliveries) if deliveries else Result((), self._nobody(event, nodes[0]))

    def episode(self, event: Event) -> str | None:
        """The key of the fault episode the event belongs to; None when it is no fault or lacks a field of the key."""
        for tests, key in self._episodes:
            if all_hold(tests, event):
                return key(event)
        return None

    def _route_to_several(self, event: Event, nodes: Sequence[Node]) -> Result[Delivery]:
        silenced: list[Skipped] = []
        speaking: dict[str, Node] = {}
        urgent: set[str] = set()
        for node in nodes:
            ended = node.silenced(event)
            if ended is not None:
                silenced.append(ended)
                continue
            speaking.setdefault(node.receiver, node)
            if node.urgent:
                urgent.add(node.receiver)
        episode = self.episode(event)
        deliveries = [
            delivery
            for receiver, node in speaking.items()
            for delivery in self._deliver(event, node, receiver in urgent, episode)
        ]
        if deliveries:
            return Result(tuple(deliveries))
        return Result((), [*(self._nobody(event, node) for node in speaking.values()), *silenced][0])

    def _deliver(self, event: Event, node: Node, urgent: bool, episode: str | None) -> tuple[Delivery, ...]:
        target = self.targets[node.receiver]
        names = target.recipients(event) if target.hears(event) else ()
        if not names:
            return ()
        group = target.group(event)
        delivery = Delivery(
            delivery_id(event, target.name),
            event,
            target.name,
            target.domain,
            names,
            node.path,
            self.version,
            group,
            urgent,
            episode,
            event.origin,
            node.batch(event) if group is not None else None,
            node.pace,
            tuple(_fallback(event, rule, to) for rule, to in target.fallback),
            remarks=node.remarks(event),
            storm=self._storm(event) if self._storm is not None and group is not None else None,
        )
        return (delivery,) if len(names) <= MAX_RECIPIENTS else tuple(_parts(delivery))

    def _nobody(self, event: Event, node: Node) -> Skipped:
        heard = self.targets[node.receiver].hears(event)
        return Skipped(Reason.NO_RECIPIENTS if heard else Reason.RESOLVED, node.receiver)

    def _target(self, receiver: str) -> Target:
        if receiver not in self.targets:
            raise ValueError(f"a fallback names the receiver {receiver}, which does not exist")
        return self.targets[receiver]


class RoutingStage:
    """The stage around a router. A new configuration version is a new router, set between two batches.

    `remarked` is told the reason of every remark on a delivery.
    """

    def __init__(self, router: Router, remarked: Callable[[Reason], None] = lambda _reason: None) -> None:
        self.router = router
        self._remarked = remarked

    async def __call__(self, batch: Sequence[Event], /) -> Sequence[Result[Delivery]]:
        results = [self.router.route(event) for event in batch]
        for result in results:
            for delivery in result.outputs:
                for remark in delivery.remarks:
                    self._remarked(remark.reason)
        return results


def _parts(whole: Delivery) -> Iterator[Delivery]:
    """The delivery in parts of at most 1,000 recipients; from the second on, the id derives from `<receiver>#<n>`."""
    for number, start in enumerate(range(0, len(whole.recipients), MAX_RECIPIENTS), 1):
        name = whole.receiver if number == 1 else f"{whole.receiver}#{number}"
        some = whole.recipients[start : start + MAX_RECIPIENTS]
        yield msgspec.structs.replace(whole, id=delivery_id(whole.event, name), recipients=some)


def _fallback(event: Event, rule: FallbackRule, target: Target) -> Fallback:
    """The rule with who would be told; nobody, where there are more than a delivery has room for."""
    names = target.recipients(event)
    some = names if len(names) <= MAX_RECIPIENTS else ()
    return Fallback(target.name, target.domain, some, target.group(event), rule.after, rule.reasons)


def _group(merge: MergeRule | str | None) -> Text:
    """None where the receiver refuses merging, "" without a rule, else the values of the rule's labels."""
    if merge is None:
        return lambda _event: ""
    if isinstance(merge, str):
        return lambda _event: None
    return compile_key(merge.by, missing="")


def _storm(rule: StormRule | str) -> Callable[[Event], Storm] | None:
    """What an event would be a storm of; None without a rule."""
    if isinstance(rule, str):
        return None
    key, over = compile_key(rule.by, missing=""), rule.over
    return lambda event: Storm(key(event) or "", over.count, over.period)


def _domain(domains: Mapping[str, str], receiver: str) -> str:
    if receiver not in domains:
        raise ValueError(f"the receiver {receiver} has no limit domain")
    return domains[receiver]


def _receivers(node: Node) -> set[str]:
    return {node.receiver}.union(*map(_receivers, node.children))
