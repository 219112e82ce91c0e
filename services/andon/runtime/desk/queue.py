"""What waits for one receiver: ordered per lane (subject), urgent lanes first, then by age."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from math import inf

from andon.core.policy import Merge, QueuePolicy
from andon.core.work import Item


class Queue:
    """Open items of one receiver. Only the first item of a lane can be called, and no other until it has ended."""

    __slots__ = ("_ready", "_waiting", "busy", "lanes", "name", "sent", "size")

    def __init__(self, name: str) -> None:
        self.name = name
        self.lanes: dict[str, deque[Item]] = {}
        self.busy: set[str] = set()
        self.size = 0
        self.sent: deque[float] = deque()
        # Heaps with stale entries: a lane may stand in them more than once and is checked when it comes up.
        self._ready: list[tuple[bool, int, str]] = []
        self._waiting: list[tuple[float, str]] = []

    def add(self, item: Item) -> None:
        """Takes an item in, behind the others of its lane."""
        lane = self.lanes.setdefault(item.lane, deque())
        lane.append(item)
        self.size += 1
        if item.lane not in self.busy and (len(lane) == 1 or item.urgent):
            self._offer(item.lane)

    def _offer(self, lane: str) -> None:
        items = self.lanes[lane]
        head = items[0]
        if head.due > 0:
            heapq.heappush(self._waiting, (head.due, lane))
        else:
            heapq.heappush(self._ready, (not any(item.urgent for item in items), head.offset, lane))

    def _ripen(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, lane = heapq.heappop(self._waiting)
            items = self.lanes.get(lane)
            if items and lane not in self.busy and items[0].due <= now:
                heapq.heappush(self._ready, (not any(item.urgent for item in items), items[0].offset, lane))

    def head(self, now: float) -> Item | None:
        """The item whose turn it is, without taking it."""
        self._ripen(now)
        while self._ready:
            _, _, lane = self._ready[0]
            items = self.lanes.get(lane)
            if items and lane not in self.busy and items[0].due <= now:
                return items[0]
            heapq.heappop(self._ready)
        return None

    def start(self, item: Item) -> None:
        """The item is being called; its lane waits."""
        self.busy.add(item.lane)

    def again(self, item: Item) -> None:
        """The item's call has ended and it stays open, due at `item.due`."""
        self.busy.discard(item.lane)
        self._offer(item.lane)

    def remove(self, item: Item) -> None:
        """The item is closed."""
        lane = self.lanes[item.lane]
        if lane[0] is item:
            self.busy.discard(item.lane)
        lane.remove(item)
        self.size -= 1
        if not lane:
            del self.lanes[item.lane]
        elif item.lane not in self.busy:
            self._offer(item.lane)

    def __iter__(self) -> Iterator[Item]:
        """Every open item, oldest first."""
        return iter(sorted((item for lane in self.lanes.values() for item in lane), key=lambda item: item.offset))

    def next_due(self) -> float:
        """When the next delayed lane ripens; inf when none waits."""
        return self._waiting[0][0] if self._waiting else inf

    def paced(self, merge: Merge | None, now: float) -> float:
        """When the next routine call may leave under the merge rule: at once, or one `period / count` after the last.

        Above the rule's rate what comes in meanwhile is gathered, and leaves together.
        """
        if merge is None:
            return now
        while self.sent and self.sent[0] <= now - merge.over.period:
            self.sent.popleft()
        if len(self.sent) < merge.over.count:
            return now
        return self.sent[-1] + merge.over.period / merge.over.count


def mergeable(queue: Queue, into: Item | None, *, same_group: bool) -> list[Item]:
    """The waiting routine items that may become part of `into` (or of the oldest of them) without changing any order.

    An item can join only if every older item of its lane joins too; what has begun, is urgent or has no group stays.
    """
    stopped = set(queue.busy)
    if into is not None:
        stopped.discard(into.lane)
    joined: list[Item] = []
    for item in queue:
        if item is into:
            continue
        begun = bool(item.entries or item.part)
        other = same_group and into is not None and item.group != into.group
        if item.lane in stopped or item.urgent or item.group is None or begun or other:
            stopped.add(item.lane)
        else:
            joined.append(item)
    return joined


def full(queue: Queue, policy: QueuePolicy) -> bool:
    """Whether the queue is at its cap."""
    return queue.size >= policy.cap
