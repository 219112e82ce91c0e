"""The way out of a desk: stored notes are published in order, and forgotten only once the broker has them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from math import inf
from typing import Protocol

import msgspec

from andon.core.event import Home, Position
from andon.core.ports import Clock
from andon.core.work import Note, Write
from andon.kafka.producer import Written
from andon.kafka.records import Outgoing
from andon.runtime.seldom import Seldom

log = logging.getLogger(__name__)

_BATCH = 1_000
# Forgetting many notes at one time frees whole pages of the store, forgetting each writes a page for each.
_MANY = 500
_AGAIN_S = 0.2
_SAID_AGAIN_S = 60.0
_STUCK_S = 10.0


class Log(Protocol):
    """Where notes go: one fate per record, in order (kafka.producer.Publisher)."""

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Written]: ...


class Outbox:
    """Publishes notes at least once and in order: after a failure everything from there on is published again.

    Records have deterministic ids, by which readers keep one (law L6). `commit` takes the writes that forget what the
    broker has, many notes at one time; it isn't waited for, because a note published twice is kept once.
    """

    def __init__(self, log_: Log, commit: Callable[[Write], object], clock: Clock) -> None:
        self._log = log_
        self._commit = commit
        self._clock = clock
        self._waiting: deque[_Stored] = deque()
        self._there: dict[tuple[Home, int], int] = {}
        self._unforgotten = 0
        self._refused_since = inf
        self._seldom = Seldom(_SAID_AGAIN_S, clock)
        self._news = asyncio.Event()
        self._still = asyncio.Event()
        self._still.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, home: Home, epoch: int, notes: Iterable[tuple[int, Note]]) -> None:
        """Takes notes that are stored."""
        self._waiting.extend(_Stored(home, epoch, number, note) for number, note in notes)
        if self._waiting:
            self._empty.clear()
            self._news.set()

    @property
    def stuck(self) -> bool:
        """Whether the broker has taken nothing of what waits for ten seconds, and refused to."""
        return bool(self._waiting) and self._clock.now() - self._refused_since > _STUCK_S

    def forget(self, home: Home) -> None:
        """Drops the notes of a home that has left; its next owner finds them in the store."""
        self._waiting = deque(one for one in self._waiting if one.home != home)
        if not self._waiting:
            self._empty.set()

    def settle(self) -> None:
        """Lets the store forget what the broker has."""
        for (home, epoch), number in self._there.items():
            self._commit(Write(home, epoch, published=number))
        self._there = {}
        self._unforgotten = 0

    async def still(self) -> None:
        """Returns when no record is under way. Without that an old one could come to stand behind the next owner's."""
        await self._still.wait()

    async def drained(self) -> None:
        """Returns when everything put so far is published."""
        await self._empty.wait()

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                if not await self._publish(list(islice(self._waiting, _BATCH))):
                    await self._clock.sleep(_AGAIN_S)
            self.settle()
            self._empty.set()

    async def _publish(self, batch: Sequence[_Stored]) -> bool:
        self._still.clear()
        try:
            fates = await self._log.append([_outgoing(one.note) for one in batch])
        finally:
            self._still.set()
        there = len(list(takewhile(lambda fate: isinstance(fate, Position), fates)))
        for one in batch[:there]:
            if self._waiting and self._waiting[0] is one:  # else it was forgotten meanwhile
                self._waiting.popleft()
                self._there[one.home, one.epoch] = one.number
                self._unforgotten += 1
        if self._unforgotten >= _MANY:
            self.settle()
        if there:
            self._refused_since = inf
        if there < len(batch):
            self._refused_since = min(self._refused_since, self._clock.now())
            self._say(batch[there].note.topic, str(fates[there]))
        return there == len(batch)

    def _say(self, topic: str, problem: str) -> None:
        """Once a minute: a topic that refuses does so at each of five tries a second."""
        if self._seldom.due():
            log.warning("not published, tried again until it is", extra={"topic": topic, "problem": problem})


class _Stored(msgspec.Struct, frozen=True, eq=False):
    home: Home
    epoch: int
    number: int
    note: Note


def _outgoing(note: Note) -> Outgoing:
    return Outgoing(note.topic, note.key, note.value, note.headers)
