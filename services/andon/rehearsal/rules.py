"""The rules of one configuration, ready to be rehearsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from andon.config.load import Loaded
from andon.config.published import Published
from andon.config.published import published as as_version
from andon.core.event import Event
from andon.core.mute import Mute
from andon.core.outcome import Outcome, RecipientState, Skipped
from andon.core.ports import Channel
from andon.core.work import Item
from andon.egress.desk import EgressWork
from andon.egress.holding import silences
from andon.egress.inhibition import Causes
from andon.egress.receivers import Receivers, Served
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import ACTIVE, ENRICHED
from andon.rehearsal.coverage import Coverage
from andon.rehearsal.facts import Enriched
from andon.rehearsal.vendor import Counter, Vendor
from andon.routing.published import router_of
from andon.routing.router import Router
from andon.runtime.clock import SystemClock
from andon.runtime.desk.work import Held, Told
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.ticketing.desk import Systems, TicketWork, compiled
from andon.web.nowire import NoWire


class Rules:
    """Everything that is compiled once: router, receivers with their templates, enrichment, and what tests reached.

    No secret is looked at. Raises what a plug-in raises that cannot be built.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._registry = registry = Registry()
        self._published = published = as_version(loaded, 1, "", datetime.fromtimestamp(0, UTC))
        self.settings = settings = published.settings
        self.zone = ZoneInfo(settings.site.zone)
        self.router = router_of(published, registry)
        self.receivers = RehearsedReceivers(published, registry)
        self.enriched = Enriched(published, registry, NoWire())
        self.metrics = Metrics()
        self.coverage = Coverage(self.router, settings)

    def muted(self, mutes: Sequence[Mute]) -> Router:
        """The router while there are these mutes, of which the receivers know from now on too."""
        published = replace(self._published, mutes=tuple(mutes))
        self.receivers.silences = silences(published)
        return router_of(published, self._registry) if mutes else self.router


class RehearsedReceivers(Receivers):
    """The receivers with their own policies, templates and ways to split, and `vendor` behind all of their channels."""

    def __init__(self, published: Published, registry: Registry) -> None:
        super().__init__(published, registry, NoWire(), SystemClock())
        self.vendor = Vendor((), lambda: 0.0)
        self._rehearsed: dict[str, Served] = {}
        for name in self:
            served = super().__getitem__(name)
            counter: Channel = Counter(served.channel, lambda: self.vendor)
            self._rehearsed[name] = msgspec.structs.replace(served, channel=counter)

    def __getitem__(self, name: str) -> Served:
        return self._rehearsed[name]


class RehearsedWork(EgressWork):
    """The egress desk's own work, which also tells `coverage` what holds deliveries back, and remembers how those that
    nobody else is told of `ended`, by their ids.

    What waits asks again when it may have an end, and not before: for the end of its mute, or of its cause, which only
    the next event can bring (`next_event`).
    """

    def __init__(self, rules: Rules, causes: Causes) -> None:
        super().__init__(rules.receivers, rules.metrics, causes)
        self._causes = causes
        self._coverage = rules.coverage
        self.next_event = inf
        self.ended: list[tuple[UUID, Outcome]] = []

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        told = super().closed(item, outcome, recipients, now)
        if told.kept is None:
            self.ended.append((item.id, outcome))
        return told

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        turn = super().turn(item, behind, now)
        if not isinstance(turn, Held):
            return turn
        delivery = self._delivery(item.body)
        if delivery.held:
            return Held(max(turn.until, delivery.held.until.timestamp()))
        if by := self.receivers.inhibition.by(delivery, self._causes):
            self._coverage.inhibited(by)
        return Held(max(turn.until, self.next_event))


class Episodes:
    """The faults that are open, as the ticketing desk would tell of them; known as soon as an event is accepted."""

    def __init__(self, rules: Rules) -> None:
        self.causes = Causes()
        self.causes.known = True
        systems = Systems(compiled(rules.settings.episodes), {}, {})
        self._asked = bool(rules.settings.inhibit_rules)
        self._tickets = TicketWork(systems, rules.metrics, SystemClock())

    def take(self, event: Event) -> None:
        """An event was accepted."""
        if not self._asked:
            return
        place = event.origin[0]
        record = Record(ENRICHED, 0, place.offset, place.at, event.subject.encode(), encode(event))
        for note in self._tickets.read(record).take({}).notes:
            if note.topic == ACTIVE:
                self.causes.take(note.key, note.value or b"")
