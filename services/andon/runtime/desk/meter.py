"""Limits that count people: what one sender has sent to each recipient, and how many people it has reached in a day.

The same sliding log as that of a line (limiter), one for each recipient, rebuilt from the ledger after a restart or by
a new owner. A vendor that discards in silence what exceeds such a limit must never be given it. Names that may stand
for anyone (a department, everybody) share one log more, which counts for every recipient: nobody knows whom they meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from andon.core.policy import Limit, Per
from andon.core.work import Reach
from andon.runtime.desk.limiter import Line

_MINUTE_S = 60.0
_HOUR_S = 3_600.0
_NEVER = Line()
_SWEEP = 1_024
# Two days and more, of which the older half may go; a day's sum is made once and kept up.
_MINUTES = 4 * 1_440
_BLOCKS = 8


class Quota(NamedTuple):
    """A limit per person, in the block that `begun` then; `out` is when nothing is `left` of it, inf when it lasts."""

    total: int
    left: int
    begun: float
    out: float


class Meter:
    """The calls of one sender. Limits are given at each question, as to a `Line`."""

    __slots__ = ("_blocks", "_lines", "_longest", "_minutes", "_people", "_sweep", "_wide")

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._wide = Line()
        self._minutes: dict[float, int] = {}
        self._blocks: dict[tuple[Limit, float], int] = {}
        self._people = 0
        self._longest = 0.0
        self._sweep = _SWEEP

    # ---- what happens

    def begin(self, reach: Reach) -> None:
        """An intent was written."""
        for line in self._touched(reach):
            line.begin()
        self._people += reach.people()

    def end(self, reach: Reach, at: float, *, counts: bool) -> None:
        """Its result came; `counts` is False when no byte had left."""
        for line in self._touched(reach):
            line.end(at, counts=counts)
        self._people -= reach.people()
        if counts:
            self._count(reach, at)
        if len(self._lines) > self._sweep:
            self._forget(at)

    def past(self, reach: Reach, at: float) -> None:
        """A call ended at `at`, as the ledger remembers it."""
        for line in self._touched(reach):
            line.past(at)
        self._count(reach, at)

    def _touched(self, reach: Reach) -> Iterator[Line]:
        for name in reach.recipients:
            if name not in reach.wide:
                line = self._lines.get(name)
                if line is None:
                    line = self._lines[name] = Line()
                yield line
        if reach.wide:
            yield self._wide

    def _count(self, reach: Reach, at: float) -> None:
        minute, people = at // _MINUTE_S, reach.people()
        if minute not in self._minutes and len(self._minutes) >= _MINUTES:
            for old in sorted(self._minutes)[: _MINUTES // 2]:
                del self._minutes[old]
        self._minutes[minute] = self._minutes.get(minute, 0) + people
        for limit, start in self._blocks:
            if _meets(limit, start, minute):
                self._blocks[limit, start] += people

    # ---- what may happen

    def open(
        self, reach: Reach, limits: Sequence[Limit], now: float, beside: Sequence[Limit] = ()
    ) -> tuple[tuple[str, ...], float]:
        """Those recipients that may be told now; if there are none, when the first may be: inf when only a result can
        tell. Who asks with the limits `beside` another time finds all calls counted."""
        each, others = ([limit for limit in some if limit.per is Per.RECIPIENT] for some in (limits, beside))
        self._longest = max(self._longest, max((limit.period for limit in (*each, *others)), default=0.0))
        room, again = self._room([limit for limit in limits if limit.per is Per.PERSON], now)
        told: list[str] = []
        soonest = inf
        for name in reach.recipients:
            when = self._next(name, reach, each, now, others)
            # More people than a whole day may reach go as soon as that day has nobody yet.
            weight = min(reach.wide.get(name, 1), max(again[1], 1))
            if when > now:
                soonest = min(soonest, max(when, again[0] if weight > room else now))
            elif weight > room:
                soonest = min(soonest, again[0])
            else:
                told.append(name)
                room -= weight
        return tuple(told), now if told else soonest

    def spare(self, reach: Reach, limits: Sequence[Limit], now: float) -> int:
        """How many calls more each of its recipients may get now."""
        wide = self._wide.taken(limits, now)
        own = (self._lines.get(name, _NEVER).free(limits, now) for name in reach.recipients if name not in reach.wide)
        return max(0, min(own, default=1 << 30) - wide)

    def _next(self, name: str, reach: Reach, limits: Sequence[Limit], now: float, beside: Sequence[Limit]) -> float:
        """When this recipient may be told."""
        wide = self._wide.taken(limits, now, beside)
        if name in reach.wide:
            return max(self._of_both(line, wide, limits, now, beside) for line in (_NEVER, *self._lines.values()))
        return self._of_both(self._lines.get(name, _NEVER), wide, limits, now, beside)

    def _of_both(self, line: Line, wide: int, limits: Sequence[Limit], now: float, beside: Sequence[Limit]) -> float:
        """When one call more fits on top of a recipient's own and of those that were for anyone."""
        if line.free(limits, now, beside) > wide:
            return now
        return (line.with_(self._wide) if wide else line).next_free(limits, now)

    def _room(self, limits: Sequence[Limit], now: float) -> tuple[int, tuple[float, int]]:
        """How many people may be reached now; when there is room again, and how much at most."""
        room, again, most = 1 << 30, now, 1 << 30
        for limit in limits:
            most = min(most, limit.count)
            room = min(room, limit.count - self._used(limit, now) - self._people)
            when = now
            # The blocks on both sides of midnight count while it passes; a third is never met.
            for _ in range(3):
                if self._used(limit, when) + self._people < limit.count:
                    break
                when = limit.block(when - limit.margin) + limit.period + limit.margin
            else:
                when = inf
            again = max(again, when if when > now else limit.block(now - limit.margin) + limit.period + limit.margin)
        return max(room, 0), (again, most)

    def _used(self, limit: Limit, at: float) -> int:
        """The people of the fuller of the blocks that `at` may be in; a minute that a block begins in counts whole."""
        return max(
            self._of_block(limit, start) for start in {limit.block(at - limit.margin), limit.block(at + limit.margin)}
        )

    def _of_block(self, limit: Limit, start: float) -> int:
        people = self._blocks.get((limit, start))
        if people is None:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            within = [minute for minute in self._minutes if _meets(limit, start, minute)]
            people = self._blocks[limit, start] = sum(self._minutes[minute] for minute in within)
        return people

    def quota(self, limit: Limit, now: float) -> Quota:
        """How much of a limit per person is left in its present block, and when it will be used up at the pace of the
        last hour."""
        begun = limit.block(now)
        left = max(0, limit.count - self._used(limit, now) - self._people)
        first = (now - _HOUR_S) // _MINUTE_S
        pace = sum(people for minute, people in self._minutes.items() if minute > first) / _HOUR_S
        out = now + left / pace if pace else inf
        return Quota(limit.count, left, begun, out if out < begun + limit.period else inf)

    # ---- forgetting

    def _forget(self, now: float) -> None:
        """Lets go of the logs that say nothing more."""
        self._lines = {name: line for name, line in self._lines.items() if not line.over(now - self._longest)}
        self._sweep = max(_SWEEP, 2 * len(self._lines))


def _meets(limit: Limit, start: float, minute: float) -> bool:
    """Whether a minute, or a part of it, lies in the block with its margins."""
    begins, ends = minute * _MINUTE_S, (minute + 1) * _MINUTE_S
    return ends > start - limit.margin and begins < start + limit.period + limit.margin
