"""A limit domain: one vendor account (or pool of equal ones), its queues, its limiter and its health."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from andon.core.policy import QueuePolicy
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.desk.limiter import Line
from andon.runtime.desk.queue import Queue

# Failures that speak about the other side's health, not about one item.
_SICK = frozenset({Reason.NOT_SENT, Reason.TIMEOUT, Reason.CONNECTION, Reason.SERVER_ERROR, Reason.BAD_REPLY})
_TRIES = 3
_LONGEST_S = 30.0


class Domain:
    """Knows which of its items may be called next, if any, and when to ask again."""

    __slots__ = ("_lines", "failures", "in_flight", "queues", "resting_until")

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self._lines: list[Line] = []
        self.in_flight = 0
        self.failures = 0
        self.resting_until = 0.0

    def line(self, number: int) -> Line:
        """The account of this number."""
        while len(self._lines) <= number:
            self._lines.append(Line())
        return self._lines[number]

    @property
    def suspect(self) -> bool:
        """Whether its last call failed in a way that says the other side may be down or slow."""
        return self.failures > 0

    def freest(self, policy: QueuePolicy, now: float) -> tuple[int, int]:
        """The line with most free slots, and how many those are."""
        slots = [self.line(n).free(policy.limits, now) for n in range(policy.lines)]
        best = max(range(len(slots)), key=slots.__getitem__)
        return best, slots[best]

    def _allowed(self, policy: QueuePolicy) -> bool:
        return self.in_flight < (1 if self.suspect else policy.in_flight)

    def next(self, policy_of: Callable[[str], QueuePolicy], now: float) -> tuple[Queue, Item, QueuePolicy] | None:
        """The most urgent, then oldest item that health, pace and the bound on calls at one time let go now."""
        best: tuple[Queue, Item, QueuePolicy] | None = None
        if now < self.resting_until:
            return None
        for queue in self.queues.values():
            item = queue.head(now)
            if item is None or (best and (not item.urgent, item.offset) > (not best[1].urgent, best[1].offset)):
                continue
            policy = policy_of(queue.name)
            if self._allowed(policy) and (item.urgent or queue.paced(policy.merge, now) <= now):
                best = (queue, item, policy)
        return best

    def wake(self, policy_of: Callable[[str], QueuePolicy], now: float) -> float:
        """When to look again if nothing happens before: a retry falls due, a slot, a pace or a rest ends."""
        when = inf
        for queue in self.queues.values():
            item = queue.head(now)
            when = min(when, queue.next_due())
            if item is None:
                continue
            policy = policy_of(queue.name)
            if self._allowed(policy):
                free = min(self.line(n).next_free(policy.limits, now) for n in range(policy.lines))
                pace = now if item.urgent else queue.paced(policy.merge, now)
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
