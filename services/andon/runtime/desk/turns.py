"""Whose turn it is: the domains to look at, and when to look again."""

from __future__ import annotations

import heapq
from collections import deque
from math import inf

from andon.core.event import Home

Address = tuple[Home, str]
"""A domain's place: its home and its name."""

_SOONEST_S = 0.001


class Turns:
    """Domains in two rows, those that are well and those that just failed; each waits once, in the row of its last
    `add`, and goes to the end after its turn. So each row is fair, and neither waits for the other."""

    def __init__(self) -> None:
        self._rows: dict[bool, deque[Address]] = {False: deque(), True: deque()}
        self._row_of: dict[Address, bool] = {}
        self._wakes: list[tuple[float, Address]] = []
        self._wake_of: dict[Address, float] = {}

    def add(self, address: Address, *, suspect: bool) -> None:
        """The domain wants to be looked at."""
        if self._row_of.get(address) is not suspect:
            self._row_of[address] = suspect
            self._rows[suspect].append(address)

    def next(self, *, suspect: bool) -> Address | None:
        """Takes the first domain out of a row."""
        row = self._rows[suspect]
        while row:
            address = row.popleft()
            if self._row_of.get(address) is suspect:
                del self._row_of[address]
                return address
        return None

    def later(self, address: Address, when: float, now: float) -> None:
        """The domain wants to be looked at then, if nothing happens before."""
        when = max(when, now + _SOONEST_S)
        if when < self._wake_of.get(address, inf):
            self._wake_of[address] = when
            heapq.heappush(self._wakes, (when, address))

    def due(self, now: float) -> list[Address]:
        """Takes out the domains whose time has come."""
        found = []
        while self._wakes and self._wakes[0][0] <= now:
            when, address = heapq.heappop(self._wakes)
            if self._wake_of.get(address) == when:
                del self._wake_of[address]
                found.append(address)
        return found

    def wake_at(self) -> float:
        """When the next domain wants to be looked at; inf when none does."""
        return self._wakes[0][0] if self._wakes else inf
