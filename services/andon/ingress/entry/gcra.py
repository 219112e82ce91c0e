"""How fast a client may be: the generic cell rate algorithm.

Source: ATM Forum, Traffic Management Specification 4.0 (af-tm-0056), 4.4.2, and ITU-T I.371, annex A, in the form of
the virtual schedule: it keeps one number, the theoretical arrival time of the next event.
"""

from __future__ import annotations

from collections import OrderedDict

from andon.core.policy import Limit

MOST = 10_000
_MICRO = 1_000_000


class Meter:
    """One client's rate: `limit.count` events at once, and then one every `limit.period / limit.count` seconds.

    So in s seconds no more than `limit.count * (1 + s / limit.period)` events conform, and whoever keeps to that is
    never refused. What comes as one and is more than `limit.count` could never conform: it does when nothing is owed,
    and is paid off before the next event. All is counted in whole numbers, the time in microseconds times
    `limit.count`.
    """

    __slots__ = ("_count", "_due", "_each", "_now", "limit")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._count = limit.count
        self._each = round(limit.period * _MICRO)
        self._due = 0
        self._now = 0

    def spend(self, now: float, events: int = 1) -> int:
        """0, and the events are counted. Otherwise nothing is, and the same is let in after so many whole seconds, if
        nothing else came meanwhile. `now` is in seconds; when the clock was set back what is owed stays owed."""
        moment = round(now * _MICRO) * self._count
        if moment < self._now:
            self._due += moment - self._now
        self._now = moment
        begin = max(self._due, moment)
        late = begin - moment + (min(events, self._count) - self._count) * self._each
        if late > 0:
            return -(-late // (self._count * _MICRO))
        self._due = begin + events * self._each
        return 0


class Meters:
    """A meter for each of many keys, all with one rate. Of more than `most` keys the one that was silent longest is
    forgotten: memory has a bound, whoever comes."""

    def __init__(self, limit: Limit, most: int = MOST) -> None:
        self.limit = limit
        self._most = most
        self._meters: OrderedDict[str, Meter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._meters)

    def spend(self, key: str, now: float, events: int = 1) -> int:
        """As a meter's."""
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(self.limit)
            if len(self._meters) > self._most:
                self._meters.popitem(last=False)
        else:
            self._meters.move_to_end(key)
        return meter.spend(now, events)
