"""Storms: when more of one kind comes for a receiver than is told one by one, the rest waits and comes as one digest.

Routing says what a delivery would be a storm of, and how many of that are told in a period (`limits.storm`); here is
how many were. A digest counts as all that it tells, so while a storm goes on there is one in a period. What is counted
is a memo of the desk, so that a restart or a new owner lets through no more.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from andon.core.event import Home
from andon.core.policy import Storm
from andon.core.work import STORM, Item
from andon.egress.kept import Kept, Memos

# A period is counted in so many parts, each until its last moment is a period ago: never more than the rate, and up to
# a twentieth of the period late, in place of a time for every notice.
_PARTS = 20


class Counted(msgspec.Struct, omit_defaults=True):
    """What one receiver's people were told of one storm: when each part of the time ends and how many were told in it,
    and `until` when nothing more of it is told. `over` is when nothing of it matters any more; `domain` is where its
    deliveries are found."""

    domain: str
    over: float = 0.0
    until: float = 0.0
    parts: tuple[tuple[float, int], ...] = ()

    def done_by(self, now: float) -> bool:
        if not self.parts or self.parts[-1][0] <= now:
            return False
        self.parts = tuple((min(ends, now), count) for ends, count in self.parts)
        if self.until:
            period = self.over - self.until
            self.until = min(self.until, now + period)
            self.over = self.until + period
        return True


class Storms:
    """The storms of the homes a desk owns. Only items with a storm may be asked about."""

    def __init__(self) -> None:
        self._kept = Kept(Counted)

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        """The memos of a home this process takes over now; those that are of no storm are passed over."""
        self._kept.keep(home, {name: body for name, body in memos.items() if is_storm(name)}, now)

    def memo(self, home: Home, name: str) -> bytes:
        """A memo as it stands now."""
        return self._kept.memo(home, name)

    def until(self, item: Item) -> float:
        """When the item may leave, as far as its storm goes. What was accepted before then had to wait for it."""
        counted = self._kept.get(item.home, _name(item))
        return counted.until if counted else 0.0

    def speaks(self, item: Item, storm: Storm, now: float) -> Memos:
        """The first call of an item begins, with all that was merged into it."""
        name, width = _name(item), storm.period / _PARTS
        counted = self._kept.get(item.home, name) or Counted(item.domain)
        parts = [(ends, count) for ends, count in counted.parts if ends + storm.period > now]
        told, ends = item.carried.count if item.carried else 1, (now // width + 1) * width
        if parts and parts[-1][0] >= ends:
            parts[-1] = (parts[-1][0], parts[-1][1] + told)
        else:
            parts.append((ends, told))
        counted.parts, counted.until, left = tuple(parts), 0.0, sum(count for _, count in parts)
        for ends, count in parts:
            if left < storm.count:
                break
            left -= count
            counted.until = ends + storm.period
        # What waited is recognised for a while after that time, for its turn may come late.
        counted.over = max(counted.until, now) + storm.period
        return self._kept.put(item.home, name, counted, now)


def storm_batch(key: str, batch: str) -> str:
    """The batch of an item that may be part of the storm of this name."""
    return f"{STORM}{key}{STORM}{batch}"


def is_storm(memo: str) -> bool:
    """Whether a memo of this name is of a storm."""
    return memo.startswith(STORM)


def _name(item: Item) -> str:
    return f"{STORM}{item.queue}\n{item.audience}\n{item.storm}"
