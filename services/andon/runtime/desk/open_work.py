"""The open work of a desk in memory: what `adopt` rebuilds from the store and `drop` forgets."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from math import inf
from uuid import UUID

import msgspec

from andon.core.event import Home
from andon.core.failure import LONGEST_S
from andon.core.policy import Limit, Per
from andon.core.reason import Reason
from andon.core.work import Entry, Holding, Item, Note, Write
from andon.runtime.desk.domain import Domain
from andon.runtime.desk.meter import Quota
from andon.runtime.desk.packing import packed, size_of
from andon.runtime.desk.queue import Queue, has_room
from andon.runtime.desk.set_back import done_by
from andon.runtime.desk.turns import Address, Turns
from andon.runtime.desk.work import Work

# Bytes of what waits in groups, above which a body is worth the time to pack it.
_PLENTY = 1 << 20


class Call(msgspec.Struct, frozen=True):
    """An attempt whose intent is in the write that came with it."""

    item: Item
    entry: Entry


class OpenWork:
    """Items, calls in flight and domains of the homes this process owns, each home under the epoch of its lease.

    `weight` is the size of the open items' bodies, in bytes, but for those in groups: theirs is `grouped`, and once
    there is plenty of them they are packed in memory. Writes have them as they came.
    """

    def __init__(self, work: Work, deadline: float) -> None:
        self.items: dict[UUID, Item] = {}
        self.weight = 0
        self.grouped = 0
        self.epochs: dict[Home, int] = {}
        self.calls: dict[UUID, Call] = {}
        self._domains: dict[Address, Domain] = {}
        self._work = work
        self._deadline = deadline
        self._notes: dict[Home, int] = {}
        self._open: dict[Home, int] = {}
        self._leaving: set[Home] = set()
        self._turns = Turns()
        self._interrupted: list[tuple[float, UUID, int]] = []
        self._expiring: list[tuple[float, UUID, int]] = []

    # ---- ownership

    def adopt(self, holding: Holding, now: float) -> None:
        """Takes over a home; limits and merge rules remember what the ledger does. Attempts of the last owner without
        a result become ambiguous once the deadline of their call has passed on our own clock; until then they hold
        their lane and their slot in the limiter, but no place among the calls of their domain: whoever made them is
        gone, and a receiver is not left alone for so long because of a call or two. Nothing that is remembered was done
        later than now: the clock may have been set back."""
        self.drop(holding.home)
        holding = done_by(holding, now)
        self.epochs[holding.home] = holding.epoch
        self._notes[holding.home] = holding.epoch << 32
        self._open[holding.home] = 0
        for entry in map(self._by_account, holding.recent):
            domain = self._domain((holding.home, entry.domain))
            line = domain.line(entry.line)
            # An older version may have stored whatever the other side said.
            line.block(min(entry.until, (entry.ended or entry.started) + LONGEST_S))
            if entry.queue and (merge := self._work.policy(entry.queue).merge):
                domain.queue(entry.queue).left(merge, entry.started)
            reach = entry.reach
            if entry.ended is None:
                line.begin()
                if reach is not None:
                    domain.meter(reach.sender).begin(reach)
            elif entry.reason is not Reason.NOT_SENT:
                line.past(entry.ended)
                if entry.reason is Reason.THROTTLED:
                    line.throttled(entry.started, entry.ended)
                if reach is not None:
                    domain.meter(reach.sender).past(reach, entry.ended)
        for item in holding.items:
            item.entries = [self._by_account(entry) for entry in item.entries]
            self._place(item)
            if item.entries and item.entries[-1].ended is None:
                self._queue(item).start(item)
                heapq.heappush(self._interrupted, (now + self._deadline, item.id, holding.epoch))
        self._work.keep(holding.home, holding.memos, now)

    def _by_account(self, entry: Entry) -> Entry:
        """An older version wrote the place of an account in its pool where its number stands now."""
        lines = self._work.policy(entry.queue).lines if entry.queue else ()
        number = lines[entry.line] if entry.line < len(lines) else entry.line
        return entry if number == entry.line else msgspec.structs.replace(entry, line=number)

    def leave(self, home: Home) -> bool:
        """Begins no more calls for a home; True when none of its calls is in flight."""
        self._leaving.add(home)
        return not any(call.entry.home == home for call in self.calls.values())

    def drop(self, home: Home) -> None:
        """Forgets a home that has left; results of its calls that come later are a new owner's to find out."""
        self._leaving.discard(home)
        if self.epochs.pop(home, None) is None:
            return
        for item in [item for item in self.items.values() if item.home == home]:
            self._forget(item)
            self.calls.pop(item.id, None)
        del self._open[home]
        for address in [address for address in self._domains if address[0] == home]:
            del self._domains[address]

    def reconsider(self) -> None:
        """The configuration is another: every domain is looked at again, and who waits for a limit asks again."""
        for address, domain in self._domains.items():
            domain.reconsider()
            self._touch(address)

    # ---- looking in

    def open_of(self, home: Home) -> int:
        """Open items of a home."""
        return self._open.get(home, 0)

    def begins(self, call: Call) -> bool:
        """Whether a call whose intent was stored is still ours to make."""
        return self.calls.get(call.item.id) is call

    def accepts(self, item: Item) -> bool:
        """Whether the queue of an item that was not admitted has room again."""
        return has_room(self._queue(item), self._work.policy(item.queue))

    def queues(self) -> Iterator[Queue]:
        """Every queue of every home."""
        for domain in self._domains.values():
            yield from domain.queues.values()

    def utilisation(self, now: float) -> dict[str, float]:
        """The highest share of a limit in use, by the kind of domain (the channel's)."""
        highest: dict[str, float] = {}
        for (_, name), domain in self._domains.items():
            kind = name.partition(":")[0]
            for queue in domain.queues.values():
                used = domain.used(self._work.policy(queue.name), now)
                highest[kind] = max(highest.get(kind, 0.0), used)
        return highest

    def quotas(self, now: float) -> Iterator[tuple[Home, str, Quota]]:
        """The quotas of every channel that counts people by the block, each once, with the home it is counted in. The
        queue of a receiver that was another channel's before is in a domain that has counted nothing of it."""
        found: dict[tuple[str, Limit], tuple[Home, str, Quota]] = {}
        for (home, _), domain in self._domains.items():
            policies = map(self._work.policy, domain.queues)
            counted = {(one.channel, one.sender, limit) for one in policies for limit in one.people}
            for channel, sender, limit in counted:
                if limit.per is Per.PERSON:
                    quota = domain.meter(sender).quota(limit, now)
                    known = found.get((channel, limit))
                    if known is None or quota.left < known[2].left:
                        found[channel, limit] = (home, channel, quota)
        yield from found.values()

    # ---- parts

    def note(self, write: Write, notes: Iterable[Note]) -> None:
        """Puts records for publishing into the outbox, in this order."""
        for one in notes:
            self._notes[write.home] += 1
            write.notes.append((self._notes[write.home], one))

    def _place(self, item: Item) -> None:
        self.items[item.id] = item
        self._weigh(item, 1)
        if self.grouped > _PLENTY and _is_grouped(item):
            item.body = packed(item.body)
        self._open[item.home] += 1
        self._queue(item).add(item)
        if item.expires < inf:
            heapq.heappush(self._expiring, (item.expires, item.id, self.epochs[item.home]))
        self._touch((item.home, item.domain))

    def _forget(self, item: Item) -> None:
        del self.items[item.id]
        self._weigh(item, -1)
        self._open[item.home] -= 1

    def _weigh(self, item: Item, sign: int) -> None:
        size = sign * size_of(item.body)
        if _is_grouped(item):
            self.grouped += size
        else:
            self.weight += size

    def _queue(self, item: Item) -> Queue:
        return self._domain((item.home, item.domain)).queue(item.queue)

    def _domain(self, address: Address) -> Domain:
        domain = self._domains.get(address)
        if domain is None:
            domain = self._domains[address] = Domain()
        return domain

    def _touch(self, address: Address) -> None:
        domain = self._domains.get(address)
        if domain is not None:
            self._turns.add(address, suspect=domain.suspect)


def _is_grouped(item: Item) -> bool:
    return bool(item.batch and item.flock)
