"""What came to a person in a time and what did not, from the records of the topics: `andon why`.

The records come topic after topic: deliveries, outcomes, enriched events, accepted events. What is kept is what
concerns the person, up to a bound; of everything else there are counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Sized
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from andon.core.delivery import Delivery
from andon.core.event import Event, accepted_at
from andon.core.last import Last
from andon.core.outcome import Merged, OutcomeRecord, Parked
from andon.kafka.codecs import Json
from andon.kafka.records import Record
from andon.kafka.topics import ENRICHED
from andon.routing.causes import Answer, Cause, Open, of, of_delivery
from andon.routing.router import Router
from andon.routing.unheard import NONE_HAS, of_event

MOST = 20_000
EXAMPLES = 20
_FAR = frozenset({Cause.ROUTE, Cause.RECIPIENTS})


class Asked(msgspec.Struct, frozen=True):
    """About whom and when: `names` are all names of one person or receiver, times are seconds. With `subject` or
    `event` it is about certain events, of which each gets an answer."""

    names: AbstractSet[str]
    since: float
    until: float
    subject: str | None = None
    event: str | None = None

    @property
    def certain(self) -> bool:
        return self.subject is not None or self.event is not None

    def about(self, event: Event) -> bool:
        """Whether it is about this event."""
        fits = self.subject in (None, event.subject) and self.event in (None, event.id)
        return fits and self.since <= accepted_at(event) <= self.until


class Inquiry:
    """Takes the records of a time and answers. `version_at` gives the version in force at a time, `router` that of a
    version, None where it is of no use any more."""

    def __init__(
        self, asked: Asked, version_at: Callable[[float], int | None], router: Callable[[int | None], Router | None]
    ) -> None:
        self.asked = asked
        self.accepted = 0
        self.cut = False
        self.counts: Counter[Cause] = Counter()
        self._version_at = version_at
        self._router = router
        self._deliveries: dict[tuple[UUID, str], Delivery] = {}
        self._ids: set[UUID] = set()
        self._heard: set[tuple[str, str]] = set()
        self._receivers: set[str] = set()
        self._ended: dict[UUID, OutcomeRecord] = {}
        self._others: dict[UUID, OutcomeRecord] = {}
        self._stopped: dict[tuple[str, str], OutcomeRecord] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._reached: dict[int, int] = {}
        self._seen = Last[tuple[str, str]](MOST)
        self._unheard: list[Answer] = []
        self._known = False
        self._codecs = (Json(Delivery), Json(OutcomeRecord), Json(Event))

    # ---- the records

    def delivery(self, record: Record) -> None:
        """A record of `andon.deliveries`."""
        one = self._codecs[0].read(record.value)
        if one is None or not self.asked.about(one.event):
            return
        if one.receiver not in self.asked.names and self.asked.names.isdisjoint(one.recipients):
            return
        if self._room(self._deliveries):
            self._deliveries[one.id, one.receiver] = _lean(one)
            self._ids.add(one.id)
            self._heard.add((one.event.source, one.event.id))
            self._receivers.add(one.receiver)

    def outcome(self, record: Record) -> None:
        """A record of `andon.outcomes`, all deliveries having been taken."""
        one = self._codecs[1].read(record.value)
        if one is None:
            return
        key = (one.source, one.event)
        at = next((place.at for place in one.origin if place.topic == ENRICHED), 0)
        if (
            at
            and one.config_version
            and one.config_version != self._version_at(at / 1000)
            and self._room(self._versions)
        ):
            self._versions[key] = one.config_version
        if one.delivery is None and isinstance(one.outcome, Parked):
            # What was sent to them all the same was redriven since.
            if key not in self._heard and self._room(self._stopped):
                self._stopped[key] = one
            return
        self._stopped.pop(key, None)
        if one.delivery is None:
            return
        if one.delivery in self._ids:
            before = self._ended.get(one.delivery)
            if before is None or before.at <= one.at:  # of what was redriven, the last end
                self._ended[one.delivery] = one
        elif self._may_be_into(one) and self._room(self._others):
            self._others[one.delivery] = one

    def _may_be_into(self, one: OutcomeRecord) -> bool:
        """Whether something of theirs may have been merged into it."""
        return one.receiver in self._receivers or any(state.recipient in self.asked.names for state in one.recipients)

    def enriched(self, record: Record) -> bool:
        """A record of `andon.enriched`, all outcomes having been taken. False once it is of a later event."""
        event = self._codecs[2].read(record.value)
        if event is None or not event.origin:
            return True
        place = event.origin[0]
        self._reached[place.partition] = max(place.offset, self._reached.get(place.partition, -1))
        key = (event.source, event.id)
        # The log may have an event twice: two doors took it, or it was redriven.
        if self.asked.about(event) and key not in self._seen:
            self.accepted += 1
            self._seen.put(key)
            stopped = self._stopped.pop(key, None)
            if stopped and _routed(stopped):
                self._say(_stopped(event, stopped, Cause.ROUTING))
            elif key not in self._heard:
                version = self._versions.get(key) or self._version_at(record.at / 1000)
                router = self._router(version)
                if router is not None:
                    self._say(of_event(router, event, self.asked.names))
        return accepted_at(event) <= self.asked.until

    def event(self, record: Record) -> None:
        """A record of `andon.events`, all enriched ones having been taken."""
        event = self._codecs[2].read(record.value)
        if event is None:
            return
        event = msgspec.structs.replace(event, origin=(record.position,))
        if not self.asked.about(event):
            return
        key = (event.source, event.id)
        if key in self._seen:
            return
        stopped = self._stopped.pop(key, None)
        if not stopped and self._passed(record, key):
            return
        self.accepted += 1
        self._seen.put(key)
        if stopped:
            self._say(_stopped(event, stopped, Cause.ENRICHMENT))
        else:
            self._say(of(event, Cause.ENRICHMENT, None, "it was accepted, and enrichment has not come to it"))

    def _passed(self, record: Record, key: tuple[str, str]) -> bool:
        """Whether enrichment has come to an event. It takes a partition in its order, and its records keep it."""
        if self.asked.certain:
            return False  # its enriched record would have been taken
        return key in self._heard or record.offset <= self._reached.get(record.partition, -1)

    def _say(self, answer: Answer) -> None:
        self.counts[answer.cause] += 1
        self._known = self._known or not (answer.cause is Cause.RECIPIENTS or answer.said.startswith(NONE_HAS))
        listed = self.asked.certain or answer.cause not in _FAR or self.counts[answer.cause] <= EXAMPLES
        if listed and self._room(self._unheard):
            self._unheard.append(answer)

    def _room(self, kept: Sized) -> bool:
        self.cut = self.cut or len(kept) >= MOST
        return len(kept) < MOST

    # ---- the answers

    @property
    def nobody(self) -> bool:
        """Whether events were routed, and no receiver by which any of them might have gone has these names."""
        return bool(self.counts) and not self._known and not self._deliveries

    def open(self) -> list[Delivery]:
        """The deliveries of which no outcome was found."""
        return [one for one in self._deliveries.values() if one.id not in self._ended]

    def answers(self, now: float, known: dict[UUID, Open]) -> list[Answer]:
        """One answer for each event that concerns the person, in the order of acceptance. `known` says more about open
        deliveries. Of events without a route to them, unless it is asked about certain ones, only the first."""
        found = list(self._unheard)
        for one in self._deliveries.values():
            ended = self._ended.get(one.id)
            if ended and (one.id, ended.receiver) in self._deliveries and ended.receiver != one.receiver:
                continue  # it was handed on to a receiver that is theirs too
            into = self._into(ended.outcome.into) if ended and isinstance(ended.outcome, Merged) else None
            found.append(of_delivery(one, ended, self.asked.names, now, into=into, known=known.get(one.id, Open())))
        if not found and not self.accepted:
            found.append(self._nothing())
        return sorted(found, key=lambda answer: (answer.at, answer.event, answer.receiver))

    def unlisted(self, answers: Sequence[Answer]) -> dict[Cause, int]:
        """How many more there are of a cause than `answers` has."""
        listed = Counter(answer.cause for answer in answers)
        return {cause: count - listed[cause] for cause, count in self.counts.items() if count > listed[cause]}

    def _into(self, number: UUID) -> OutcomeRecord | None:
        """The end of what something was merged into, through further merges."""
        for _ in range(8):
            record = self._ended.get(number) or self._others.get(number)
            if record is None or not isinstance(record.outcome, Merged):
                return record
            number = record.outcome.into
        return None

    def _nothing(self) -> Answer:
        what = f"no event {self.asked.event}" if self.asked.event else "nothing"
        what += f" of {self.asked.subject}" if self.asked.subject else ""
        at = datetime.fromtimestamp(self.asked.since, UTC)
        said = f"{what} was accepted in this time: it never reached us"
        return Answer(Cause.SOURCE, False, said, at, event=self.asked.event or "", subject=self.asked.subject or "")


def _stopped(event: Event, ended: OutcomeRecord, cause: Cause) -> Answer:
    parked = ended.outcome
    detail = f" ({parked.detail})" if isinstance(parked, Parked) and parked.detail else ""
    return of(event, cause, False, f"{cause} parked it: {parked.reason}{detail}; `andon dlq redrive` sends it again")


def _routed(ended: OutcomeRecord) -> bool:
    """Whether it was routing that ended an event: enrichment had passed it on."""
    return any(place.topic == ENRICHED for place in ended.origin)


def _lean(delivery: Delivery) -> Delivery:
    """Without what no answer looks at."""
    event = msgspec.structs.replace(delivery.event, data={}, facts={})
    return msgspec.structs.replace(delivery, event=event, recipients=(), fallback=(), tried=None)
