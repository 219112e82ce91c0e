"""The pure heart of a desk: what to write, whom to call, when to look again. No clock, no store, no network.

Every method changes the state in memory and returns the `Write` that makes it durable. The edge (runner) commits the
write before anything that follows from it happens: a call begins only after its intent is stored, a record is
published only from a stored outbox. If the edge dies in between, a new owner rebuilds this state from the store.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from uuid import UUID
from zlib import crc32

import msgspec

from andon.core.digest import combined
from andon.core.event import Home
from andon.core.outcome import Delivered, Evidence, Merged, Outcome, Parked, RecipientState
from andon.core.policy import OnAmbiguous, QueuePolicy
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, Holding, Item, Note, Write
from andon.runtime.desk.domain import Domain
from andon.runtime.desk.queue import Queue, full, mergeable
from andon.runtime.desk.work import Success, Work
from andon.runtime.failures import Failed

_SUSPECTS = 16


Address = tuple[Home, str]
"""A domain's place: its home and its name."""


class Call(msgspec.Struct, frozen=True):
    """An attempt whose intent is in the write that came with it."""

    item: Item
    entry: Entry


class Decision(msgspec.Struct):
    """What `decide` found: writes (one per home), the calls to begin once they are stored, when to look again."""

    writes: dict[Home, Write] = {}
    calls: list[Call] = []
    wake_at: float = inf


class Desk:
    """The open work of the homes this process owns.

    `room` bounds the calls in flight. Calls to domains that just failed do not take its places: they have a few of
    their own, so a dead receiver costs the others nothing.
    """

    def __init__(self, work: Work, *, room: int = 64, deadline: float = 15.0) -> None:
        self.items: dict[UUID, Item] = {}
        self.epochs: dict[Home, int] = {}
        self.calls: dict[UUID, Call] = {}
        self._domains: dict[Address, Domain] = {}
        self._work = work
        self._room = room
        self._deadline = deadline
        self._notes: dict[Home, int] = {}
        self._open: dict[Home, int] = {}
        self._leaving: set[Home] = set()
        self._ready: deque[Address] = deque()
        self._is_ready: set[Address] = set()
        self._wakes: list[tuple[float, Address]] = []
        self._interrupted: list[tuple[float, UUID]] = []

    # ---- ownership

    def adopt(self, holding: Holding, now: float) -> None:
        """Takes over a home. Attempts of the last owner without a result become ambiguous once the deadline of their
        call has passed on our own clock; until then they hold their lane and their slot in the limiter."""
        self.epochs[holding.home] = holding.epoch
        self._notes[holding.home] = holding.epoch << 32
        self._open[holding.home] = 0
        for entry in holding.recent:
            domain = self._domain((holding.home, entry.domain))
            line = domain.line(entry.line)
            if entry.ended is None:
                line.begin()
                domain.in_flight += 1
            elif entry.reason is not Reason.NOT_SENT:
                line.past(entry.ended)
        for item in holding.items:
            self._place(item)
            last = item.entries[-1] if item.entries else None
            if last is not None and last.ended is None:
                self._queue(item).start(item)
                heapq.heappush(self._interrupted, (now + self._deadline, item.id))
        self._work.keep(holding.home, holding.memos)

    def leave(self, home: Home) -> bool:
        """Begins no more calls for a home; True when none of its calls is in flight."""
        self._leaving.add(home)
        return not any(call.entry.home == home for call in self.calls.values())

    def drop(self, home: Home) -> None:
        """Forgets a home that has left; results of its calls that come later are a new owner's to find out."""
        self._leaving.discard(home)
        if self.epochs.pop(home, None) is None:
            return
        self._open.pop(home)
        for item in [item for item in self.items.values() if item.home == home]:
            del self.items[item.id]
            self.calls.pop(item.id, None)
        for address in [address for address in self._domains if address[0] == home]:
            del self._domains[address]

    def open_of(self, home: Home) -> int:
        """Open items of a home."""
        return self._open.get(home, 0)

    # ---- intake

    def admit(self, item: Item, now: float, write: Write) -> bool:
        """Takes an item into its queue and adds what that changes to `write`. At the queue's cap the waiting routine
        items are merged first; False when even that makes no room, and then nothing has changed."""
        policy = self._work.policy(item.queue)
        queue = self._queue(item)
        if full(queue, policy) and not self._squeeze(queue, now, write):
            return False
        write.taken.append(item)
        self._place(item)
        return True

    def _squeeze(self, queue: Queue, now: float, write: Write) -> bool:
        joined = mergeable(queue, None, same_group=False)
        if len(joined) < 2:
            return False
        self._merge(queue, joined[0], joined[1:], Reason.QUEUE_FULL, now, write)
        return True

    def note(self, write: Write, notes: Iterable[Note]) -> None:
        """Puts records for publishing into the outbox, in this order."""
        for one in notes:
            self._notes[write.home] += 1
            write.notes.append((self._notes[write.home], one))

    def _place(self, item: Item) -> None:
        self.items[item.id] = item
        self._open[item.home] = self._open.get(item.home, 0) + 1
        self._queue(item).add(item)
        self._touch((item.home, item.domain))

    def _queue(self, item: Item) -> Queue:
        queues = self._domain((item.home, item.domain)).queues
        queue = queues.get(item.queue)
        if queue is None:
            queue = queues[item.queue] = Queue(item.queue)
        return queue

    def _domain(self, address: Address) -> Domain:
        domain = self._domains.get(address)
        if domain is None:
            domain = self._domains[address] = Domain()
        return domain

    # ---- deciding

    def decide(self, now: float) -> Decision:
        """The calls that may begin now, fairly over the domains."""
        decision = Decision()
        self._settle_interrupted(now, decision)
        while self._wakes and self._wakes[0][0] <= now:
            self._touch(heapq.heappop(self._wakes)[1])
        suspects = sum(1 for call in self.calls.values() if self._suspect(call))
        well = len(self.calls) - suspects
        held: list[Address] = []
        while self._ready and (well < self._room or suspects < _SUSPECTS):
            address = self._ready.popleft()
            self._is_ready.discard(address)
            domain = self._domains.get(address)
            if domain is None or address[0] in self._leaving:
                continue
            if (suspects >= _SUSPECTS) if domain.suspect else (well >= self._room):
                held.append(address)
            elif self._next(domain, address[0], now, decision):
                suspects, well = (suspects + 1, well) if domain.suspect else (suspects, well + 1)
                self._touch(address)
            elif (when := domain.wake(self._work.policy, now)) < inf:
                heapq.heappush(self._wakes, (max(when, now + 0.001), address))
        for address in held:
            self._touch(address)
        decision.wake_at = min(
            self._wakes[0][0] if self._wakes else inf, self._interrupted[0][0] if self._interrupted else inf
        )
        return decision

    def _suspect(self, call: Call) -> bool:
        domain = self._domains.get((call.entry.home, call.entry.domain))
        return domain is not None and domain.suspect

    def _touch(self, address: Address) -> None:
        if address not in self._is_ready:
            self._is_ready.add(address)
            self._ready.append(address)

    def _next(self, domain: Domain, home: Home, now: float, decision: Decision) -> bool:
        found = domain.next(self._work.policy, now)
        if found is None:
            return False
        queue, item, policy = found
        line, free = domain.freest(policy, now)
        if not free:
            return False
        write = self._write(home, decision)
        whole = item.part == 0 and item.parts is None and not item.marked
        if policy.merge and whole and item.group is not None and not item.urgent:
            crowded = len(queue.sent) >= policy.merge.over.count or (free == 1 and queue.size > 1)
            joined = mergeable(queue, item, same_group=True) if crowded else []
            self._merge(queue, item, joined, Reason.OVER_RATE, now, write)
        self._begin(domain, queue, item, line, now, write, decision)
        return True

    def _begin(
        self, domain: Domain, queue: Queue, item: Item, line: int, now: float, write: Write, decision: Decision
    ) -> None:
        entry = Entry(
            item=item.id,
            redrive=item.redrive,
            hop=item.hop,
            number=len(tries(item)) + 1,
            home=item.home,
            domain=item.domain,
            line=line,
            part=item.part,
            epoch=self.epochs[item.home],
            started=now,
            marked=item.marked,
        )
        item.entries.append(entry)
        queue.start(item)
        queue.sent.append(now)
        domain.line(line).begin()
        domain.in_flight += 1
        write.began.append(entry)
        call = Call(item, entry)
        self.calls[item.id] = call
        decision.calls.append(call)

    def _merge(
        self,
        queue: Queue,
        into: Item,
        joined: Sequence[Item],
        reason: Reason,
        now: float,
        write: Write,
    ) -> None:
        if not joined:
            return
        carried = into.carried or self._work.digest(into)
        for item in joined:
            carried = combined(carried, item.carried or self._work.digest(item))
            self._close(queue, item, Merged(into.id, reason), (), now, write)
        into.carried = carried
        write.changed.append(into)

    def _settle_interrupted(self, now: float, decision: Decision) -> None:
        while self._interrupted and self._interrupted[0][0] <= now:
            item = self.items.get(heapq.heappop(self._interrupted)[1])
            if item is None or item.entries[-1].ended is not None:
                continue
            failed = Failed(Reason.INTERRUPTED, "the process ended during the call", retry=True, ambiguous=True)
            self._result(item, item.entries[-1], failed, now, self._write(item.home, decision))

    def _write(self, home: Home, decision: Decision) -> Write:
        write = decision.writes.get(home)
        if write is None:
            write = decision.writes[home] = Write(home, self.epochs[home])
        return write

    # ---- results

    def ended(self, call: Call, result: Success | Failed, now: float) -> Write | None:
        """The result of a call; None when its home has left meanwhile and a new owner decides."""
        if self.calls.get(call.item.id) is not call:
            return None
        del self.calls[call.item.id]
        write = Write(call.item.home, self.epochs[call.item.home])
        self._result(call.item, call.entry, result, now, write)
        return write

    def _result(self, item: Item, entry: Entry, result: Success | Failed, now: float, write: Write) -> None:
        domain = self._domain((item.home, item.domain))
        failed = result if isinstance(result, Failed) else None
        reason = failed.reason if failed else Reason.DELIVERED
        done = msgspec.structs.replace(entry, ended=now, reason=reason, ambiguous=bool(failed and failed.ambiguous))
        item.entries[-1] = done
        write.ended.append(done)
        line = domain.line(entry.line)
        line.end(now, counts=reason is not Reason.NOT_SENT)
        domain.in_flight -= 1
        domain.told(reason if failed else None, now)
        if failed and failed.after and reason in (Reason.THROTTLED, Reason.BUSY):
            line.blocked_until = now + failed.after
        queue = self._queue(item)
        if isinstance(result, Success):
            self._succeeded(queue, item, result, now, write)
        else:
            self._failed(queue, item, result, now, write)
        self._touch((item.home, item.domain))

    def _succeeded(self, queue: Queue, item: Item, result: Success, now: float, write: Write) -> None:
        write.memos.update(result.memos)
        self.note(write, result.notes)
        if result.more:
            item.part += 1
            item.parts = result.parts or item.parts
            item.due = 0.0
            item.marked = False
            write.changed.append(item)
            queue.again(item)
            return
        states = result.recipients
        failures = [state for state in states if isinstance(state.outcome, Parked)]
        outcome: Outcome = Delivered(Evidence.VENDOR_ACCEPTED)
        if states and len(failures) == len(states):
            outcome = failures[0].outcome
        elif states:
            delivered = [state.outcome for state in states if isinstance(state.outcome, Delivered)]
            outcome = min(delivered, key=lambda one: list(Evidence).index(one.evidence))
        self._close(queue, item, outcome, states, now, write)

    def _failed(self, queue: Queue, item: Item, failed: Failed, now: float, write: Write) -> None:
        policy = self._work.policy(item.queue)
        parked = _given_up(item, failed, policy, now)
        if parked is not None:
            self._close(queue, item, parked, (), now, write)
            return
        item.due = now + max(failed.after or 0.0, backoff(item, policy))
        if failed.ambiguous and policy.on_ambiguous is OnAmbiguous.RESEND_MARKED:
            item.marked = True
        write.changed.append(item)
        queue.again(item)

    def _close(
        self, queue: Queue, item: Item, outcome: Outcome, states: Sequence[RecipientState], now: float, write: Write
    ) -> None:
        told = self._work.closed(item, outcome, states, now)
        self.note(write, told.notes)
        write.memos.update(told.memos)
        write.closed.append(Closed(item.id, msgspec.json.encode(outcome), now))
        queue.remove(item)
        del self.items[item.id]
        self._open[item.home] -= 1


def tries(item: Item) -> list[Entry]:
    """The attempts since the item was last redriven."""
    return [entry for entry in item.entries if entry.redrive == item.redrive and entry.hop == item.hop]


def backoff(item: Item, policy: QueuePolicy) -> float:
    """Seconds until the next attempt: doubled each time, ± 20 % by the item's own id, so that it can be repeated."""
    retry = policy.retry
    failures = sum(1 for entry in tries(item) if entry.part == item.part)
    wait = min(retry.most, retry.first * 2.0 ** min(failures - 1, 30))
    return wait * (0.8 + 0.4 * (crc32(item.id.bytes + bytes([failures & 0xFF])) / 0xFFFFFFFF))


def _given_up(item: Item, failed: Failed, policy: QueuePolicy, now: float) -> Parked | None:
    if not failed.retry:
        return Parked(failed.reason, failed.detail)
    if failed.ambiguous and policy.on_ambiguous is OnAmbiguous.PARK_UNKNOWN:
        return Parked(Reason.UNKNOWN, f"it may have arrived ({failed.reason}); the receiver asks not to repeat it")
    unexpected = sum(1 for entry in tries(item) if entry.reason is Reason.UNEXPECTED)
    if failed.unexpected and unexpected >= policy.retry.unexpected:
        return Parked(Reason.UNEXPECTED, failed.detail)
    if now - tries(item)[0].started > policy.retry.age:
        return Parked(Reason.RETRIES_EXHAUSTED, f"last: {failed.reason} {failed.detail}".strip())
    return None
