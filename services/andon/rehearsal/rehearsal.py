"""One test: its events through the router and the egress desk, in virtual time.

The desk is the engine's own, with a store in memory. A call takes no time. Every limit domain has a partition of its
own, and what the desk publishes for another receiver is read there, as from the topic.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, groupby
from math import inf
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from andon.core.delivery import Delivery
from andon.core.event import Event, Home, accepted_at
from andon.core.outcome import Merged, Outcome, Parked, Skipped, name_of
from andon.core.work import Item, Note, Write
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES
from andon.rehearsal.notices import last, notices
from andon.rehearsal.result import Came, Ending, Waiting
from andon.rehearsal.rules import Episodes, RehearsedWork, Rules
from andon.rehearsal.vendor import Outage, Vendor
from andon.routing.router import Router
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.runner import DEADLINE_S
from andon.runtime.desk.work import Success
from andon.runtime.failures import Failed, classify
from andon.store.memory import MemoryDeskStore

T = TypeVar("T")

# Retries are given up after a day and daily quotas renew at midnight; who waits for longer waits for ever.
_LONGEST_S = 30 * 86_400.0
_OWNER = "rehearsal"


class Rehearsal:
    """`run` the events, once. Raises nothing for what they contain."""

    def __init__(self, rules: Rules, router: Router, outages: Sequence[Outage]) -> None:
        self._rules = rules
        self._router = router
        self._now = 0.0
        self._vendor = rules.receivers.vendor = Vendor(outages, lambda: self._now)
        self._episodes = Episodes(rules)
        self._work = RehearsedWork(rules, self._episodes.causes)
        self._desk = Desk(self._work, room=rules.settings.limits.in_flight, deadline=DEADLINE_S)
        self._intake = Intake(self._desk, self._work, rules.metrics, "egress")
        self._store = MemoryDeskStore()
        self._homes: dict[str, Home] = {}
        self._unread: dict[Home, _Unread] = {}
        self._offsets = count()
        self._deliveries: dict[UUID, Delivery] = {}
        self._routed_to: dict[UUID, str] = {}
        self._ended: list[Ending] = []
        self._handed_on = Json(Delivery)

    def run(self, events: Sequence[Event], until: float | None) -> Came:
        """What comes of the events, which stand in the order of their acceptance, until then or until nothing is left
        to do."""
        with _uncollected():
            return self._run(events, until)

    def _run(self, events: Sequence[Event], until: float | None) -> Came:
        events = self._rules.enriched.of(events)
        moments = [(at, list(some)) for at, some in groupby(events, key=accepted_at)]
        for number, (at, some) in enumerate(moments):
            self._work.next_event = at
            self._pass(at)
            self._work.next_event = moments[number + 1][0] if number + 1 < len(moments) else inf
            for event in some:
                self._accept(event)
        self._pass(until if until is not None else self._now + _LONGEST_S)
        return self._came(events)

    # ---- time

    def _pass(self, until: float) -> None:
        """Lets time pass. Everything happens that is due before then; what is due at that moment comes after what is
        accepted at it."""
        while True:
            decision = self._desk.decide(self._now)
            self._commit(decision.writes.values())
            for call in decision.calls:
                if write := self._desk.ended(call, self._result(call), self._now):
                    self._commit((write,))
            if decision.calls or decision.writes or self._read_on():
                continue
            if decision.wake_at >= until:
                self._now = max(self._now, until)
                return
            self._now = max(self._now, decision.wake_at)

    def _result(self, call: Call) -> Success | Failed:
        try:
            return _at_once(self._work.call(call.item, call.entry.line, DEADLINE_S))
        except Exception as error:  # noqa: BLE001 - as the engine does
            return classify(error)

    # ---- in

    def _accept(self, event: Event) -> None:
        self._episodes.take(event)
        result = self._router.written(event)
        self._rules.coverage.routed(event, result)
        if result.ended is not None:
            self._ended.append(_ending(event.id, None, result.ended))
        for delivery in result.outputs:
            self._take(delivery, encode(delivery))

    def _take(self, delivery: Delivery, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        self._deliveries[delivery.id] = delivery
        self._routed_to.setdefault(delivery.id, delivery.receiver)
        home = self._homes.get(delivery.domain)
        if home is None:
            home = self._homes[delivery.domain] = Home(DELIVERIES, len(self._homes))
            self._desk.adopt(self._store.acquire(home, _OWNER, self._now), self._now)
        record = Record(home.topic, home.partition, next(self._offsets), 0, delivery.domain.encode(), value, headers)
        if home in self._unread:
            self._unread[home].records.append(record)
        else:
            self._read(home, deque((record,)))

    def _read(self, home: Home, records: deque[Record]) -> None:
        """Takes the records in; those that find no room stay unread until there is some."""
        while records:
            read = self._intake.read((records[0],))
            writes, refused = self._intake.take(read, self._store.known(ids(read)), self._now)
            self._commit(writes.values())
            if refused:
                self._unread[home] = _Unread(refused[home].item, records)
                return
            records.popleft()

    def _read_on(self) -> bool:
        """Takes in what found no room before, where there is room again; whether there was any."""
        roomy = [home for home, unread in self._unread.items() if self._desk.accepts(unread.first)]
        for home in roomy:
            self._read(home, self._unread.pop(home).records)
        return bool(roomy)

    # ---- out

    def _commit(self, writes: Iterable[Write]) -> None:
        """Stored, and at once published."""
        for write in writes:
            if write.notes:
                write.published = write.notes[-1][0]
            self._store.commit((write,))
            for _, note in write.notes:
                self._publish(note)

    def _publish(self, note: Note) -> None:
        if note.topic == DELIVERIES:
            onward = self._handed_on.decode(note.value or b"")
            self._rules.coverage.handed_on(self._routed_to[onward.id], onward.receiver)
            self._take(onward, note.value or b"", note.headers)

    # ---- what came of it

    def _came(self, events: Sequence[Event]) -> Came:
        known = {event.id: event for event in events}
        merged = {which: outcome for which, outcome in self._work.ended if isinstance(outcome, Merged)}
        endings: list[Ending] = []
        for which, outcome in self._work.ended:
            delivery = self._deliveries[which]
            self._rules.coverage.ended(delivery, outcome)
            whole = self._deliveries[last(merged, which)]
            endings.append(_ending(delivery.event.id, delivery.receiver, outcome, whole.event.id))
        waiting = [self._deliveries[item.id] for item in self._desk.items.values()]
        unread = [record for one in self._unread.values() for record in one.records]
        waiting += [self._deliveries[which] for which in ids(self._intake.read(unread))]
        return Came(
            known,
            tuple(notices(self._vendor.said, self._deliveries, merged, list(known))),
            (*self._ended, *endings),
            tuple(Waiting(one.event.id, one.receiver) for one in waiting),
        )


class _Unread(msgspec.Struct, frozen=True):
    """Records of a home whose queue is full, and the item that found no room."""

    first: Item
    records: deque[Record]


def _ending(event: str, receiver: str | None, outcome: Outcome, into: str = "") -> Ending:
    """`into` is the event that a merged one became part of."""
    by = {Merged: into, Skipped: getattr(outcome, "by", ""), Parked: getattr(outcome, "detail", "")}
    return Ending(event, receiver, name_of(outcome), str(outcome.reason), by.get(type(outcome), ""))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: what a storm makes lives until its test ends, and looking through it again and
    again for what might be garbage takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _at_once(call: Coroutine[Any, Any, T]) -> T:
    """The result of a call that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    call.close()
    raise AssertionError("a rehearsal waits for nothing")
