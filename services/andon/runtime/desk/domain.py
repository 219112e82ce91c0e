"""A limit domain: one vendor account (or pool of equal ones), its queues, its limiter and its health."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

from andon.core.outcome import Skipped
from andon.core.policy import Limit, QueuePolicy
from andon.core.reason import Reason
from andon.core.work import Item, Reach
from andon.runtime.desk.limiter import Line
from andon.runtime.desk.meter import Meter
from andon.runtime.desk.queue import Queue, Rank
from andon.runtime.desk.verdict import put_off
from andon.runtime.desk.work import Held, Work

# Failures that speak about the other side's health, not about one item.
_SICK = frozenset({Reason.NOT_SENT, Reason.TIMEOUT, Reason.CONNECTION, Reason.SERVER_ERROR, Reason.BAD_REPLY})
_TRIES = 3
_LONGEST_S = 30.0
# A moment that was reached by addition can lie a rounding before itself.
_AT_LEAST_S = 0.001
_LAST: Rank = (True, 1 << 63)


class Choice(NamedTuple):
    """What may be called now, and for whom, where people are counted; or what need not be told any more."""

    queue: Queue
    item: Item
    policy: QueuePolicy
    reach: Reach | None
    untold: Skipped | None = None


class Domain:
    """Knows which of its items may be called next, if any, and when to ask again."""

    __slots__ = ("_bar", "_lines", "_meters", "_stuck", "failures", "in_flight", "queues", "resting_until")

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self._lines: dict[int, Line] = {}
        self._meters: dict[str, Meter] = {}
        self._stuck: set[Queue] = set()
        # What comes behind this rank waits, though it may have a place.
        self._bar = _LAST
        self.in_flight = 0
        self.failures = 0
        self.resting_until = 0.0

    def queue(self, name: str) -> Queue:
        """The queue of this name."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(name)
        return queue

    def line(self, number: int) -> Line:
        """The account of this number."""
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line()
        return line

    def meter(self, sender: str) -> Meter:
        """What this sender's limits per recipient and per person have counted."""
        meter = self._meters.get(sender)
        if meter is None:
            meter = self._meters[sender] = Meter()
        return meter

    def reached(self, reach: Reach | None, told: Reach | None, now: float) -> None:
        """A call to `reach` ended, of whom those of `told` may have got something, if anybody. Who waited for its
        result looks again; everyone does when it gives a place back."""
        if reach is None:
            return
        meter, whole = self.meter(reach.sender), told is reach
        meter.end(reach, now, counts=whole)
        if told and not whole:
            meter.past(told, now)
        for queue in self._stuck if whole else self.queues.values():
            queue.release(every=not whole)
        self._stuck.clear()

    def reconsider(self) -> None:
        """The limits are others: what stepped aside for the old ones asks again."""
        for queue in self.queues.values():
            queue.release(every=True)

    @property
    def suspect(self) -> bool:
        """Whether its last call failed in a way that says the other side may be down or slow."""
        return self.failures > 0

    def freest(self, policy: QueuePolicy, now: float) -> tuple[int, int]:
        """The account with most free slots, and how many those are."""
        slots = [self.line(n).free(policy.limits, now, policy.beside) for n in policy.lines]
        most = max(slots)
        return policy.lines[slots.index(most)], most

    def used(self, policy: QueuePolicy, now: float) -> float:
        """The share of the limits in use on the fullest line, 0 to 1; 0 without limits."""
        if not policy.limits:
            return 0.0
        most = min(limit.count for limit in policy.limits)
        return 1.0 - min(self.line(n).free(policy.limits, now, policy.beside) for n in policy.lines) / most

    def _allowed(self, policy: QueuePolicy) -> bool:
        return self.in_flight < (1 if self.suspect else policy.in_flight)

    def next(self, work: Work, now: float) -> Choice | None:
        """The most urgent, then oldest item that health, pace, the bound on calls at one time, its group, the limits of
        its recipients and those of its channel let go now.

        The channels of one account may have different limits, and each counts all calls. So one that has no place yet
        is passed over, but only for as long as its limits look back, and never if it is urgent: the calls of the others
        could keep it waiting for ever.
        """
        self._bar = _LAST
        if now < self.resting_until:
            return None
        best: Choice | None = None
        best_rank = passed = _LAST
        taken: tuple[tuple[Limit, ...], tuple[int, ...]] | None = None
        for queue in self.queues.values():
            while (item := queue.head(now) if queue.size else None) and (rank := queue.rank(item)) <= best_rank:
                policy = work.policy(queue.name)
                if not self._allowed(policy) or (rank[0] and queue.paced(policy.merge, now) > now):
                    break
                place = (policy.limits, policy.lines)
                # Mostly all have the same limits, and there may be a thousand of them.
                full = place == taken or not self.freest(policy, now)[1]
                passes = full and rank[0] and now < item.born + policy.longest
                if passes and rank > passed:
                    break
                taken = place if full else taken
                if item.batch is not None and not item.entries:
                    turn = work.turn(item, queue.behind(item), now)
                    if isinstance(turn, Skipped):
                        # At once, whatever is older: its end needs no place, and its work may not say so again.
                        return Choice(queue, item, policy, None, turn)
                    until = turn.until if isinstance(turn, Held) else turn
                    if rank[0] and until > now:
                        put_off(item, until, work)
                        queue.hold(item, max(until, now + _AT_LEAST_S))
                        continue
                reach = work.reach(item) if policy.people or policy.routine else None
                if reach and not (reach := self._open(queue, item, policy, reach, now)):
                    continue
                if not full:
                    best, best_rank = Choice(queue, item, policy, reach), rank
                elif passes:
                    passed = rank
                else:
                    best, best_rank, passed = None, rank, rank
                break
        if best is None:
            self._bar = best_rank
        return best

    def _open(self, queue: Queue, item: Item, policy: QueuePolicy, whole: Reach, now: float) -> Reach | None:
        """The recipients the item may reach now. When there are none it steps aside, and None is returned."""
        routine = queue.rank(item)[0]
        limits = (*policy.people, *policy.routine) if routine else policy.people
        told, when = self.meter(whole.sender).open(whole, limits, now, () if routine else policy.routine)
        if told:
            return whole.only(told)
        queue.hold(item, max(when, now + _AT_LEAST_S), limited=True)
        if when == inf:
            self._stuck.add(queue)
        return None

    def wake(self, policy_of: Callable[[str], QueuePolicy], now: float) -> float:
        """When to look again if nothing happens before: a retry falls due, a slot, a pace or a rest ends."""
        when = inf
        for queue in self.queues.values():
            if not queue.size:
                continue
            item = queue.head(now)
            when = min(when, queue.next_due())
            if item is None or queue.rank(item) > self._bar:
                continue
            policy = policy_of(queue.name)
            if self._allowed(policy):
                free = min(self.line(n).next_free(policy.limits, now) for n in policy.lines)
                pace = queue.paced(policy.merge, now) if queue.rank(item)[0] else now
                when = min(when, max(free, pace, self.resting_until))
        return when

    def told(self, reason: Reason | None, now: float) -> None:
        """The result of a call, None for success. Three failures in a row rest the domain for 1, 2, 4 … 30 s, after
        which one call at a time probes it."""
        if reason in _SICK:
            self.failures += 1
            if self.failures >= _TRIES:
                self.resting_until = now + min(_LONGEST_S, 2.0 ** min(self.failures - _TRIES, 10))
        else:
            self.failures = 0
            self.resting_until = 0.0
