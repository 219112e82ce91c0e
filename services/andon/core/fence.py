"""The fence of a call: the moment after which nothing of it may leave this process any more.

A desk that stood still may have lost its lease, and the next owner takes its open call for begun. Whoever writes to a
network therefore asks right before the write, however long ago the call was told of its deadline: what then lies
between the question and the write is all that a woken process can still send.
"""

from __future__ import annotations

from contextvars import ContextVar
from math import inf

_until: ContextVar[float] = ContextVar("until", default=inf)


def fence(until: float) -> None:
    """For the task at hand and those it starts; `until` is a time of its event loop's clock, in seconds."""
    _until.set(until)


def fenced(now: float) -> bool:
    """Whether the time of the call at hand is over at `now`; never outside of one."""
    return now >= _until.get()
