"""What the egress desk knows: deliveries, receivers, channels. Queues, limits and attempts are the engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID, uuid5

import msgspec

from andon.core.delivery import Delivery
from andon.core.digest import Digest, merged
from andon.core.event import Event, Home, Position, accepted_at
from andon.core.failure import Rejected
from andon.core.outcome import Attempt, Delivered, Outcome, OutcomeRecord, Parked, RecipientState, name_of
from andon.core.policy import QueuePolicy
from andon.core.ports import Call, Content, Receipt
from andon.core.reason import Reason
from andon.core.work import Entry, Item, Note
from andon.egress.receivers import Receivers
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, OUTCOMES
from andon.runtime.desk.work import Success, Taken, Told
from andon.runtime.dlq import dlq_copy
from andon.runtime.metrics import Metrics

_UNSERVED = QueuePolicy(channel="unknown")
_contents = msgspec.json.Decoder(list[Content])
_canonical = msgspec.json.Encoder(order="deterministic")


class EgressWork:
    """The egress desk's part of the engine's `Work`. `receivers` is replaced when a configuration is published."""

    def __init__(self, receivers: Receivers, metrics: Metrics) -> None:
        self.receivers = receivers
        self._metrics = metrics
        self._codec = Json(Delivery)

    def read(self, record: Record) -> Taken:
        delivery = self._codec.decode(record.value)
        event = delivery.event
        item = Item(
            id=delivery.id,
            home=record.home,
            offset=record.offset,
            queue=delivery.receiver,
            domain=delivery.domain,
            lane=event.subject,
            content=_fingerprint(event),
            born=accepted_at(event),
            body=record.value,
            urgent=delivery.urgent,
            # A receiver that refuses merging by rate still merges what its queue cannot hold.
            group=delivery.group or "",
        )
        return Taken(item)

    def policy(self, queue: str) -> QueuePolicy:
        receiver = self.receivers.get(queue)
        return receiver.policy if receiver else _UNSERVED

    def keep(self, home: Home, memos: Mapping[str, bytes]) -> None:
        """The egress desk keeps no memos."""

    def digest(self, item: Item) -> Digest:
        return merged(None, self._codec.decode(item.body).event)

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        delivery = self._codec.decode(item.body)
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
            origin=(*delivery.origin, Position(item.home.topic, item.home.partition, item.offset)),
            config_version=delivery.config_version,
            traceparent=delivery.event.traceparent,
        )
        notes = [Note(OUTCOMES, delivery.event.subject.encode(), encode(record))]
        if isinstance(outcome, Parked):
            home = item.home
            notes.append(
                dlq_copy(
                    DELIVERIES, home.partition, item.offset, item.domain.encode(), item.body, outcome, item.redrive
                )
            )
        return Told(tuple(notes))

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        receiver = self.receivers.get(item.queue)
        if receiver is None:
            raise Rejected(Reason.UNKNOWN_RECEIVER, f"there is no receiver {item.queue}; redrive when there is")
        delivery = self._codec.decode(item.body)
        parts = _contents.decode(item.parts) if item.parts else self._parts(item, delivery)
        receipts = await receiver.channel.send(
            Call(item.id, item.queue, delivery.recipients, parts[item.part], line, deadline)
        )
        more = item.part + 1 < len(parts)
        stored = encode(parts) if more and not item.parts else None
        return Success(tuple(_state(receipt) for receipt in receipts), stored, more)

    def _parts(self, item: Item, delivery: Delivery) -> Sequence[Content]:
        receiver = self.receivers[item.queue]
        rendered = self.receivers.renderer.render(
            delivery, receiver.kind, receiver.template, item.carried, repeat=item.marked
        )
        return receiver.channel.split(rendered.content)


def _fingerprint(event: Event) -> bytes:
    """What makes two records of one id the same news: not what we added, nor a time the door may have minted."""
    said = (event.type, event.source, event.subject, event.data)
    return blake2b(_canonical.encode(said), digest_size=16).digest()


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


def _state(receipt: Receipt) -> RecipientState:
    return RecipientState(receipt.recipient, receipt.failed or Delivered(receipt.evidence))
