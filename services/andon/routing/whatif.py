"""What other rules would have done to recorded events: who would have gained or lost which notices. Pure, and sends
nothing.

A notice is one event for one receiver, as routing decides it; groups, limits and digests, which come after it, make
fewer messages of them under either rules.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from andon.core.event import Event, accepted_at
from andon.core.last import Last
from andon.routing.kinds import Decision, Heard, Kinds
from andon.routing.router import Router

EXAMPLES = 5
MOST_PEOPLE = 100_000
_MOST_KINDS = 20_000
_REMEMBERED = 50_000


class Example(msgspec.Struct, frozen=True):
    """One of the events a figure counts; `at` is when it was accepted, in seconds since 1970."""

    event: str
    source: str
    type: str
    subject: str
    at: float


class OfReceiver(msgspec.Struct):
    """A receiver's notices: the same under both rules, only under the new ones, only under the old ones, and those that
    would go to other people or be urgent where they are not."""

    receiver: str
    kept: int = 0
    gained: int = 0
    lost: int = 0
    changed: int = 0
    gains: list[Example] = []
    losses: list[Example] = []


class OfPerson(msgspec.Struct):
    """A recipient's notices, whatever the receiver they come by."""

    person: str
    gained: int = 0
    lost: int = 0


class OfRule(msgspec.Struct):
    """The notices a route is the cause of: those gained by one of the new rules (`version` 0), those lost by one of the
    old."""

    version: int
    route: str
    receiver: str
    matchers: tuple[str, ...]
    gained: int = 0
    lost: int = 0


class Difference(msgspec.Struct, frozen=True):
    """`different` events of `events` would be told to others; `silent` of them to nobody any more, `heard` to somebody
    where there was nobody. `notices` is what is gained, lost and changed, summed over the receivers. Receivers, people
    and rules stand in the order of their changes, the most first. `cut` says that there are more people than listed."""

    events: int
    different: int
    notices: int
    silent: int
    heard: int
    receivers: tuple[OfReceiver, ...]
    people: tuple[OfPerson, ...]
    rules: tuple[OfRule, ...]
    cut: bool = False


class _Kind(msgspec.Struct):
    """Events with the same two decisions; the old one is of this version."""

    version: int
    decision: Decision
    count: int = 0
    examples: list[Example] = []


class WhatIf:
    """Takes events and compares; one that comes again soon, as of two doors, counts once. Memory is bounded by the
    receivers, rules and people there are."""

    def __init__(self) -> None:
        self._seen = Last[tuple[str, str]](_REMEMBERED)
        self._both: dict[int, tuple[Router, Router, Kinds]] = {}
        self._kinds: dict[int, _Kind] = {}
        self._events = self._different = self._silent = self._heard = 0
        self._receivers: dict[str, OfReceiver] = {}
        self._people: dict[str, OfPerson] = {}
        self._rules: dict[tuple[int, str, str], OfRule] = {}
        self._cut = False

    def take(self, event: Event, old: Router, new: Router) -> None:
        """One more event, the router of the version it is compared with, and that of the new rules, which is always the
        same for one version."""
        key = (event.source, event.id)
        if key in self._seen:
            return
        self._seen.put(key)
        known = self._both.get(old.version)
        if known is None:
            known = self._both[old.version] = (old, new, Kinds(old, new))
        decision = known[2].decide(event)
        kind = self._kinds.get(id(decision))
        if kind is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._count()
            # It keeps the decision, so that its identity stays its own.
            kind = self._kinds[id(decision)] = _Kind(old.version, decision)
        kind.count += 1
        if kind.count <= EXAMPLES:
            kind.examples.append(Example(event.id, event.source, event.type, event.subject, accepted_at(event)))

    def difference(self) -> Difference:
        """What there was so far."""
        self._count()
        receivers = sorted(self._receivers.values(), key=lambda one: (-_changes(one), one.receiver))
        people = sorted(self._people.values(), key=lambda one: (-one.gained - one.lost, one.person))
        rules = sorted(self._rules.values(), key=lambda one: (-one.gained - one.lost, one.version, one.route))
        return Difference(
            events=self._events,
            different=self._different,
            notices=sum(map(_changes, receivers)),
            silent=self._silent,
            heard=self._heard,
            receivers=tuple(receivers),
            people=tuple(people),
            rules=tuple(rules),
            cut=self._cut,
        )

    # ---- counting

    def _count(self) -> None:
        for kind in self._kinds.values():
            self._events += kind.count
            self._compare(kind)
        self._kinds.clear()

    def _compare(self, kind: _Kind) -> None:
        old, new = ({one.receiver: one for one in side} for side in kind.decision.sides)
        same = {name for name in old.keys() & new.keys() if _same(old[name], new[name])}
        for name in same:
            self._receiver(name).kept += kind.count
        if len(same) == len(old) == len(new):
            return
        self._different += kind.count
        self._silent += kind.count if not new else 0
        self._heard += kind.count if not old else 0
        for name in old.keys() & new.keys() - same:
            self._receiver(name).changed += kind.count
        for name in new.keys() - old.keys():
            of = self._receiver(name)
            of.gained += kind.count
            of.gains += kind.examples[: EXAMPLES - len(of.gains)]
            self._rule(0, self._both[kind.version][1], new[name]).gained += kind.count
        for name in old.keys() - new.keys():
            of = self._receiver(name)
            of.lost += kind.count
            of.losses += kind.examples[: EXAMPLES - len(of.losses)]
            self._rule(kind.version, self._both[kind.version][0], old[name]).lost += kind.count
        self._tell(_people(old.values()), _people(new.values()), kind.count)

    def _tell(self, before: set[str], after: set[str], count: int) -> None:
        for name in before ^ after:
            if name not in self._people and len(self._people) >= MOST_PEOPLE:
                self._cut = True
                continue
            person = self._people.setdefault(name, OfPerson(name))
            if name in after:
                person.gained += count
            else:
                person.lost += count

    def _receiver(self, name: str) -> OfReceiver:
        return self._receivers.setdefault(name, OfReceiver(name))

    def _rule(self, version: int, router: Router, heard: Heard) -> OfRule:
        key = (version, heard.route, heard.receiver)
        if key not in self._rules:
            node = next(node for node in router.root.all() if node.path == heard.route)
            matchers = tuple(matcher.text for matcher in node.matchers)
            self._rules[key] = OfRule(version, heard.route, heard.receiver, matchers)
        return self._rules[key]


def _same(one: Heard, other: Heard) -> bool:
    return one.urgent == other.urgent and (one.names == other.names or set(one.names) == set(other.names))


def _people(heard: Iterable[Heard]) -> set[str]:
    return {name for one in heard for name in one.names}


def _changes(one: OfReceiver) -> int:
    return one.gained + one.lost + one.changed
