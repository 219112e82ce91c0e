"""A clock that was set back, as from a hardware clock in local time to that of a time server: what is remembered then
lies in the future, and would hold everything up until that has come.

What was done cannot have been done later than now. So it counts as if it had just been done: never too early for any
limit, and what was to come a while after it comes that while after now. What lies in the past stays as it is. Where
several hosts' clocks differ by a moment it is the same.
"""

from __future__ import annotations

import msgspec

from andon.core.work import Entry, Holding, Item

TOLERANCE_S = 10.0
"""How far the clock may go back under a desk that runs: it waits so much longer, and to start again takes as long."""


class ClockSetBack(Exception):  # noqa: N818 - a state of the machine, told to people
    """The machine's clock went back under a desk that runs; the text says what to do."""


def done_by(holding: Holding, now: float) -> Holding:
    """The holding as of now: nothing in it was done later. Rows that are so already are the same."""
    for item in holding.items:
        item.due -= min(item.due, _ahead(item.entries[-1], now)) if item.entries else 0.0
        item.entries = [_done_by(entry, now) for entry in item.entries]
        born_by(item, now)
    return msgspec.structs.replace(holding, recent=[_done_by(entry, now) for entry in holding.recent])


def born_by(item: Item, now: float) -> None:
    """The log may have taken its event by a clock that was ahead."""
    ahead = max(0.0, item.born - now)
    item.born -= ahead
    item.expires -= ahead


def _done_by(entry: Entry, now: float) -> Entry:
    ahead = _ahead(entry, now)
    if not ahead and entry.started <= now:
        return entry
    return msgspec.structs.replace(
        entry,
        started=min(entry.started, now),
        ended=None if entry.ended is None else min(entry.ended, now),
        until=entry.until - min(entry.until, ahead),
    )


def _ahead(entry: Entry, now: float) -> float:
    """By how much it lies in the future; what is to be waited for after it was reckoned from its end."""
    return max(0.0, (entry.started if entry.ended is None else entry.ended) - now)
