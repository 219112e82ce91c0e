"""What the egress desk knows: deliveries, receivers, channels. Queues, limits and attempts are the engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import takewhile
from sys import intern
from uuid import UUID

from msgspec.structs import replace

from andon.core.delivery import Delivery, outcome_id
from andon.core.digest import Digest, merged
from andon.core.event import CLEAR, STATE, Event, Home, Position, accepted_at
from andon.core.failure import Rejected, Retryable
from andon.core.outcome import (
    Attempt,
    Delivered,
    Outcome,
    OutcomeRecord,
    Parked,
    RecipientState,
    Skipped,
    name_of,
)
from andon.core.policy import QueuePolicy
from andon.core.ports import Call, Content
from andon.core.reason import Reason
from andon.core.stored import Stored
from andon.core.work import AUDIENCE, Entry, Item, Note, Reach
from andon.egress.coalescing import Equals, alone, people_of_one
from andon.egress.groups import Groups
from andon.egress.handing_on import begins, handed_on, patience
from andon.egress.holding import lane_of, turn_of
from andon.egress.inhibition import Causes, HeldBack
from andon.egress.look import NO_ENDS
from andon.egress.parts import parts
from andon.egress.receivers import Receivers, Served
from andon.egress.sending import Sending, everyone, later_of, states_of, states_over_all, to_of, without
from andon.egress.storm import Storms, is_storm, storm_batch
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, OUTCOMES
from andon.runtime.desk.packing import opened, size_of
from andon.runtime.desk.work import Held, Success, Taken, Together, Told, fingerprint
from andon.runtime.dlq import dlq_copy, redrive_header, redrive_of
from andon.runtime.metrics import Metrics

_SMALL = 16 << 10
_NO_DIGEST = (
    "{} events are one digest here, and {} takes each event alone: `carried` in its record in andon.dlq names the "
    "latest of each subject; tell of them in another way, or give it a channel of texts and redrive"
)
_UNSERVED = QueuePolicy(channel="unknown")


class EgressWork:
    """The egress desk's part of the engine's `Work`. `receivers` is replaced when a configuration is published."""

    def __init__(self, receivers: Receivers, metrics: Metrics, causes: Causes | None = None) -> None:
        self.receivers = receivers
        self._metrics = metrics
        self._codec = Json(Delivery)
        self._stored = Stored(Delivery)
        # A delivery is looked at when it is called and again when it ends; few are between the two. A large one takes
        # twenty times its bytes when it is read, so of those one is kept.
        self._small = lru_cache(maxsize=256)(self._decoded)
        self._large = lru_cache(maxsize=1)(self._decoded)
        self._sendings = Json(Sending)
        self._groups = Groups()
        self._storms = Storms()
        self._equals = Equals()
        self._held = HeldBack(lambda: self.receivers.inhibition, causes or Causes())

    def read(self, record: Record) -> Taken:
        delivery = self._codec.decode(record.value)
        event, tried = delivery.event, delivery.tried
        # A receiver that refuses merging by rate still merges what its queue cannot hold; a single one never does.
        served = self.receivers.get(delivery.receiver)
        group, born = None if served and served.policy.single else _group(delivery), accepted_at(event)
        item = Item(
            id=delivery.id,
            home=record.home,
            offset=record.offset,
            # Few different ones, of which tens of thousands of items would each hold a copy.
            queue=intern(delivery.receiver),
            domain=intern(delivery.domain),
            lane=intern(event.subject if group is None else lane_of(delivery, group)),
            content=fingerprint(event),
            born=born,
            body=record.value,
            urgent=delivery.urgent,
            group=group,
            hop=delivery.hop,
            carried=delivery.carried or (tried.carried if tried else None),
            marked=bool(tried and tried.marked),
            batch=self._batch(delivery, served, group),
            expires=patience(delivery) + (record.at / 1_000 if redrive_of(record) else begins(delivery, born)),
        )
        return Taken(item)

    def _delivery(self, body: bytes) -> Delivery:
        return self._small(body) if size_of(body) <= _SMALL else self._large(body)

    def _decoded(self, body: bytes) -> Delivery:
        return self._stored.decode(opened(body))

    def _batch(self, delivery: Delivery, served: Served | None, group: str | None) -> str | None:
        if group is None:
            return "" if _unheard(delivery, served) else None
        asks = self._held.concerns(delivery.event) or (served and served.policy.coalesce) or _unheard(delivery, served)
        batch = delivery.batch or ("" if asks else None)
        if delivery.storm is None or delivery.held:
            return batch
        # Few different ones, as of receivers, where it matters.
        return intern(storm_batch(_short(delivery.storm.key), batch or ""))

    def policy(self, queue: str) -> QueuePolicy:
        receiver = self.receivers.get(queue)
        return receiver.policy if receiver else _UNSERVED

    def looks_back(self) -> float:
        return max((served.policy.looks_back() for served in self.receivers.values()), default=0.0)

    def looks_back_on_people(self) -> float:
        return max((served.policy.looks_back_on_people() for served in self.receivers.values()), default=0.0)

    def reach(self, item: Item) -> Reach:
        delivery, receiver = self._delivery(item.body), self.receivers[item.queue]
        names = to_of(delivery, self._sendings.decode(item.parts)) if item.parts else delivery.recipients
        behind = receiver.counts.behind if receiver.counts else lambda _name: None
        wide = {name: people for name in names if (people := behind(name)) is not None}
        return Reach(receiver.policy.sender, names, wide)

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        delivery = self._delivery(item.body)
        if delivery.held:
            return turn_of(delivery, self.receivers.version, self.receivers.silences, now)
        # What carries others is told, whatever it says itself: they would be lost with it, or wait for its cause.
        if item.carried is None:
            if _unheard(delivery, self.receivers.get(item.queue)):
                return Skipped(Reason.RESOLVED, delivery.receiver)
            if untold := self._groups.untold(item, delivery, now):
                return untold
            told = partial(self._groups.told_of, item, delivery.event)
            if held := self._held.turn(delivery, map(self._follower, behind), now, told=told):
                return held
        return self._for_others(item, delivery, self._paced(item, delivery), now)

    def _paced(self, item: Item, delivery: Delivery) -> float:
        """When it may leave, by the pace of its group and what its storm leaves room for."""
        until = self._groups.waits(item, delivery.pace)
        return until if delivery.storm is None else max(until, self._storms.until(item))

    def _for_others(self, item: Item, delivery: Delivery, until: float, now: float) -> float:
        """How long it waits besides for others that say the same, where its channel has a window for that."""
        receiver = self.receivers.get(item.queue)
        if receiver is None or not receiver.policy.coalesce or item.urgent or not alone(delivery):
            return until
        version = self.receivers.version
        asked = until <= now and not self._equals.knows(item, version) and not (item.carried or item.marked)
        if asked and (said := self._sayable(item, delivery, receiver, counts=False)):
            way = f"{receiver.policy.channel}\n{receiver.policy.on_ambiguous}\n{receiver.look.language}"
            self._equals.enter(item, way, version, said)
        # A card, and what cannot be rendered, has a call of its own and nobody to wait for.
        return max(until, item.born + receiver.policy.coalesce) if self._equals.knows(item, version) else until

    def equals(self, item: Item) -> Sequence[UUID]:
        return self._equals.of(item, self.receivers.version)

    def together(self, item: Item, others: Sequence[Item], now: float) -> Together:
        delivery, receiver = self._delivery(item.body), self.receivers[item.queue]
        theirs = [(one, self._delivery(one.body)) for one in others]
        people, joined = people_of_one(delivery, [one for one in theirs if self._paced(*one) <= now])
        said = self._sayable(item, delivery, receiver)
        if not said:
            return Together((), b"")
        return Together(tuple(joined), encode(Sending(said, everyone=people)))

    def _follower(self, item: Item) -> tuple[UUID, Event]:
        return item.id, self._delivery(item.body).event

    def speaks(self, item: Item, now: float) -> Mapping[str, bytes]:
        self._equals.leave(item)
        if not item.batch:
            return {}
        delivery = self._delivery(item.body)
        memos = self._groups.speaks(item, delivery, now) if item.flock else {}
        return memos | self._storms.speaks(item, delivery.storm, now) if delivery.storm and item.storm else memos

    def gathers(self, item: Item, now: float) -> Mapping[str, bytes]:
        return self._groups.gathers(item, self._delivery(item.body), now) if item.flock else {}

    def patience(self, item: Item) -> float:
        return patience(self._delivery(item.body))

    def stormed(self, item: Item) -> bool:
        return item.born < self._storms.until(item)

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        self._groups.keep(home, memos, now)
        self._storms.keep(home, memos, now)
        self._equals.forget(home)

    def memo(self, home: Home, name: str) -> bytes:
        return (self._storms if is_storm(name) else self._groups).memo(home, name)

    def digest(self, item: Item) -> Digest:
        return merged(None, self._delivery(item.body).event)

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        delivery = self._delivery(item.body)
        self._equals.leave(item)
        self._held.ended(item.id, outcome)
        memos = self._groups.closed(item, delivery, outcome, now) if item.batch and item.flock else {}
        if isinstance(outcome, Parked) and ((coalesced := self._coalesced(item)) or item.carried is not None):
            memos |= self._groups.failed(item, now, coalesced=coalesced)
        attempts = (*(delivery.tried.attempts if delivery.tried else ()), *map(_attempt, item.entries))
        if isinstance(outcome, Parked) and (onward := handed_on(item, delivery, outcome, attempts, now)):
            note = Note(DELIVERIES, onward.domain.encode(), encode(onward), redrive_header(item.redrive))
            return Told((note,), memos, Parked(Reason.HANDED_ON, f"to {onward.receiver}: {outcome.reason}"))
        channel = self.policy(item.queue).channel
        self._metrics.delivery(channel, name_of(outcome), outcome.reason)
        self._metrics.record("egress", name_of(outcome), outcome.reason)
        if isinstance(outcome, Delivered):
            self._metrics.delivered_after(channel, max(0.0, now - item.born))
        recipients = recipients or self._so_far(item, delivery, outcome)
        record = OutcomeRecord(
            id=outcome_id(item.id, item.redrive),
            event=delivery.event.id,
            source=delivery.event.source,
            subject=delivery.event.subject,
            outcome=outcome,
            at=_moment(now),
            delivery=item.id,
            receiver=delivery.receiver,
            channel=channel,
            attempts=attempts,
            recipients=tuple(recipients),
            origin=(*delivery.origin, Position(item.home.topic, *item.record)),
            config_version=delivery.config_version,
            traceparent=delivery.event.traceparent,
        )
        notes = [Note(OUTCOMES, delivery.event.subject.encode(), encode(record))]
        if isinstance(outcome, Parked):
            body = self._for_redrive(item, delivery)
            notes.append(dlq_copy(DELIVERIES, *item.record, item.domain.encode(), body, outcome, item.redrive))
        return Told(tuple(notes), memos)

    def _coalesced(self, item: Item) -> bool:
        return bool(item.parts and self._sendings.decode(item.parts).everyone)

    def _for_redrive(self, item: Item, delivery: Delivery) -> bytes:
        """The delivery as a redrive is to find it: for everyone whom its call was to tell, with all that was merged
        into it, which ends with it."""
        whole = everyone(delivery, self._sendings.decode(item.parts)) if item.parts else delivery.recipients
        again = replace(delivery, recipients=whole, carried=item.carried)
        return opened(item.body) if again == delivery else encode(again)

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        receiver = self.receivers.get(item.queue)
        if receiver is None:
            raise Rejected(Reason.UNKNOWN_RECEIVER, f"there is no receiver {item.queue}; redrive when there is")
        lines = receiver.policy.lines
        if line not in lines:
            raise Retryable(Reason.NOT_SENT, "the account it was to go by is none of its channel's any more")
        delivery = self._delivery(item.body)
        sending = self._sending(item, delivery, receiver)
        wanted = to_of(delivery, sending)
        reach = item.entries[-1].reach if item.entries else None
        to = wanted if reach is None else reach.recipients
        content = sending.parts[item.part]
        call = Call(
            item.id,
            item.queue,
            to,
            content,
            lines.index(line),
            deadline,
            item.part,
            redrive=item.redrive,
            refused=_refused(item),
            named=receiver.named,
            perhaps=any(one.ambiguous for one in item.entries if one.part == item.part),
        )
        receipts = await receiver.channel.send(call)
        later = later_of(receipts)
        if len(later) == len(to):
            raise Retryable(later[to[0]].reason, later[to[0]].detail)
        states = [one for one in states_of(to, receipts, sending.failed) if one.recipient not in later]
        failed = sending.failed | {one.recipient: one.outcome for one in states if isinstance(one.outcome, Parked)}
        told = sending.told | {
            one.recipient: one.outcome.evidence for one in states if isinstance(one.outcome, Delivered)
        }
        by = next((one.reference for one in receipts if one.reference), "")
        if left := without(wanted, [one for one in to if one not in later]):
            # To the others the part goes as it is now: its mark is not put before it once more.
            rest = Sending(sending.parts, failed, left, told, sending.everyone, item.marked)
            return Success(parts=encode(rest), more=True, same=True, later=later, reference=by)
        whole = everyone(delivery, sending)
        if item.part + 1 == len(sending.parts) or len(failed) == len(whole):
            return Success(states_over_all(whole, failed, told), reference=by)
        return Success(parts=encode(Sending(sending.parts, failed, everyone=sending.everyone)), more=True, reference=by)

    def _so_far(self, item: Item, delivery: Delivery, outcome: Outcome) -> Sequence[RecipientState]:
        """The recipients of a delivery that ended between two of its calls: some may have it."""
        sending = self._sendings.decode(item.parts) if item.parts and isinstance(outcome, Parked) else None
        if sending is None or not (sending.told or sending.failed or sending.everyone):
            return ()
        whole = everyone(delivery, sending)
        known = {state.recipient: state for state in states_over_all(whole, sending.failed, sending.told)}
        waiting = {one: RecipientState(one, outcome) for one in to_of(delivery, sending)}
        return tuple((known | waiting)[one] for one in whole)

    def _sending(self, item: Item, delivery: Delivery, receiver: Served) -> Sending:
        """The parts as the next call wants them. Once one was sent they stay as they were rendered then; only what is
        sent again gets its mark, and more parts if it has become too long."""
        if receiver.events:
            if item.carried is not None:
                raise Rejected(Reason.REJECTED, _NO_DIGEST.format(item.carried.count, item.queue))
            return Sending((receiver.events.content(delivery.event),))
        if item.parts is None:
            return Sending(self._said(item, delivery, receiver))
        sending = self._sendings.decode(item.parts)
        if not item.marked or sending.marked:
            return sending
        again = parts(receiver, sending.parts[item.part], NO_ENDS, marked=True)
        whole = (*sending.parts[: item.part], *again, *sending.parts[item.part + 1 :])
        return replace(sending, parts=whole)

    def _sayable(self, item: Item, delivery: Delivery, receiver: Served, *, counts: bool = True) -> tuple[Content, ...]:
        """All that it says, for a call that tells others too; nothing when that fails in whatever way: it is told with
        nobody then, and a call of its own says why."""
        try:
            return self._said(item, delivery, receiver, counts=counts)
        except Exception:  # noqa: BLE001 - one notice must not stop the desk, which would find it again after a restart
            return ()

    def _said(self, item: Item, delivery: Delivery, receiver: Served, *, counts: bool = True) -> tuple[Content, ...]:
        """All that it says, as it stands now. Raises Rejected."""
        rendered = self.receivers.renderer.render(
            delivery, receiver.kind, receiver.look, item.carried, repeat=item.marked
        )
        if counts and rendered.missing and len(item.entries) < 2:
            self._metrics.fields_missing(receiver.policy.channel, rendered.missing)
        return parts(receiver, rendered.content, rendered.ends, marked=item.marked)


def _unheard(delivery: Delivery, served: Served | None) -> bool:
    """Whether it is an end that routing sent only for its group to know (`Router.written`)."""
    is_end = delivery.event.labels.get(STATE) == CLEAR
    return is_end and not delivery.hop and served is not None and not served.ends


def _refused(item: Item) -> int:
    """Attempts at the present part that certainly had no effect, before the first that may have had it."""
    failed = [one for one in item.entries if one.part == item.part and one.ended and one.reason is not Reason.DELIVERED]
    return sum(1 for _ in takewhile(lambda entry: not entry.ambiguous, failed))


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
        reference=entry.reference,
    )


def _group(delivery: Delivery) -> str:
    """The merge key. What is for other people than another must never become part of it."""
    group = delivery.group or ""
    if delivery.recipients == (delivery.receiver,):
        return group
    audience = _short("\n".join(delivery.recipients))
    return f"{AUDIENCE}{audience}{AUDIENCE}{group}"


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
