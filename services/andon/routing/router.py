"""Routing: from an event to one delivery per receiver that must hear of it. A function of event and configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from andon.config.calendar import intervals
from andon.config.limits import StormRule
from andon.config.receivers import FallbackRule
from andon.config.settings import Settings
from andon.core.delivery import MAX_RECIPIENTS, Delivery, Fallback, delivery_id
from andon.core.event import CLEAR, STATE, Event
from andon.core.matchers import all_hold, compile_matchers
from andon.core.mute import Mute
from andon.core.outcome import Skipped
from andon.core.parallel import beside
from andon.core.paths import compile_key
from andon.core.people import Directory
from andon.core.policy import Storm
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.core.tables import NO_TABLES, Tables
from andon.routing.expected import expected_routes
from andon.routing.mutes import Silences, held
from andon.routing.once import Account, told_once
from andon.routing.recipients import Whom
from andon.routing.target import Target, compile_targets
from andon.routing.tree import Node, compile_tree


class Router:
    """The routes of one configuration version. `route` never raises for what an event contains.

    `domains` gives each receiver's limit domain, `mutes` are those of the version. `accounts` names the account of
    receivers whose recipients are people: of what one account is to tell a person about one event, they hear once.
    Raises MatcherError, IntervalError, PathError or ValueError for a configuration `check` would have refused.
    """

    def __init__(
        self,
        settings: Settings,
        version: int,
        domains: Mapping[str, str],
        tables: Tables = NO_TABLES,
        mutes: Sequence[Mute] = (),
        accounts: Mapping[str, Account] = MappingProxyType({}),
    ) -> None:
        self.version = version
        known = intervals(settings.calendar.time_intervals, settings.site.zone, tables.workdays)
        self.silences = Silences(mutes, settings.maintenance, settings.site.zone, tables.workdays)
        self._silent = bool(self.silences)
        self.parallel = settings.parallel()
        self.root = compile_tree(settings.route, known, expected_routes(settings.sources))
        self.targets = compile_targets(settings, domains, accounts, Directory(tables.people))
        self._storm = _storm(settings.limits.storm)
        self._shared = len({account.name for account in accounts.values()}) < len(accounts)
        self._episodes = [
            (tuple(matcher.holds for matcher in compile_matchers(rule.matchers)), compile_key(rule.key))
            for rule in settings.episodes.values()
        ]
        for receiver in {node.receiver for node in self.root.all()}:
            if receiver not in self.targets:
                raise ValueError(f"a route names the receiver {receiver}, which does not exist")
        self._quiet = any(
            node.pace and node.pace.repeat and not self.targets[node.receiver].resolved for node in self.root.all()
        )

    def route(self, event: Event) -> Result[Delivery]:
        """One delivery per distinct receiver; several only where one has over 1,000 recipients.

        The first route that names a receiver wins, urgent if any does. A person whom several receivers of one account
        name hears once, by an urgent one if there is one, else by that of the first route. With no delivery the result
        says which rule ended the event: nobody to tell, or no wish to hear of ends, before muted or inactive, else the
        first in the order of the routes. A mute or a maintenance window that drops an event is asked before any route;
        one that holds it holds whatever they decide.
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
        target, whom = self.targets[nodes[0].receiver].answering(event)
        if not whom.names:
            return Result((), self._nobody(event, nodes[0]))
        return Result(self._deliver(event, nodes[0], target, whom, nodes[0].urgent, self.episode(event)))

    def written(self, event: Event) -> Result[Delivery]:
        """What is written of an event: what `route` decides, and, by routes that repeat what they told only after a
        while, ends for the receivers that hear of none (`send_resolved: false`). The desk skips those, and knows by
        them that what begins there again is news."""
        decided, unheard = self.route(event), self._unheard_ends(event)
        return Result((*decided.outputs, *unheard)) if unheard else decided

    def _unheard_ends(self, event: Event) -> tuple[Delivery, ...]:
        if not self._quiet or event.labels.get(STATE) != CLEAR:
            return ()
        if self._silent and isinstance(self.silences.of(event), Skipped):
            return ()
        nodes: list[Node] = []
        self.root.collect(event, nodes)
        found: dict[str, Delivery] = {}
        for node in nodes:
            target = self.targets[node.receiver]
            if target.hears(event) or not (node.pace and node.pace.repeat) or node.silenced(event):
                continue
            whom = target.whom(event)
            if whom.names and target.group(event) is not None:
                found.setdefault(
                    target.name, self._deliver(event, node, target, whom, node.urgent, self.episode(event))[0]
                )
        return tuple(found.values())

    def episode(self, event: Event) -> str | None:
        """The key of the fault episode the event belongs to; None when it is no fault or lacks a field of the key."""
        for tests, key in self._episodes:
            if all_hold(tests, event):
                return key(event)
        return None

    def _route_to_several(self, event: Event, nodes: Sequence[Node]) -> Result[Delivery]:
        ended: list[Skipped] = []
        silenced: list[Skipped] = []
        speaking: dict[str, tuple[Node, Target, Whom]] = {}
        urgent: set[str] = set()
        for node in nodes:
            silent = node.silenced(event)
            if silent is not None:
                silenced.append(silent)
                continue
            target, whom = self.targets[node.receiver].answering(event)
            if not whom.names:
                ended.append(self._nobody(event, node))
                continue
            speaking.setdefault(target.name, (node, target, whom))
            if node.urgent:
                urgent.add(target.name)
        if not speaking:
            return Result((), (ended + silenced)[0])
        episode = self.episode(event)
        told = told_once([(target, whom) for _, target, whom in speaking.values()], urgent) if self._shared else None
        deliveries: list[Delivery] = []
        for node, target, whom in speaking.values():
            left = whom if told is None else told.get(target.name)
            if left is not None:
                deliveries += self._deliver(event, node, target, left, target.name in urgent, episode)
        return Result(tuple(deliveries))

    def _deliver(
        self, event: Event, node: Node, target: Target, whom: Whom, urgent: bool, episode: str | None
    ) -> tuple[Delivery, ...]:
        names, group = whom.names, target.group(event)
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
            tuple([_fallback(event, rule, to) for rule, to in target.fallback]) if target.fallback else (),
            remarks=node.remarks(event) + whom.remarks if node.active or node.mute else whom.remarks,
            storm=self._storm(event) if self._storm is not None and group is not None else None,
        )
        return (delivery,) if len(names) <= MAX_RECIPIENTS else tuple(_parts(delivery))

    def _nobody(self, event: Event, node: Node) -> Skipped:
        heard = self.targets[node.receiver].hears(event)
        return Skipped(Reason.NO_RECIPIENTS if heard else Reason.RESOLVED, node.receiver)


class RoutingStage:
    """The stage around a router. A new configuration version is a new router, set between two batches.

    `remarked` is told the reason of every remark on a delivery. What comes of a source beside another path is decided
    as everything is, and told to nobody.
    """

    def __init__(self, router: Router, remarked: Callable[[Reason], None] = lambda _reason: None) -> None:
        self.router = router
        self._remarked = remarked

    async def __call__(self, batch: Sequence[Event], /) -> Sequence[Result[Delivery]]:
        router, parallel = self.router, self.router.parallel
        results = [
            _untold(router.route(event)) if event.source in parallel else router.written(event) for event in batch
        ]
        for result in results:
            for delivery in result.outputs:
                for remark in delivery.remarks:
                    self._remarked(remark.reason)
        return results


def _untold(result: Result[Delivery]) -> Result[Delivery]:
    return Result((), beside(each.receiver for each in result.outputs)) if result.outputs else result


def _parts(whole: Delivery) -> Iterator[Delivery]:
    """The delivery in parts of at most 1,000 recipients; from the second on, the id derives from `<receiver>#<n>`."""
    for number, start in enumerate(range(0, len(whole.recipients), MAX_RECIPIENTS), 1):
        name = whole.receiver if number == 1 else f"{whole.receiver}#{number}"
        some = whole.recipients[start : start + MAX_RECIPIENTS]
        yield msgspec.structs.replace(whole, id=delivery_id(whole.event, name), recipients=some)


def _fallback(event: Event, rule: FallbackRule, target: Target) -> Fallback:
    """The rule with who would be told; nobody, where there are more than a delivery has room for."""
    target, whom = target.answering(event)
    some = whom.names if len(whom.names) <= MAX_RECIPIENTS else ()
    return Fallback(target.name, target.domain, some, target.group(event), rule.after, rule.reasons)


def _storm(rule: StormRule | str) -> Callable[[Event], Storm] | None:
    """What an event would be a storm of; None without a rule."""
    if isinstance(rule, str):
        return None
    key, over = compile_key(rule.by, missing=""), rule.over
    return lambda event: Storm(key(event) or "", over.count, over.period)
