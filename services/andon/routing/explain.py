"""Why an event went where it went: the walk through the route tree, written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from andon.core.delivery import Delivery, Fallback, Hold, Remark
from andon.core.event import Event, accepted_at
from andon.core.matchers import Matcher
from andon.core.outcome import Skipped
from andon.core.policy import Pace
from andon.routing.router import Router
from andon.routing.tree import Node


class Seen(msgspec.Struct, frozen=True):
    """A matcher, the value it looked at (None: there is none), and whether it held."""

    matcher: str
    value: str | None
    held: bool


class Asked(msgspec.Struct, frozen=True):
    """A time interval of a route, and whether it held when the event was accepted; None: the working calendar does not
    know the day."""

    interval: str
    kind: Literal["active", "mute"]
    held: bool | None


class Elsewhere(msgspec.Struct, frozen=True):
    """Who hears of the event by another receiver of the same account, and so not by this one again."""

    receiver: str
    names: tuple[str, ...]


class Visit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One route the walk came to.

    `matched` says that all matchers held; `taken` that the event leaves by this very route and none below it.
    `silenced` names the time interval that kept a taken route from speaking; `intervals` are those of a taken route,
    `elsewhere` its people who hear by another one.
    """

    path: str
    receiver: str
    matchers: tuple[Seen, ...]
    matched: bool
    taken: bool = False
    silenced: Skipped | None = None
    recipients: tuple[str, ...] = ()
    intervals: tuple[Asked, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """Whom one entry of a receiver's `to` names; the entry is empty for a receiver that stands for itself."""

    entry: str
    names: tuple[str, ...]


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One receiver that hears of the event: by which route, who and why they, and what the desk is to keep to.

    `group` is the key of the route's group, which keeps `pace`; `merge` the key of the receiver's merge rule, None
    where it refuses merging; `fallback` who is told instead; `remarks` in what routing had to help itself.
    """

    receiver: str
    route: str
    domain: str
    to: tuple[Named, ...]
    recipients: int
    urgent: bool = False
    group: str | None = None
    pace: Pace | None = None
    merge: str | None = None
    fallback: tuple[Fallback, ...] = ()
    remarks: tuple[Remark, ...] = ()


class Muting(msgspec.Struct, frozen=True):
    """A mute or a maintenance window that was in force when the event was accepted, and what it looked at. It took the
    event if all of its matchers held."""

    by: str
    then: str
    until: datetime
    matchers: tuple[Seen, ...]


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The routes visited in the order of the walk, the receivers that hear of the event, or the rule that ended it.

    `at` is when it was accepted, the time that intervals were asked about; `episode` the fault it belongs to. `mutes`
    are those that were in force; `held` says that the receivers hear of it only when one of them is over.
    """

    version: int
    at: float
    visits: tuple[Visit, ...]
    receivers: tuple[str, ...]
    told: tuple[Told, ...] = ()
    episode: str | None = None
    ended: Skipped | None = None
    mutes: tuple[Muting, ...] = ()
    held: Hold | None = None


def explain(router: Router, event: Event) -> Explanation:
    """What `router.route(event)` decides, with the reasons. Slower, as it asks every route on the way. Never raises."""
    visits = _walk(router, event, router.root)[0]
    result = router.route(event)
    whole = _whole(result.outputs)
    return Explanation(
        version=router.version,
        at=accepted_at(event),
        visits=tuple(_with_elsewhere(router, visit, whole) for visit in visits),
        receivers=tuple(whole),
        told=tuple(_told(router, event, parts) for parts in whole.values()),
        episode=router.episode(event),
        ended=result.ended if isinstance(result.ended, Skipped) else None,
        mutes=tuple(_mutes(router, event)),
        held=next((delivery.held for delivery in result.outputs), None),
    )


def _mutes(router: Router, event: Event) -> Iterator[Muting]:
    at = accepted_at(event)
    for one in router.silences.all:
        if (end := one.until(at)) is not None:
            yield Muting(one.by, one.then, datetime.fromtimestamp(end, UTC), _seen(one.matchers, event))


def _seen(matchers: Sequence[Matcher], event: Event) -> tuple[Seen, ...]:
    return tuple(Seen(matcher.text, matcher.seen(event), matcher.holds(event)) for matcher in matchers)


def _whole(deliveries: tuple[Delivery, ...]) -> dict[str, list[Delivery]]:
    """The deliveries by their receiver: one, or the parts of a long list of people."""
    found: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.receiver, []).append(delivery)
    return found


def _with_elsewhere(router: Router, visit: Visit, whole: dict[str, list[Delivery]]) -> Visit:
    told = {receiver: {name for part in parts for name in part.recipients} for receiver, parts in whole.items()}
    account = router.targets[visit.receiver].account
    left = [name for name in visit.recipients if name not in told.get(visit.receiver, ())]
    if not left or account is None:
        return visit
    others = (other for other in told if (a := router.targets[other].account) and a.name == account.name)
    found = ((other, tuple(name for name in left if name in told[other])) for other in others)
    return msgspec.structs.replace(visit, elsewhere=tuple(Elsewhere(other, names) for other, names in found if names))


def _told(router: Router, event: Event, parts: list[Delivery]) -> Told:
    first = parts[0]
    by_entry = router.targets[first.receiver].named(event)
    return Told(
        first.receiver,
        first.route,
        first.domain,
        to=tuple(Named(entry, names) for entry, names in by_entry),
        recipients=sum(len(part.recipients) for part in parts),
        urgent=first.urgent,
        group=first.batch,
        pace=first.pace,
        merge=first.group,
        fallback=first.fallback,
        remarks=first.remarks,
    )


def _walk(router: Router, event: Event, node: Node) -> tuple[list[Visit], bool]:
    seen = _seen(node.matchers, event)
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
    silenced, at = node.silenced(event), accepted_at(event)
    here = Visit(
        node.path,
        node.receiver,
        seen,
        matched=True,
        taken=True,
        silenced=silenced,
        recipients=() if silenced else router.targets[node.receiver].recipients(event),
        intervals=(
            *(Asked(one.name, "active", one.holds(at)) for one in node.active),
            *(Asked(one.name, "mute", one.holds(at)) for one in node.mute),
        ),
    )
    return [here, *below], True
