"""Why an event went where it went: the walk through the route tree, written down."""

from __future__ import annotations

import msgspec

from andon.core.event import Event
from andon.core.outcome import Skipped
from andon.routing.router import Router
from andon.routing.tree import Node


class Seen(msgspec.Struct, frozen=True):
    """A matcher, the value it looked at (None: there is none), and whether it held."""

    matcher: str
    value: str | None
    held: bool


class Visit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route the walk came to.

    `matched` says that all matchers held; `taken` that the event leaves by this very route and none below it.
    `silenced` names the time interval that kept a taken route from speaking.
    """

    path: str
    receiver: str
    matchers: tuple[Seen, ...]
    matched: bool
    taken: bool = False
    silenced: Skipped | None = None
    recipients: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The routes visited in the order of the walk, the receivers that hear of the event, or the rule that ended it."""

    visits: tuple[Visit, ...]
    receivers: tuple[str, ...]
    ended: Skipped | None = None


def explain(router: Router, event: Event) -> Explanation:
    """What `router.route(event)` decides, with the reasons. Slower, as it asks every route on the way. Never raises."""
    visits = _walk(router, event, router.root)[0]
    result = router.route(event)
    receivers = tuple(dict.fromkeys(delivery.receiver for delivery in result.outputs))
    return Explanation(tuple(visits), receivers, result.ended if isinstance(result.ended, Skipped) else None)


def _walk(router: Router, event: Event, node: Node) -> tuple[list[Visit], bool]:
    seen = tuple(Seen(matcher.text, matcher.seen(event), matcher.holds(event)) for matcher in node.matchers)
    if not all(one.held for one in seen):
        return [Visit(node.path, node.receiver, seen, matched=False)], False
    below: list[Visit] = []
    child_matched = False
    for child in node.children:
        visits, matched = _walk(router, event, child)
        below += visits
        child_matched = child_matched or matched
        if matched and not child.goes_on:
            break
    if child_matched:
        return [Visit(node.path, node.receiver, seen, matched=True), *below], True
    silenced = node.silenced(event)
    names = () if silenced else router.targets[node.receiver].recipients(event)
    here = Visit(node.path, node.receiver, seen, matched=True, taken=True, silenced=silenced, recipients=names)
    return [here, *below], True
