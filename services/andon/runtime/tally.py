"""Counting from the topics what was accepted and what became of it: conservation, as anyone outside can check it."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from datetime import datetime
from itertools import chain
from math import inf
from sys import intern
from typing import Generic, TypeVar

import msgspec

from andon.core.event import Home, Position
from andon.core.last import Last
from andon.core.outcome import Delivered, Outcome, name_of
from andon.kafka.admin import Cluster
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.reader import TopicReader
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES, TICKETS

K = TypeVar("K", bound=Hashable)

_LATENCIES = 20_000
_REMEMBERED = 50_000
_UNDONE = 200_000
_TOPICS = (EVENTS, DELIVERIES, OUTCOMES, TICKETS)


class TallySnapshot(msgspec.Struct, frozen=True):
    """The figures at one moment. `waiting` deliveries have no outcome yet; `lost` events have neither delivery nor
    outcome, which holds for events on their way too: it means what it says once nothing moves."""

    accepted: int
    deliveries: int
    delivered: int
    merged: int
    skipped: int
    parked: int
    waiting: int
    lost: int
    tickets_opened: int
    tickets_closed: int
    latency_ms_p50: float | None
    latency_ms_p99: float | None


class _Event(msgspec.Struct, frozen=True, gc=False):
    id: str
    source: str


class _Delivery(msgspec.Struct):
    id: str
    event: _Event


class _Outcome(msgspec.Struct):
    id: str
    event: str
    source: str
    outcome: Outcome
    at: datetime
    delivery: str | None = None
    origin: tuple[Position, ...] = ()


class _Ticket(msgspec.Struct):
    id: str
    state: str


_EVENT, _DELIVERY, _OUTCOME, _TICKET = Json(_Event), Json(_Delivery), Json(_Outcome), Json(_Ticket)


class Pairs(Generic[K]):
    """What begins and ends, told of in any order and any number of times: how many began, and which are `open`."""

    def __init__(self, remembered: float, undone: float) -> None:
        self.begun = 0
        self.open: OrderedDict[K, None] = OrderedDict()
        self._early: OrderedDict[K, None] = OrderedDict()  # ended, and not seen to begin yet
        self._over = Last[K](remembered)
        self._undone = undone

    def begin(self, key: K) -> None:
        if key in self.open or self._over.get(key) is not None:
            return
        self.begun += 1
        self._half(key, self.open, self._early)

    def end(self, key: K) -> None:
        if key not in self._early and self._over.get(key) is None:
            self._half(key, self._early, self.open)

    def _half(self, key: K, mine: OrderedDict[K, None], other: OrderedDict[K, None]) -> None:
        if key in other:
            del other[key]
            self._over.put(key)
            return
        mine[key] = None
        if len(mine) > self._undone:
            mine.popitem(last=False)

    def __iter__(self) -> Iterator[K]:
        """The keys of all that began and are not forgotten."""
        return chain(self.open, self._over)


class Count:
    """The arithmetic: takes records of the four topics in any order, each any number of times.

    A `whole` one keeps every id, and its figures are exact. Any other is for a plant that runs for months: of what has
    ended it remembers the last 50,000 at least, of what is open the newest 200,000, and `waiting` is never more. An id
    that comes again when it is forgotten, as a late redrive or repeat may bring it, counts once more.
    """

    def __init__(self, *, whole: bool = True, remembered: int = _REMEMBERED, undone: int = _UNDONE) -> None:
        bounds = (inf, inf) if whole else (remembered, undone)
        self._events = Pairs[_Event](*bounds)
        self._deliveries = Pairs[str](*bounds)
        self._ended = Last[str](bounds[0])
        self._tickets = Last[str](bounds[0])
        self._ends = Counter[str]()
        self._states = Counter[str]()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._take: dict[str, Callable[[bytes], None]] = {
            EVENTS: self._event,
            DELIVERIES: self._delivery,
            OUTCOMES: self._outcome,
            TICKETS: self._ticket,
        }

    def take(self, record: Record) -> None:
        """Counts a record; what cannot be decoded counts as nothing."""
        try:
            self._take[record.topic](record.value)
        except Undecodable:
            return

    def _event(self, value: bytes) -> None:
        self._events.begin(_EVENT.decode(value))

    def _delivery(self, value: bytes) -> None:
        delivery = _DELIVERY.decode(value)
        self._deliveries.begin(delivery.id)
        self._events.end(delivery.event)

    def _outcome(self, value: bytes) -> None:
        ended = _OUTCOME.decode(value)
        self._events.end(_Event(ended.event, ended.source))
        if ended.delivery:
            self._deliveries.end(ended.delivery)
        # Of what was redriven, the later end; a delivery ends anew under another id of the outcome.
        what = ended.delivery or ended.id
        before = self._ended.get(what)
        now = name_of(ended.outcome)
        if now == before:
            return
        self._ended.put(what, intern(now))
        self._ends[now] += 1
        if before:
            self._ends[before] -= 1
        if isinstance(ended.outcome, Delivered) and ended.origin:
            self._latencies.append(ended.at.timestamp() * 1000 - ended.origin[0].at)

    def _ticket(self, value: bytes) -> None:
        ticket = _TICKET.decode(value)
        if self._tickets.get(ticket.id) is None:  # a record's id stands for one state
            self._tickets.put(ticket.id)
            self._states[ticket.state] += 1

    def accepted_ids(self) -> set[str]:
        """The ids of the accepted events; of all of them only if it is whole."""
        return {event.id for event in self._events}

    def snapshot(self) -> TallySnapshot:
        """The figures, for the same work however much was counted."""
        latencies = sorted(self._latencies)
        return TallySnapshot(
            accepted=self._events.begun,
            deliveries=self._deliveries.begun,
            delivered=self._ends["delivered"],
            merged=self._ends["merged"],
            skipped=self._ends["skipped"],
            parked=self._ends["parked"],
            waiting=len(self._deliveries.open),
            lost=len(self._events.open),
            tickets_opened=self._states["ticket_opened"],
            tickets_closed=self._states["ticket_closed"],
            latency_ms_p50=quantile(latencies, 0.5),
            latency_ms_p99=quantile(latencies, 0.99),
        )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile, None of nothing."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None


class Tally:
    """Follows the topics in a thread. `from_start` counts everything they hold, else what comes from now on; `whole` is
    as of a `Count`."""

    def __init__(self, connection: Connection, *, from_start: bool = True, whole: bool = True) -> None:
        self._connection = connection
        self._from_start = from_start
        self._next: dict[Home, int] = {}
        self._count = Count(whole=whole)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tally", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except KafkaFailure:  # the broker is away; what was counted stays, and is counted once
                self._closing.wait(1.0)

    def _read(self) -> None:
        if not self._next:  # decided once: after a failure it goes on where it was
            self._next = Cluster(self._connection).ends(_TOPICS, earliest=self._from_start)
        if {home.topic for home in self._next} != set(_TOPICS):
            self._next = {}
            raise KafkaFailure("the topics are not there yet")
        with closing(TopicReader(self._connection, self._next, patient=True)) as reader:
            while not self._closing.is_set():
                records = reader.poll()
                with self._lock:
                    for record in records:
                        self._count.take(record)
                        self._next[record.home] = record.offset + 1

    def snapshot(self) -> TallySnapshot:
        with self._lock:
            return self._count.snapshot()

    def accepted_ids(self) -> AbstractSet[str]:
        """The ids of every event in `andon.events`; `whole` only."""
        with self._lock:
            return self._count.accepted_ids()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
