"""What waits for one receiver: ordered per lane (subject), urgent lanes first, then by age."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator
from math import inf

from andon.core.policy import Merge, QueuePolicy
from andon.core.work import Item

Rank = tuple[bool, int]
"""A lane's place among the others: False when something urgent waits in it, then the offset of its first item."""

_ROOM_AGAIN = 0.9
_SLACK = 64


class Queue:
    """Open items of one receiver. Only the first item of a lane can be called, and no other until it has ended."""

    __slots__ = (
        "_gathers", "_held", "_limited", "_ranks", "_ready", "_sent", "_waiting", "apart", "busy", "lanes", "name",
        "size",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        # Most have one item: a list of one is a tenth of a deque.
        self.lanes: dict[str, list[Item]] = {}
        self.busy: set[str] = set()
        self.size = 0
        self.apart = 0
        self._sent: deque[float] = deque()
        self._gathers = False
        # Lanes whose first item may not be called before then, whatever else may be.
        self._held: dict[str, float] = {}
        # Those of them that wait for a limit, not by rules of their own: there may be a hundred thousand of the others.
        self._limited: set[str] = set()
        self._ranks: dict[str, Rank] = {}
        # Heaps with stale entries: a lane may stand in them more than once, and only with its present rank counts.
        self._ready: list[tuple[Rank, str]] = []
        self._waiting: list[tuple[float, str]] = []

    def add(self, item: Item) -> None:
        """Takes an item in, behind the others of its lane."""
        lane = self.lanes.get(item.lane)
        if lane is None:
            lane = self.lanes[item.lane] = [item]
        else:
            lane.append(item)
        self.size += 1
        self.apart += item.apart
        if item.lane not in self.busy and (len(lane) == 1 or item.urgent):
            self._offer(item.lane)

    def _offer(self, lane: str) -> None:
        items = self.lanes[lane]
        self._let_by(lane)
        self._ranks[lane] = rank = (not any(item.urgent for item in items), items[0].offset)
        if items[0].due > 0:
            heapq.heappush(self._waiting, (items[0].due, lane))
        else:
            heapq.heappush(self._ready, (rank, lane))

    def _ripen(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, lane = heapq.heappop(self._waiting)
            items = self.lanes.get(lane)
            if items and lane not in self.busy and items[0].due <= now and self._held.get(lane, 0.0) <= now:
                self._let_by(lane)
                heapq.heappush(self._ready, (self._ranks[lane], lane))

    def head(self, now: float) -> Item | None:
        """The item whose turn it is, without taking it."""
        self._ripen(now)
        while self._ready:
            rank, lane = self._ready[0]
            if lane not in self.busy and self._ranks.get(lane) == rank and lane not in self._held:
                item = self.lanes[lane][0]
                if item.due <= now:
                    return item
                heapq.heappush(self._waiting, (item.due, lane))  # the clock was set back
            heapq.heappop(self._ready)
        return None

    def _let_by(self, lane: str) -> None:
        self._held.pop(lane, None)
        self._limited.discard(lane)

    def hold(self, item: Item, until: float, *, limited: bool = False) -> None:
        """The item whose turn it was steps aside until then (inf: until `release`), and lets the other lanes by;
        `limited` when it is a limit that it waits for."""
        heapq.heappop(self._ready)
        self._held[item.lane] = until
        if limited:
            self._limited.add(item.lane)
        if until < inf:
            heapq.heappush(self._waiting, (until, item.lane))
            self._clear()

    def _clear(self) -> None:
        """Forgets what is stale in the heap of those that wait: a lane may be held and released many times a minute, to
        wait for one moment of the next day."""
        if len(self._waiting) > 2 * len(self.lanes) + _SLACK:
            due = {lane: self._held.get(lane, 0.0) or items[0].due for lane, items in self.lanes.items()}
            self._waiting = [(when, lane) for lane, when in due.items() if 0 < when < inf]
            heapq.heapify(self._waiting)

    def release(self, *, every: bool) -> None:
        """Those that were to step aside until a result came are asked again; with `every` all that a limit let step
        aside."""
        for lane in [lane for lane in self._limited if every or self._held[lane] == inf]:
            self._offer(lane)

    def rank(self, item: Item) -> Rank:
        """The place of the lane whose first item this is."""
        return self._ranks[item.lane]

    def behind(self, item: Item) -> list[Item]:
        """Those that follow the first item of its lane."""
        return self.lanes[item.lane][1:]

    def start(self, item: Item) -> None:
        """The item is being called; its lane waits."""
        self.busy.add(item.lane)

    def again(self, item: Item) -> None:
        """The item stays open and at the head of its lane, due at `item.due`; it is not being called."""
        self.busy.discard(item.lane)
        self._offer(item.lane)

    def remove(self, item: Item) -> None:
        """The item is closed."""
        lane = self.lanes[item.lane]
        if lane[0] is item:
            self.busy.discard(item.lane)
        lane.remove(item)
        self.size -= 1
        self.apart -= item.apart
        if not lane:
            del self.lanes[item.lane]
            del self._ranks[item.lane]
            self._let_by(item.lane)
        elif item.lane not in self.busy:
            self._offer(item.lane)

    def __iter__(self) -> Iterator[Item]:
        """Every open item, oldest first."""
        return iter(sorted((item for lane in self.lanes.values() for item in lane), key=lambda item: item.offset))

    def next_due(self) -> float:
        """When the next delayed lane ripens; inf when none waits."""
        return self._waiting[0][0] if self._waiting else inf

    def oldest(self) -> float:
        """When the event of the longest waiting item was accepted; inf when nothing waits."""
        return min((lane[0].born for lane in self.lanes.values()), default=inf)

    def left(self, merge: Merge | None, now: float) -> None:
        """A call begins; it counts in the rate of the merge rule, if there is one."""
        self._recent(merge, now)
        self._gathers = False
        if merge is not None:
            self._sent.append(now)

    def over_rate(self, merge: Merge, now: float) -> bool:
        """Whether the receiver has had as many calls in the merge rule's period as it lets through one by one, or the
        next one had to wait for that."""
        return self._gathers or self._recent(merge, now) >= merge.over.count

    def paced(self, merge: Merge | None, now: float) -> float:
        """When the next routine call may leave under the merge rule: at once, or one `period / count` after the last.

        Above the rule's rate what comes in meanwhile is gathered, and leaves together.
        """
        if merge is None or self._recent(merge, now) < merge.over.count:
            return now
        until = self._sent[-1] + merge.over.period / merge.over.count
        self._gathers |= until > now
        return until

    def _recent(self, merge: Merge | None, now: float) -> int:
        oldest = now - merge.over.period if merge is not None else inf
        while self._sent and self._sent[0] <= oldest:
            self._sent.popleft()
        return len(self._sent)


def whole(item: Item) -> bool:
    """Whether no part of the item can have arrived, so that what it says may still be changed."""
    return item.part == 0 and item.parts is None and not any(e.ambiguous or e.ended is None for e in item.entries)


def crowd(queue: Queue) -> str:
    """The audience for which most routine items wait."""
    routine = (item for item in queue if not item.urgent and item.group is not None and not item.apart)
    waiting = Counter(item.audience for item in routine)
    return waiting.most_common(1)[0][0] if waiting else ""


def mergeable(
    queue: Queue, into: Item | None, *, alike: Callable[[Item], bool] = lambda _item: True, audience: str = ""
) -> list[Item]:
    """The waiting routine items that may become part of `into` (or of the oldest of them), oldest first.

    An item can join only if every older item of its lane joins too; what is not `alike`, may have arrived in part, is
    being called, is urgent, has no group or another audience stays. Items that stay keep their order among themselves.
    """
    # Looked for first: mostly there is none, and the order of all that wait costs more.
    if not any(alike(item) for lane in queue.lanes.values() for item in lane if item is not into):
        return []
    audience = into.audience if into is not None else audience
    stopped = set(queue.busy)
    joined: list[Item] = []
    for item in queue:
        if item is into:
            continue
        apart = item.group is None or item.audience != audience
        if item.lane in stopped or item.urgent or apart or not alike(item) or not whole(item):
            stopped.add(item.lane)
        else:
            joined.append(item)
    return joined


def full(queue: Queue, policy: QueuePolicy) -> bool:
    """Whether the queue is at its cap. What is held for later is few and does not count: it must not stop the rest."""
    return queue.size - queue.apart >= policy.cap


def has_room(queue: Queue, policy: QueuePolicy) -> bool:
    """Whether the queue is well below its cap: a partition is not to be paused and resumed for every single record."""
    return queue.size - queue.apart <= int(_ROOM_AGAIN * policy.cap)
