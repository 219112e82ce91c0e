"""The pure heart of a desk: what to write, whom to call, when to look again. No clock, no store, no network.

Every method changes the state in memory and returns or fills the `Write` that makes it durable. The edge (runner)
hands the writes to the store in the order they were decided, and commits each before anything that follows from it
happens: a call begins only after its intent is stored, a record is published only from a stored outbox. If the edge
dies in between, a new owner rebuilds this state from the store.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from copy import copy
from math import inf

import msgspec

from andon.core.digest import combined
from andon.core.event import Home
from andon.core.outcome import Merged, Outcome, RecipientState, Skipped
from andon.core.policy import OnAmbiguous
from andon.core.reason import Reason
from andon.core.work import Closed, Entry, Item, Write
from andon.runtime.desk.domain import Choice, Domain
from andon.runtime.desk.gathering import companions, crowded, may_join
from andon.runtime.desk.open_work import Call, OpenWork
from andon.runtime.desk.queue import Queue, full, whole
from andon.runtime.desk.set_back import born_by
from andon.runtime.desk.verdict import backoff, given_up, left_alone, overdue, put_off, reached
from andon.runtime.desk.work import Held, Success, Work
from andon.runtime.failures import Failed

_SUSPECTS = 16
_INTERRUPTED = Failed(Reason.INTERRUPTED, "the process ended during the call", retry=True, ambiguous=True)


class Decision(msgspec.Struct):
    """What `decide` found: writes (one per home), the calls to begin once they are stored, when to look again."""

    writes: dict[Home, Write] = {}
    calls: list[Call] = []
    wake_at: float = inf


class Desk(OpenWork):
    """The open work of the homes this process owns.

    `room` bounds the calls in flight. Calls to domains that just failed do not take its places: they have a few of
    their own, so a dead receiver costs the others nothing.
    """

    def __init__(self, work: Work, *, room: int = 64, deadline: float = 15.0) -> None:
        super().__init__(work, deadline)
        self.room = room

    # ---- intake

    def admit(self, item: Item, now: float, write: Write) -> bool:
        """Takes an item into its queue and adds what that changes to `write`. At the queue's cap the waiting routine
        items are merged first; False when even that makes no room, and then nothing has changed."""
        born_by(item, now)
        queue, policy = self._queue(item), self._work.policy(item.queue)
        if not item.apart and full(queue, policy) and (policy.single or not self._squeeze(queue, now, write)):
            return False
        write.taken.append(copy(item))
        self._place(item)
        if item.apart and not policy.single:
            self._gather(queue, item, now, write)
        return True

    def _gather(self, queue: Queue, item: Item, now: float, write: Write) -> None:
        """What is held becomes part of what is held already, so that the longest hold fills no queue."""
        first = queue.lanes[item.lane][0]
        if first is not item and item.lane not in queue.busy and whole(first):
            self._merge(queue, first, [item], Reason.HELD, now, write)

    def _squeeze(self, queue: Queue, now: float, write: Write) -> bool:
        joined = crowded(queue)
        if len(joined) < 2:
            return False
        into = joined[0]
        # What they say together is as pressing as the most pressing of them.
        into.due = min(item.due for item in joined)
        self._merge(queue, into, joined[1:], Reason.QUEUE_FULL, now, write)
        queue.again(into)
        return True

    # ---- deciding

    def decide(self, now: float, ahead: int = 0) -> Decision:
        """The calls that may begin now, fairly over the domains; `ahead` more than there is room for, which then wait
        for a place."""
        decision = Decision()
        self._settle_interrupted(now, decision)
        self._give_up_overdue(now, decision)
        for address in self._turns.due(now):
            self._touch(address)
        suspects = sum(1 for call in self.calls.values() if self.suspect(call))
        well = len(self.calls) - suspects
        self._begin_row(_SUSPECTS - suspects, now, decision, suspect=True)
        self._begin_row(self.room + ahead - well, now, decision, suspect=False)
        timers = [waiting[0][0] for waiting in (self._interrupted, self._expiring) if waiting]
        decision.wake_at = min([self._turns.wake_at(), *timers])
        return decision

    def _begin_row(self, room: int, now: float, decision: Decision, *, suspect: bool) -> None:
        before = len(self.calls)
        while len(self.calls) - before < room and (address := self._turns.next(suspect=suspect)):
            domain = self._domains.get(address)
            if domain is None or address[0] in self._leaving:
                continue
            if self._next(domain, address[0], now, decision):
                self._touch(address)
            elif (when := domain.wake(self._work.policy, now)) < inf:
                self._turns.later(address, when, now)

    def suspect(self, call: Call) -> bool:
        """Whether the domain of a call just failed."""
        domain = self._domains.get((call.entry.home, call.entry.domain))
        return domain is not None and domain.suspect

    def _next(self, domain: Domain, home: Home, now: float, decision: Decision) -> bool:
        found = domain.next(self._work, now)
        if found is None:
            return False
        queue, item, policy, _, untold = found
        if untold is not None:
            self._close(queue, item, untold, (), now, self._write(home, decision))
            return True
        line, free = domain.freest(policy, now)
        if not free:
            return False
        write = self._write(home, decision)
        if policy.on_ambiguous is OnAmbiguous.RESEND_KEYED:
            line = self._knowing(domain, found, line, now, write)
        if item.group is not None and not (item.urgent or policy.single) and whole(item):
            stormed = bool(item.batch and item.storm) and not item.entries and self._work.stormed(item)
            for reason, joined in companions(domain, found, free, now, stormed=stormed):
                self._join(queue, item, joined, reason, now, write)
        if policy.coalesce and item.carried is None and not (item.urgent or item.entries) and whole(item):
            found = self._coalesce(domain, found, now, write)
        if item.batch is not None and not item.entries:
            write.memos.update(self._work.speaks(item, now))
            if item.expires < inf:
                # It may have been put off, and is not asked about its turn any more.
                write.changed.append(copy(item))
        queue.left(policy.merge, now)
        self._begin(domain, found, line, now, write, decision)
        return True

    def _knowing(self, domain: Domain, chosen: Choice, line: int, now: float, write: Write) -> int:
        """The account that has seen the key of what may have arrived, if it has a place, else `line`: there the repeat
        is shown once more, and so bears its mark."""
        item, policy = chosen.item, chosen.policy
        know = [one.line for one in item.entries if one.ambiguous and one.part == item.part]
        if not know or line in know:
            return line
        for one in know:
            if one in policy.lines and domain.line(one).free(policy.limits, now, policy.beside):
                return one
        item.marked = True
        write.changed.append(copy(item))
        return line

    def _join(self, queue: Queue, into: Item, joined: Sequence[Item], reason: Reason, now: float, write: Write) -> None:
        """Merges those that are to be told; the others end here as at their own turn. One that is held back keeps what
        is behind it in its lane, and one that leaves takes it along: what was told before both says nothing of it. What
        nobody wants to hear (`resolved`) is told in no case, and so waits for what leaves before it."""
        told: list[Item] = []
        kept: set[str] = set()
        leaving = {into.lane}
        for item in joined:
            if item.lane in kept:
                continue
            turn = now if item.batch is None else self._work.turn(item, (), now)
            unwanted = isinstance(turn, Skipped) and turn.reason is Reason.RESOLVED
            if isinstance(turn, Held) or (unwanted and item.lane in leaving):
                kept.add(item.lane)
            elif isinstance(turn, Skipped) and item.lane not in leaving:
                self._close(queue, item, turn, (), now, write)
            else:
                leaving.add(item.lane)
                told.append(item)
        self._merge(queue, into, told, reason, now, write)

    def _coalesce(self, domain: Domain, chosen: Choice, now: float, write: Write) -> Choice:
        """Lets the call tell the people of others too to whom the very same is to be said, and may be now."""
        item, policy, reach = chosen.item, chosen.policy, chosen.reach
        address = (item.home, item.domain)
        others = [one for which in self._work.equals(item) if (one := self.items.get(which))]
        free = [one for one in others if (one.home, one.domain) == address and may_join(domain, self._work, one, now)]
        if not free or reach is None or reach.wide:
            return chosen
        found = self._work.together(item, free, now)
        if not found.joined:
            return chosen
        for one in found.joined:
            queue = domain.queue(one.queue)
            write.memos.update(self._work.speaks(one, now))
            queue.left(self._work.policy(one.queue).merge, now)
            self._close(queue, one, Merged(item.id, Reason.COALESCED), (), now, write)
        item.parts = found.parts
        write.changed.append(copy(item))
        whole = self._work.reach(item)
        told, _ = domain.meter(whole.sender).open(whole, (*policy.people, *policy.routine), now)
        names = {*reach.recipients, *told}
        return chosen._replace(reach=whole.only(tuple(one for one in whole.recipients if one in names)))

    def _begin(self, domain: Domain, chosen: Choice, line: int, now: float, write: Write, decision: Decision) -> None:
        queue, item, reach = chosen.queue, chosen.item, chosen.reach
        entry = Entry(
            item=item.id,
            redrive=item.redrive,
            hop=item.hop,
            number=len(item.entries) + 1,
            home=item.home,
            domain=item.domain,
            line=line,
            part=item.part,
            epoch=self.epochs[item.home],
            started=now,
            queue=item.queue,
            marked=item.marked,
            reach=reach,
        )
        item.entries.append(entry)
        if reach is not None:
            domain.meter(reach.sender).begin(reach)
        queue.start(item)
        domain.line(line).begin()
        domain.in_flight += 1
        write.began.append(entry)
        call = Call(item, entry)
        self.calls[item.id] = call
        decision.calls.append(call)

    def _merge(
        self, queue: Queue, into: Item, joined: Sequence[Item], reason: Reason, now: float, write: Write
    ) -> None:
        if not joined:
            return
        carried = into.carried
        if carried is None:
            write.memos.update(self._work.gathers(into, now))
            carried = self._work.digest(into)
        for item in joined:
            carried = combined(carried, item.carried or self._work.digest(item))
            self._close(queue, item, Merged(into.id, reason), (), now, write)
        into.carried = carried
        write.changed.append(copy(into))

    def _settle_interrupted(self, now: float, decision: Decision) -> None:
        while self._interrupted and self._interrupted[0][0] <= now:
            _, which, epoch = heapq.heappop(self._interrupted)
            item = self.items.get(which)
            if item is None or self.epochs[item.home] != epoch or item.entries[-1].ended is not None:
                continue
            self._result(item, item.entries[-1], _INTERRUPTED, now, self._write(item.home, decision))

    def _give_up_overdue(self, now: float, decision: Decision) -> None:
        """Ends what nobody was told of in time, for somebody else to be told, unless nobody is to hear of it; what is
        being called may still arrive."""
        while self._expiring and self._expiring[0][0] <= now:
            _, which, epoch = heapq.heappop(self._expiring)
            item = self.items.get(which)
            if item is None or self.epochs[item.home] != epoch or item.home in self._leaving:
                continue
            queue = self._queue(item)
            skipped: Skipped | None = None
            if item.batch is not None and not (item.entries or item.urgent):
                turn = self._work.turn(item, (), now)
                if not isinstance(turn, Skipped):
                    put_off(item, turn.until if isinstance(turn, Held) else turn, self._work)
                elif queue.lanes[item.lane][0] is item:  # else it may be news after what is before it
                    skipped = turn
            if item.expires > now:
                heapq.heappush(self._expiring, (item.expires, item.id, epoch))
            elif not item.entries or item.entries[-1].ended is not None:
                write = self._write(item.home, decision)
                self._close(queue, item, skipped or overdue(item, now), (), now, write)
                self._touch((item.home, item.domain))

    def _write(self, home: Home, decision: Decision) -> Write:
        write = decision.writes.get(home)
        if write is None:
            write = decision.writes[home] = Write(home, self.epochs[home])
        return write

    # ---- results

    def ended(self, call: Call, result: Success | Failed, now: float) -> Write | None:
        """The result of a call; None when its home has left meanwhile and a new owner decides."""
        if not self.begins(call):
            return None
        write = self._over(call)
        self._result(call.item, call.entry, result, now, write)
        return write

    def taken_back(self, call: Call, now: float) -> Write | None:
        """The end of an intent whose account asked to be left alone, or left its pool, before its call began: nothing
        was sent, and it counts as no attempt, neither against the other side nor against its item. None when the call
        may begin."""
        item, entry = call.item, call.entry
        domain = self._domain((item.home, item.domain))
        line = domain.line(entry.line)
        if now >= line.blocked_until and entry.line in self._work.policy(item.queue).lines:
            return None
        write = self._over(call)
        domain.reached(entry.reach, None, now)
        line.end(now, counts=False)
        item.entries[-1] = done = msgspec.structs.replace(
            entry, ended=now, reason=Reason.NOT_SENT, until=max(now, line.blocked_until)
        )
        write.ended.append(done)
        # Another account of the pool may take it at once.
        self._again(self._queue(item), item, now, now, write)
        self._touch((item.home, item.domain))
        return write

    def _over(self, call: Call) -> Write:
        del self.calls[call.item.id]
        self._domain((call.item.home, call.item.domain)).in_flight -= 1
        return Write(call.item.home, self.epochs[call.item.home])

    def _result(self, item: Item, entry: Entry, result: Success | Failed, now: float, write: Write) -> None:
        domain = self._domain((item.home, item.domain))
        queue = self._queue(item)
        line = domain.line(entry.line)
        if isinstance(result, Success):
            told = entry.reach and entry.reach.without(result.later)
            domain.reached(entry.reach, told, now)
            line.end(now, counts=True)
            domain.told(None, now)
            item.entries[-1] = done = msgspec.structs.replace(
                entry, ended=now, reason=Reason.DELIVERED, reach=told, reference=result.reference
            )
            write.ended.append(done)
            self._succeeded(queue, item, result, now, write)
        else:
            policy = self._work.policy(item.queue)
            sent = result.reason is not Reason.NOT_SENT
            # A vendor that counts people may count what it refused; what one can read is what may have arrived.
            told = entry.reach if sent and (result.ambiguous or policy.people) else None
            domain.reached(entry.reach, told, now)
            line.end(now, counts=sent)
            domain.told(result.reason, now)
            wait = backoff(item, policy)
            alone = left_alone(result, wait)
            line.block(now + alone)
            if result.reason is Reason.THROTTLED:
                line.throttled(entry.started, now)
            item.entries[-1] = done = msgspec.structs.replace(
                entry,
                ended=now,
                reason=result.reason,
                ambiguous=result.ambiguous,
                until=now + alone if alone else 0.0,
                reach=told,
            )
            write.ended.append(done)
            # When it is the account that wants to be left alone, another one of the pool may take the item before.
            self._failed(queue, item, result, wait if alone else max(result.after or 0.0, wait), now, write)
        self._touch((item.home, item.domain))

    def _succeeded(self, queue: Queue, item: Item, result: Success, now: float, write: Write) -> None:
        write.memos.update(result.memos)
        self.note(write, result.notes)
        if not result.more:
            self._close(queue, item, reached(result.recipients), result.recipients, now, write)
            return
        item.parts = result.parts or item.parts
        item.due = 0.0
        if not result.same:
            item.part += 1
            item.marked = False
        write.changed.append(copy(item))
        queue.again(item)

    def _failed(self, queue: Queue, item: Item, failed: Failed, wait: float, now: float, write: Write) -> None:
        policy = self._work.policy(item.queue)
        if parked := given_up(item, failed, policy, now):
            self._close(queue, item, parked, (), now, write)
            return
        if failed.ambiguous and policy.on_ambiguous is OnAmbiguous.RESEND_MARKED:
            item.marked = True
        self._again(queue, item, now + wait, now, write)

    def _again(self, queue: Queue, item: Item, due: float, now: float, write: Write) -> None:
        if item.expires <= now:
            self._close(queue, item, overdue(item, now), (), now, write)
            return
        item.due = due
        write.changed.append(copy(item))
        queue.again(item)

    def _close(
        self, queue: Queue, item: Item, outcome: Outcome, states: Sequence[RecipientState], now: float, write: Write
    ) -> None:
        told = self._work.closed(item, outcome, states, now)
        self.note(write, told.notes)
        write.memos.update(told.memos)
        write.closed.append(Closed(item.id, msgspec.json.encode(told.kept or outcome), now))
        queue.remove(item)
        self._forget(item)
