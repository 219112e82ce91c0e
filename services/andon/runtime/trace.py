"""The path of one event: where it stands in the topics, and what became of it. Blocking; reads, and changes nothing.

Nothing is searched from end to end. The door's index and the desks' stores say where a record stands; without them
the time in a UUIDv7 and the order of the topics do: an enriched record lies in the partition of its event and in the
order of its events, and a subject's outcomes lie in that partition too. What is left to reading is bounded, and
`Tracer.said` tells when a bound was met; how far the event itself was looked for, `Tracer.looked`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec

from andon.core.delivery import Delivery, delivery_id, ended_id, outcome_id
from andon.core.event import Event, Home, Position, accepted_at, at_position
from andon.core.ids import minted_at
from andon.core.outcome import OutcomeRecord, Parked
from andon.core.ticket import EpisodeRecord
from andon.core.work import memo_name
from andon.kafka.codecs import Json
from andon.kafka.partitioner import partition_of
from andon.kafka.records import Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DELIVERIES, DLQ, ENRICHED, EVENTS, OUTCOMES, TICKETS
from andon.runtime import parked

if TYPE_CHECKING:  # a trace from the topics alone does without the database library
    from andon.store.lookup import Kept, Lookup
    from andon.store.requests import RequestIndex

T = TypeVar("T")

MOST_EVENTS = 200_000
MOST = 50_000
_SKEW_S = 2.0
_DAY_S = 86_400.0
_MINTED_S = ((-0.1, 0.4), (0.4, 3.0), (-3.0, -0.1), (3.0, 60.0), (-60.0, -3.0))


class Accepted(msgspec.Struct, frozen=True):
    """The event as the log has it, with its position as `origin`; the client that sent it, if that is known."""

    event: Event
    found: str
    client: str | None = None

    @property
    def position(self) -> Position:
        return self.event.origin[0]


class Sent(msgspec.Struct, frozen=True):
    """One delivery of the event: as routing wrote it, as the desk keeps it, and its outcomes (one per redrive)."""

    delivery: Delivery
    kept: Kept | None = None
    outcomes: tuple[OutcomeRecord, ...] = ()


class _Ways(msgspec.Struct):
    origin: tuple[Position, ...] = ()


class Tracer:
    """Looks for one event after the other. `indexes` are those of the doors; without them, or without a desk's store,
    the topics are read. `first` is the count of partitions the topics began with, if they have another one now.
    Methods raise KafkaFailure and StoreFailure.
    """

    def __init__(
        self,
        scan: Scan,
        indexes: Sequence[RequestIndex] = (),
        egress: Lookup | None = None,
        ticketing: Lookup | None = None,
        first: int | None = None,
    ) -> None:
        self.said: list[str] = []
        self.looked: list[str] = []
        self._scan = scan
        self._counts = scan.partitions()
        self._indexes = indexes
        self._egress = egress
        self._ticketing = ticketing
        self._first = first
        self._events = Json(Event)
        self._deliveries = Json(Delivery)
        self._outcomes = Json(OutcomeRecord)
        self._tickets = Json(EpisodeRecord)
        self._ways = Json(_Ways)

    # ---- the event

    def event(self, event_id: str, source: str | None, clients: Mapping[str, str]) -> Accepted | None:
        """Where the log has it. `clients` gives each client's source, as configured; `source` tells two events with
        one id apart. None when it was not found; `looked` tells where was looked."""
        fits = self._fits(event_id, source)
        found = self._by_index(event_id, source, clients, fits) if self._indexes else None
        if found:
            return found
        homes = [Home(EVENTS, number) for number in range(self._counts.get(EVENTS, 0))]
        minted = minted_at(event_id)
        if minted is not None:
            for first, last in _MINTED_S:
                starts, ends = (self._scan.at_time(homes, minted + edge) for edge in (first, last))
                if event := self._search(starts, ends, event_id, fits, MOST_EVENTS):
                    return Accepted(event, "by the time in its id")
            self.looked.append("the minutes around the time in its id")
        ends, begins = self._scan.ends(homes), self._scan.beginnings(homes)
        share = MOST_EVENTS // max(1, len(homes))
        starts = {home: max(begins[home], ends[home] - share) for home in homes}
        event = self._search(starts, ends, event_id, fits, MOST_EVENTS)
        cut = starts != begins
        self.looked.append(f"the latest {MOST_EVENTS:,} records of {EVENTS}" if cut else f"all records of {EVENTS}")
        return Accepted(event, f"among {self.looked[-1]}") if event else None

    def _by_index(
        self, event_id: str, source: str | None, clients: Mapping[str, str], fits: Callable[[Event], bool]
    ) -> Accepted | None:
        from andon.store.requests import request_key, scope_of

        self.looked.append("the door's index")
        keys = [request_key(event_id, scope_of(client, source or own)) for client, own in clients.items()]
        for index in self._indexes:
            known = [index.find(event_id), *(one.position for one in index.read(keys))]
            for place in filter(None, known):
                event = self._at(place, self._events)
                if event is not None and fits(event):
                    client = _client(index, event, clients)
                    return Accepted(at_position(event, place), "by the door's index", client)
        return None

    @staticmethod
    def _fits(event_id: str, source: str | None) -> Callable[[Event], bool]:
        return lambda event: event.id == event_id and source in (None, event.source)

    def _search(
        self, starts: Mapping[Home, int], ends: Mapping[Home, int], text: str, fits: Callable[[Event], bool], most: int
    ) -> Event | None:
        return self._fitting(self._scan.stretch(starts, ends, having=needle(text), most=most), fits)

    def _fitting(self, records: Iterable[Record], fits: Callable[[Event], bool]) -> Event | None:
        for record in records:
            event = self._events.read(record.value)
            if event is not None and fits(event):
                return at_position(event, record.position)
        return None

    def enriched(self, accepted: Accepted) -> Event | None:
        """The event as enrichment passed it on."""
        place = accepted.position
        home = Home(ENRICHED, place.partition)
        start = self._scan.at_time([home], place.at / 1000 - _SKEW_S)[home]
        end = self._scan.ends([home])[home]
        found = self._scan.ordered(home, start, end, self._event_offset, place.offset)
        event = self._events.read(found.value) if found else None
        if found and event and event.id == accepted.event.id:
            return at_position(event, found.position)
        # Out of order, as after a repair of offsets.
        fits = self._fits(accepted.event.id, accepted.event.source)
        return self._fitting(self._stretch(ENRICHED, {home: start}, {home: end}, needle(accepted.event.id)), fits)

    def _event_offset(self, record: Record) -> int:
        ways = self._ways.read(record.value)
        return ways.origin[0].offset if ways and ways.origin else -1

    # ---- deliveries and outcomes

    def sent(
        self, event: Event, receivers: Iterable[str], expected: Mapping[UUID, str]
    ) -> tuple[list[Sent], OutcomeRecord | None]:
        """The deliveries of an event to any of these receivers, and its own outcome if it led to none. `expected`
        gives the limit domain of each delivery that should be there: without the store, those are searched for."""
        kept = self._kept(event, receivers)
        whole = [self._at(Position(k.home.topic, k.home.partition, k.offset), self._deliveries) for k in kept]
        found = {one.id: Sent(one, k) for one, k in zip(whole, kept, strict=True) if one}
        closed = [k for k in kept if k.outcome]
        lacking = expected.keys() - found.keys()
        records = self.outcomes(event, closed, lacking) if closed or lacking or not kept else []
        for record in records:
            if record.delivery is None:
                continue
            place = next((one for one in record.origin if one.topic == DELIVERIES), None)
            one = found[record.delivery].delivery if record.delivery in found else None
            one = one or (self._at(place, self._deliveries) if place else None)
            if one is not None:
                old = found.get(one.id, Sent(one))
                found[one.id] = msgspec.structs.replace(old, outcomes=(*old.outcomes, record))
        for number, domain in expected.items():
            if number not in found and (one := self._waiting(event, number, domain)):
                found[number] = Sent(one)
        own = next((one for one in records if one.delivery is None), None)
        return list(found.values()), None if found else own

    def kept(self, number: UUID) -> Kept | None:
        """A delivery as the desk keeps it; None also when the store is not at hand."""
        return self._egress.items([number]).get(number) if self._egress else None

    def _kept(self, event: Event, receivers: Iterable[str]) -> list[Kept]:
        if self._egress is None:
            return []
        ids = {delivery_id(event, name): name for name in receivers}
        found = self._egress.items(ids)
        for first in tuple(found):  # above 1,000 recipients a delivery comes in parts
            number = 2
            while more := self.kept(delivery_id(event, f"{ids[first]}#{number}")):
                found[more.id] = more
                number += 1
        return list(found.values())

    def outcomes(self, event: Event, closed: Sequence[Kept], missing: Collection[UUID]) -> list[OutcomeRecord]:
        """The records of `andon.outcomes` about an event: of deliveries the store says are closed, at their time; of
        the `missing` ones, and of the event itself if it led to none, from its acceptance on. One that a stage parked
        may have been redriven, and ended anew since."""
        found: dict[UUID, OutcomeRecord] = {}
        wanted = {outcome_id(k.id, k.redrive) for k in closed} | set(missing) or {ended_id(event)}
        early = bool(missing or not closed or any(k.redrive for k in closed))
        since = accepted_at(event) if early else min(k.closed or 0.0 for k in closed)
        homes = self._homes(OUTCOMES, event.origin[0].partition)
        starts, ends = self._scan.at_time(homes, since - _SKEW_S), self._scan.ends(homes)
        for record in self._stretch(OUTCOMES, starts, ends, needle(event.id)):
            one = self._outcomes.read(record.value)
            if one is None or (one.event, one.source) != (event.id, event.source):
                continue
            if one.delivery is None:
                found[one.id] = one
                if isinstance(one.outcome, Parked):
                    continue
                break
            found.setdefault(one.id, one)
            wanted.discard(one.id)
            if not wanted:
                break
        return list(found.values())

    def _waiting(self, event: Event, number: UUID, domain: str) -> Delivery | None:
        """A delivery without an outcome, found without the store."""
        homes = self._homes(DELIVERIES, partition_of(domain.encode(), self._counts[DELIVERIES]))
        starts = self._scan.at_time(homes, event.origin[-1].at / 1000 - _SKEW_S)
        for record in self._stretch(DELIVERIES, starts, self._scan.ends(homes), str(number).encode()):
            one = self._deliveries.read(record.value)
            if one is not None and one.id == number:
                return one
        return None

    # ---- episode and ticket, and what lies in the dead-letter topic

    def memo(self, enriched: Event, episode: str) -> bytes | None:
        """What the ticketing desk remembers of an episode."""
        homes = self._homes(ENRICHED, enriched.origin[-1].partition) if self._ticketing else []
        found = (self._ticketing.memo(home, memo_name(episode)) for home in homes if self._ticketing)
        return next((one for one in found if one is not None), None)

    def tickets(self, event: Event, episode: str, since: float, number: int | None) -> list[EpisodeRecord]:
        """The state changes of the event's episode, in order. `since` is when the episode may have begun, `number`
        which one of its key it is, if that is known; else it is the one the event changed, or the first found."""
        homes = self._homes(TICKETS, partition_of(episode.encode(), self._counts[TICKETS]))
        starts, ends = self._scan.at_time(homes, since - _SKEW_S), self._scan.ends(homes)
        found = self._episode(starts, ends, episode)
        number = next((one.number for one in found if one.event == event.id), number)
        number = number or next((one.number for one in found), None)
        ours = [one for one in found if one.number == number]
        if ours and ours[0].state != "raised":
            earlier = self._scan.at_time(homes, since - _DAY_S)
            ours = [*(one for one in self._episode(earlier, starts, episode) if one.number == number), *ours]
        return ours

    def _episode(self, starts: Mapping[Home, int], ends: Mapping[Home, int], episode: str) -> list[EpisodeRecord]:
        found = self._stretch(TICKETS, starts, ends, needle(episode))
        # A key goes to a partition of a higher number, if to another at all.
        inorder = sorted(found, key=lambda record: (record.partition, record.offset))
        read = (self._tickets.read(record.value) for record in inorder)
        return list({one.id: one for one in read if one is not None and one.episode == episode}.values())

    def parked(self, event: Event) -> list[parked.Entry]:
        """What of it lies in the dead-letter topic."""
        before = self._scan.read
        found = list(parked.entries(self._scan, accepted_at(event) - _SKEW_S, needle(event.id), MOST))
        self._say_if_cut(DLQ, before)
        return [one for one in found if (one.event, one.source) == (event.id, event.source)]

    # ---- reading

    def _stretch(
        self, topic: str, starts: Mapping[Home, int], ends: Mapping[Home, int], having: bytes
    ) -> Iterator[Record]:
        before = self._scan.read
        yield from self._scan.stretch(starts, ends, having=having, most=MOST)
        self._say_if_cut(topic, before)

    def _say_if_cut(self, topic: str, before: int) -> None:
        text = f"{MOST:,} records of {topic} were read for it, and there are more"
        if self._scan.read - before >= MOST and text not in self.said:
            self.said.append(text)

    def _homes(self, topic: str, partition: int) -> list[Home]:
        """Where the records of a key may stand that lie in this partition now, or lay there once: after a repartition
        these are several."""
        first = self._first or self._counts[topic]
        return [Home(topic, number) for number in range(partition % first, self._counts[topic], first)]

    def _at(self, place: Position, codec: Json[T]) -> T | None:
        record = self._scan.first_from(Home(place.topic, place.partition), place.offset, place.offset + 1)
        return codec.read(record.value) if record else None


def _client(index: RequestIndex, event: Event, clients: Iterable[str]) -> str | None:
    """Whose request it was: the index has a key of this client, this event's source and its id."""
    from andon.store.requests import request_key, scope_of

    known = (client for client in clients if index.read([request_key(event.id, scope_of(client, event.source))]))
    return next(known, None)


def needle(text: str) -> bytes:
    """A text as it stands within the JSON of a record."""
    return msgspec.json.encode(text)[1:-1]
