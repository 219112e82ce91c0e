"""The way out of a desk: stored notes are published in order, and forgotten only once the broker has them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from andon.core.event import Home, Position
from andon.core.ports import Clock
from andon.core.work import Note, Write
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.runtime.desk.writer import GroupWriter

_BATCH = 1_000
_AGAIN_S = 0.2


class Outbox:
    """Publishes notes at least once. Records have deterministic ids, by which readers keep one (law L6)."""

    def __init__(self, publisher: Publisher, writer: GroupWriter, clock: Clock) -> None:
        self._publisher = publisher
        self._writer = writer
        self._clock = clock
        self._waiting: deque[tuple[Home, int, int, Note]] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, home: Home, epoch: int, notes: Iterable[tuple[int, Note]]) -> None:
        """Takes notes that are stored."""
        self._waiting.extend((home, epoch, number, note) for number, note in notes)
        if self._waiting:
            self._idle.clear()
            self._news.set()

    async def run(self) -> None:
        """Publishes until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                await self._publish(batch)
            self._idle.set()

    async def _publish(self, batch: list[tuple[Home, int, int, Note]]) -> None:
        while batch:
            fates = await self._publisher.append(
                [Outgoing(note.topic, note.key, note.value, note.headers) for *_, note in batch]
            )
            done: dict[tuple[Home, int], list[int]] = {}
            for (home, epoch, number, _), fate in zip(batch, fates, strict=True):
                if isinstance(fate, Position):
                    done.setdefault((home, epoch), []).append(number)
            for (home, epoch), numbers in done.items():
                # Not awaited: a note published twice because this was lost is kept once by its readers.
                self._writer.commit(Write(home, epoch, published=numbers)).add_done_callback(_seen)
            batch = [one for one, fate in zip(batch, fates, strict=True) if not isinstance(fate, Position)]
            if batch:
                await self._clock.sleep(_AGAIN_S)

    async def drained(self) -> None:
        """Returns when everything put so far is published."""
        await self._idle.wait()


def _seen(future: asyncio.Future[bool]) -> None:
    # A store failure reaches the service through its other writes; here it only must not be reported as unread.
    if not future.cancelled():
        future.exception()
