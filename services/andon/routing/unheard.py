"""Why an event that was routed led to nothing for a person: the walk through the routes, asked for their sake."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from andon.config.computed import is_computed
from andon.core.event import Event
from andon.core.outcome import Skipped
from andon.core.reason import Reason
from andon.routing.causes import Answer, Cause, of, skipped
from andon.routing.explain import Visit, explain
from andon.routing.router import Router
from andon.routing.tree import Node

NONE_HAS = "no receiver of version"


def of_event(router: Router, event: Event, names: AbstractSet[str]) -> Answer:
    """Why an event led to no delivery to the person of these names, by what `router` decides about it."""
    version = router.version
    nodes: list[Node] = []
    router.root.collect(event, nodes)
    for node in nodes:
        if not concerns(router, node, event, names):
            continue
        if silenced := node.silenced(event):
            cause, said = skipped(silenced)
        elif not router.targets[node.receiver].hears(event):
            cause, said = skipped(Skipped(Reason.RESOLVED, node.receiver))
        else:
            cause, said = _whole(router, event)
        came = None if cause is Cause.ROUTING else False
        return of(event, cause, came, said, receiver=node.receiver, route=node.path, version=version)
    for node in nodes:
        entries = list(filter(is_computed, router.targets[node.receiver].settings.to))
        if entries and not node.silenced(event):
            others = router.targets[node.receiver].recipients(event)
            whom = ", ".join(others[:3]) or "nobody"
            said = f"{node.receiver} of route {node.path} names {whom} (by {', '.join(entries)}), not them"
            return of(event, Cause.RECIPIENTS, False, said, receiver=node.receiver, route=node.path, version=version)
    said = _no_route(router, event, names, nodes)
    return of(event, Cause.ROUTE, False, said, version=version)


def _whole(router: Router, event: Event) -> tuple[Cause, str]:
    """Of an event that its route would tell: what ended it for everybody, else that it is on its way."""
    ended = router.route(event).ended
    if isinstance(ended, Skipped):
        return skipped(ended)
    return Cause.ROUTING, "it is to be told, and routing has not come to it"


def concerns(router: Router, node: Node, event: Event, names: AbstractSet[str]) -> bool:
    """Whether a route would tell the person of this event, apart from its times, be it by the receiver in the place of
    one that has nobody."""
    target, whom = router.targets[node.receiver].answering(event)
    told = whom.names or router.targets[node.receiver].recipients(event)
    return not names.isdisjoint({node.receiver, target.name, *told})


def _no_route(router: Router, event: Event, names: AbstractSet[str], taken: Sequence[Node]) -> str:
    theirs = [node for node in router.root.all() if concerns(router, node, event, names)]
    where = ", ".join(f"{node.path} ({node.receiver})" for node in taken)
    if not theirs:
        return f"{NONE_HAS} {router.version} has them; it went by {where}"
    visits = {visit.path: visit for visit in explain(router, event).visits}
    seen = [visits[node.path] for node in theirs if node.path in visits and not visits[node.path].matched]
    if seen:
        nearest = min(seen, key=lambda visit: sum(not one.held for one in visit.matchers))
        return f"route {nearest.path} ({nearest.receiver}) {_unheld(nearest)}; it went by {where}"
    first = theirs[0]
    above = next((v for path, v in visits.items() if first.path.startswith(f"{path}.") and not v.matched), None)
    if above is not None:
        return f"route {first.path} ({first.receiver}) lies in {above.path}, which {_unheld(above)}; it went by {where}"
    return f"route {where} took it before {first.path} ({first.receiver}) was asked"


def _unheld(visit: Visit) -> str:
    wrong = [f"{one.matcher}, and it is {one.value or 'not there'}" for one in visit.matchers if not one.held]
    return f"asks for {'; '.join(wrong)}"
