"""What the egress desk knows: deliveries, receivers, channels. Queues, limits and attempts are the engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from uuid import UUID, uuid5

import msgspec

from andon.core.delivery import Delivery
from andon.core.digest import Digest, merged
from andon.core.event import Home, Position, accepted_at
from andon.core.failure import Rejected
from andon.core.outcome import Attempt, Delivered, Outcome, OutcomeRecord, Parked, RecipientState, name_of
from andon.core.policy import QueuePolicy
from andon.core.ports import Call, Content, EventChannel, Receipt
from andon.core.reason import Reason
from andon.core.work import Entry, Item, Note
from andon.egress.receivers import Receivers, Served
from andon.egress.render import repeated
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, OUTCOMES
from andon.runtime.desk.work import Success, Taken, Told, fingerprint
from andon.runtime.dlq import dlq_copy
from andon.runtime.metrics import Metrics

_UNSERVED = QueuePolicy(channel="unknown")


class Sending(msgspec.Struct, frozen=True):
    """A delivery of several parts while it is under way: all of them, and whom an earlier part did not reach."""

    parts: tuple[Content, ...]
    failed: dict[str, Parked] = {}


class EgressWork:
    """The egress desk's part of the engine's `Work`. `receivers` is replaced when a configuration is published."""

    def __init__(self, receivers: Receivers, metrics: Metrics) -> None:
        self.receivers = receivers
        self._metrics = metrics
        self._codec = Json(Delivery)
        # A delivery is looked at when it is called and again when it ends; few are between the two.
        self._delivery = lru_cache(maxsize=256)(self._codec.decode)
        self._sendings = Json(Sending)

    def read(self, record: Record) -> Taken:
        delivery = self._codec.decode(record.value)
        event = delivery.event
        item = Item(
            id=delivery.id,
            home=record.home,
            offset=record.offset,
            # Few different ones, of which tens of thousands of items would each hold a copy.
            queue=intern(delivery.receiver),
            domain=intern(delivery.domain),
            lane=intern(event.subject),
            content=fingerprint(event),
            born=accepted_at(event),
            body=record.value,
            urgent=delivery.urgent,
            # A receiver that refuses merging by rate still merges what its queue cannot hold; one of events never does.
            group=None if self._events(delivery.receiver) else delivery.group or "",
        )
        return Taken(item)

    def _events(self, receiver: str) -> EventChannel | None:
        served = self.receivers.get(receiver)
        return served.events if served else None

    def policy(self, queue: str) -> QueuePolicy:
        receiver = self.receivers.get(queue)
        return receiver.policy if receiver else _UNSERVED

    def looks_back(self) -> float:
        return max((served.policy.looks_back() for served in self.receivers.values()), default=0.0)

    def keep(self, home: Home, memos: Mapping[str, bytes]) -> None:
        """The egress desk keeps no memos."""

    def memo(self, home: Home, name: str) -> bytes:
        raise KeyError(name)

    def digest(self, item: Item) -> Digest:
        return merged(None, self._delivery(item.body).event)

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        delivery = self._delivery(item.body)
        channel = self.policy(item.queue).channel
        self._metrics.delivery(channel, name_of(outcome), outcome.reason)
        self._metrics.record("egress", name_of(outcome), outcome.reason)
        if isinstance(outcome, Delivered):
            self._metrics.delivered_after(channel, max(0.0, now - item.born))
        record = OutcomeRecord(
            id=_outcome_id(item),
            event=delivery.event.id,
            source=delivery.event.source,
            subject=delivery.event.subject,
            outcome=outcome,
            at=_moment(now),
            delivery=item.id,
            receiver=delivery.receiver,
            channel=channel,
            attempts=tuple(_attempt(entry) for entry in item.entries),
            recipients=tuple(recipients),
            origin=(*delivery.origin, Position(item.home.topic, *item.record)),
            config_version=delivery.config_version,
            traceparent=delivery.event.traceparent,
        )
        notes = [Note(OUTCOMES, delivery.event.subject.encode(), encode(record))]
        if isinstance(outcome, Parked):
            notes.append(dlq_copy(DELIVERIES, *item.record, item.domain.encode(), item.body, outcome, item.redrive))
        return Told(tuple(notes))

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        receiver = self.receivers.get(item.queue)
        if receiver is None:
            raise Rejected(Reason.UNKNOWN_RECEIVER, f"there is no receiver {item.queue}; redrive when there is")
        delivery = self._delivery(item.body)
        sending = self._sending(item, delivery, receiver)
        content = sending.parts[item.part]
        call = Call(
            item.id, item.queue, delivery.recipients, content, line, deadline, part=item.part, redrive=item.redrive
        )
        states = _states(delivery.recipients, await receiver.channel.send(call), sending.failed)
        if item.part + 1 == len(sending.parts):
            return Success(states)
        failed = {state.recipient: state.outcome for state in states if isinstance(state.outcome, Parked)}
        return Success(states, encode(Sending(sending.parts, failed)), more=True)

    def _sending(self, item: Item, delivery: Delivery, receiver: Served) -> Sending:
        """The parts as the next call wants them. Once one was sent they stay as they were rendered then; only what is
        sent again gets its mark, and more parts if it has become too long."""
        if receiver.events:
            return Sending((receiver.events.content(delivery.event),))
        if item.parts is None:
            rendered = self.receivers.renderer.render(
                delivery, receiver.kind, receiver.template, item.carried, repeat=item.marked
            )
            return Sending(parts(receiver, rendered.content, marked=item.marked))
        sending = self._sendings.decode(item.parts)
        if not item.marked:
            return sending
        again = parts(receiver, sending.parts[item.part], marked=True)
        return Sending((*sending.parts[: item.part], *again, *sending.parts[item.part + 1 :]), sending.failed)


def parts(receiver: Served, content: Content, *, marked: bool) -> tuple[Content, ...]:
    """The content as the channel wants it, with the mark of a possible repeat if wanted; a card is one part."""
    wholes = repeated(content, receiver.structures) if marked else (content,)
    return tuple(part for whole in wholes for part in receiver.channel.split(whole))


def _outcome_id(item: Item) -> UUID:
    """The delivery's id; after a redrive another one, for the delivery then ends once more."""
    return item.id if not item.redrive else uuid5(item.id, str(item.redrive))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _attempt(entry: Entry) -> Attempt:
    return Attempt(
        number=entry.number,
        started=_moment(entry.started),
        ended=_moment(entry.ended) if entry.ended is not None else None,
        reason=entry.reason,
        part=entry.part,
        ambiguous=entry.ambiguous,
        marked=entry.marked,
    )


def _states(
    recipients: Sequence[str], receipts: Sequence[Receipt], failed: Mapping[str, Parked]
) -> tuple[RecipientState, ...]:
    """What is known of each recipient. Who failed in an earlier part stays failed, and no receipt is no success."""
    told: dict[str, Delivered | Parked] = {one.recipient: one.failed or Delivered(one.evidence) for one in receipts}
    silence = Parked(Reason.NO_RESULT, "the channel gave no receipt")
    return tuple(RecipientState(one, failed.get(one) or told.get(one, silence)) for one in recipients)
