"""The limiter: a sliding log of a domain's attempts, so no window of the vendor's, however it is cut, holds too many.

An attempt occupies its slot from the intent until one period after its result. A token bucket of 20 a minute would
let 39 through one block of 60 s; this lets through 20. The log is rebuilt from the ledger after a restart.

A vendor that throttles all the same counts otherwise than we do: its clock differs, or somebody else uses the account.
Then half of the limit is used, and a tenth of it more with every period without another throttle, or every minute where
that is shorter (additive increase, multiplicative decrease: Chiu and Jain, 1989).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from math import inf

from andon.core.policy import Limit

_SLACK = 64
_SPARE = 2  # a limit may be raised, and counts then what was sent before
_LEAST = 0.125
_REGAINED = 0.1
_MINUTE_S = 60.0
# In so long a throttle is made up for, whatever it took. Of a limit that looks back no further, calls run out before;
# to use what has come back sooner than that would only be throttled sooner, with no more calls in the end.
_WHOLE_AGAIN_S = _MINUTE_S / _REGAINED
_ROUNDING_S = 0.001


class Line:
    """The calls of one account (one robot of a pool). Limits are given at each question, for they may change; what the
    longest of them so far counts is remembered, and twice as many calls as the largest allows at most."""

    __slots__ = ("_ended", "_longest", "_lowered", "_most", "_share", "blocked_until", "in_flight")

    def __init__(self) -> None:
        self._ended: list[float] = []
        self._longest = 0.0
        self._most = 0
        self._share = 1.0
        self._lowered = 0.0
        self.in_flight = 0
        self.blocked_until = 0.0

    def begin(self) -> None:
        """An intent was written."""
        self.in_flight += 1

    def end(self, at: float, *, counts: bool) -> None:
        """Its result came; `counts` is False when no byte had left, so that the vendor never saw it."""
        self.in_flight -= 1
        if counts:
            self.past(at)

    def past(self, at: float) -> None:
        """A call ended at `at`, as the ledger remembers it."""
        insort(self._ended, at)

    def block(self, until: float) -> None:
        """The vendor asked to be left alone until then."""
        self.blocked_until = max(self.blocked_until, until)

    def throttled(self, started: float, at: float) -> None:
        """The vendor refused a call that was within the limits. Calls that had begun before the last such answer came
        tell nothing new."""
        if started >= self._lowered:
            self._share = max(_LEAST, self.share(at, self._longest or _MINUTE_S) / 2)
            self._lowered = at

    def share(self, now: float, period: float) -> float:
        """The part of a limit of that period that is used, 1 unless the vendor has throttled lately."""
        periods = max(0.0, now - self._lowered) / min(period, _MINUTE_S)
        return min(1.0, self._share + periods * _REGAINED)

    def over(self, before: float) -> bool:
        """Whether nothing is under way and the last call ended before then."""
        return not self.in_flight and (not self._ended or self._ended[-1] < before)

    def taken(self, limits: Sequence[Limit], now: float, beside: Sequence[Limit] = ()) -> int:
        """How many places are taken in the limit that looks back furthest, with the limits `beside` as for `free`."""
        self._forget((*limits, *beside), now)
        return self.in_flight + max((self._within(limit, now) for limit in limits), default=0)

    def with_(self, other: Line) -> Line:
        """A line that has had the calls of both."""
        both = Line()
        both._ended = sorted([*self._ended, *other._ended])
        both.in_flight = self.in_flight + other.in_flight
        return both

    def _count(self, limit: Limit, now: float) -> int:
        share = self.share(now, limit.period)
        return limit.count if share == 1.0 else max(1, int(limit.count * share))

    def _within(self, limit: Limit, now: float) -> int:
        return len(self._ended) - bisect_right(self._ended, now - limit.period)

    def free(self, limits: Sequence[Limit], now: float, beside: Sequence[Limit] = ()) -> int:
        """How many calls may begin now. Who asks with the limits `beside` another time finds all calls counted."""
        self._forget((*limits, *beside), now)
        if now < self.blocked_until:
            return 0
        room = min((self._count(limit, now) - self._within(limit, now) for limit in limits), default=1 << 30)
        return max(room - self.in_flight, 0)

    def next_free(self, limits: Sequence[Limit], now: float) -> float:
        """When the next call may begin if nothing ends before; inf when only a result can free a slot."""
        when = max(now, self.blocked_until)
        for limit in limits:
            excess = self._within(limit, when) + self.in_flight - self._count(limit, when)
            if excess < 0:
                continue
            first = bisect_right(self._ended, when - limit.period)
            if limit.period > _WHOLE_AGAIN_S and self.share(when, limit.period) < 1.0:
                when = self._regained(limit, first)
            elif first + excess < len(self._ended):
                when = self._ended[first + excess] + limit.period
            else:
                return inf
        return when

    def _regained(self, limit: Limit, first: int) -> float:
        """When the next call may begin while a throttle is made up for; inf when only a result can free a slot.

        With every call that runs out, from the `first` that counts on, less of the limit has to be used again: it is
        where the two times meet.
        """
        counted = len(self._ended) - first

        def out(gone: int) -> float:
            return self._ended[first + gone - 1] + limit.period if gone else -inf

        def used(gone: int) -> float:
            places = counted - gone + self.in_flight + 1
            if places == 1:
                return -inf
            if places > limit.count:
                return inf
            return self._lowered + (places / limit.count - self._share) / _REGAINED * _MINUTE_S + _ROUNDING_S

        gone = bisect_left(range(counted + 1), True, key=lambda gone: out(gone) >= used(gone))
        return min(out(gone) if gone <= counted else inf, used(gone - 1))

    def _forget(self, limits: Sequence[Limit], now: float) -> None:
        for limit in limits:
            self._longest = max(self._longest, limit.period)
            self._most = max(self._most, limit.count)
        gone = max(bisect_right(self._ended, now - self._longest), len(self._ended) - _SPARE * self._most)
        if gone > _SLACK:
            del self._ended[:gone]
