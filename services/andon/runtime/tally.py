"""Counting from the topics what was accepted and what became of it: conservation, as anyone outside can check it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec

from andon.core.event import Home, Position
from andon.core.outcome import Delivered, Outcome, name_of
from andon.kafka.admin import Cluster
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.reader import TopicReader
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES, TICKETS

_LATENCIES = 20_000
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


class _Event(msgspec.Struct):
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


class Count:
    """The arithmetic: takes records of the four topics in any order, each any number of times."""

    def __init__(self) -> None:
        self.accepted: dict[str, tuple[str, str]] = {}
        self._told: set[tuple[str, str]] = set()
        self._deliveries: set[str] = set()
        self._ended: dict[str, str] = {}
        self._finished: set[str] = set()
        self._tickets: dict[str, str] = {}
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._take: dict[str, Callable[[bytes], None]] = {
            EVENTS: self._event,
            DELIVERIES: self._delivery,
            OUTCOMES: self._outcome,
            TICKETS: self._ticket,
        }
        self._codecs = (Json(_Event), Json(_Delivery), Json(_Outcome), Json(_Ticket))

    def take(self, record: Record) -> None:
        """Counts a record; what cannot be decoded counts as nothing."""
        try:
            self._take[record.topic](record.value)
        except Undecodable:
            return

    def _event(self, value: bytes) -> None:
        event = self._codecs[0].decode(value)
        self.accepted[event.id] = (event.source, event.id)

    def _delivery(self, value: bytes) -> None:
        delivery = self._codecs[1].decode(value)
        self._deliveries.add(delivery.id)
        self._told.add((delivery.event.source, delivery.event.id))

    def _outcome(self, value: bytes) -> None:
        ended = self._codecs[2].decode(value)
        self._told.add((ended.source, ended.event))
        if ended.delivery:
            self._finished.add(ended.delivery)
        before = self._ended.get(ended.id)
        self._ended[ended.id] = name_of(ended.outcome)  # of what was redriven, the later end
        if isinstance(ended.outcome, Delivered) and ended.origin and before != "delivered":
            self._latencies.append(ended.at.timestamp() * 1000 - ended.origin[0].at)

    def _ticket(self, value: bytes) -> None:
        ticket = self._codecs[3].decode(value)
        self._tickets[ticket.id] = ticket.state

    def snapshot(self) -> TallySnapshot:
        outcomes = list(self._ended.values())
        tickets = list(self._tickets.values())
        return TallySnapshot(
            accepted=len(self.accepted),
            deliveries=len(self._deliveries),
            delivered=outcomes.count("delivered"),
            merged=outcomes.count("merged"),
            skipped=outcomes.count("skipped"),
            parked=outcomes.count("parked"),
            waiting=len(self._deliveries - self._finished),
            lost=len(set(self.accepted.values()) - self._told),
            tickets_opened=tickets.count("ticket_opened"),
            tickets_closed=tickets.count("ticket_closed"),
            latency_ms_p50=quantile(self._latencies, 0.5),
            latency_ms_p99=quantile(self._latencies, 0.99),
        )


def quantile(values: deque[float], share: float) -> float | None:
    """The nearest-rank quantile, None of nothing."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None


class Tally:
    """Follows the topics in a thread. `from_start` counts everything they hold, else what comes from now on."""

    def __init__(self, connection: Connection, *, from_start: bool = True) -> None:
        self._connection = connection
        self._from_start = from_start
        self._next: dict[Home, int] = {}
        self._count = Count()
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
        reader = TopicReader(self._connection, self._next, patient=True)
        try:
            while not self._closing.is_set():
                records = reader.poll()
                with self._lock:
                    for record in records:
                        self._count.take(record)
                        self._next[record.home] = record.offset + 1
        finally:
            reader.close()

    def snapshot(self) -> TallySnapshot:
        with self._lock:
            return self._count.snapshot()

    def accepted_ids(self) -> AbstractSet[str]:
        """The ids of every event in `andon.events`."""
        with self._lock:
            return set(self._count.accepted)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
