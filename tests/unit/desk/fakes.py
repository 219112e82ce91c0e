"""A broker in memory, as far as a desk's runner sees one: it takes the place of its consumer and its publisher."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from andon.core.event import Home, Position
from andon.kafka.producer import Written
from andon.kafka.records import Outgoing, Record


class FakeBroker:
    """`logs` is what can be read, `published` what was written. Set `refusing` to make the log refuse records, `deaf`
    to make it lose so many commits of offsets, `marks` to let so many marks of transactions stand behind each log."""

    def __init__(self, homes: Iterable[Home]) -> None:
        self.logs: dict[Home, list[Record]] = {home: [] for home in homes}
        self.published: list[Outgoing] = []
        self.committed: dict[Home, tuple[int, str]] = {}
        self.told: list[tuple[int, str]] = []
        self.refusing = False
        self.deaf = 0
        self.polls = 0
        self.seeks: list[Mapping[Home, int]] = []
        self.marks = 0
        self.consumers: list[FakeConsumer] = []

    def consumer(self, *_: object, on_assign: Any, on_revoke: Any) -> FakeConsumer:
        made = FakeConsumer(self, on_assign, on_revoke)
        made.coming = list(self.logs) if not self.consumers else []
        self.consumers.append(made)
        return made

    def publisher(self, *_: object, linger_ms: int) -> FakePublisher:
        return FakePublisher(self)

    def past_marks(self, _connection: object, offsets: Mapping[Home, int]) -> dict[Home, int]:
        at_end = (home for home, offset in offsets.items() if offset == len(self.logs[home]))
        return {home: offsets[home] + self.marks for home in at_end if self.marks}

    def move(self, homes: Sequence[Home], source: FakeConsumer, target: FakeConsumer) -> None:
        """Takes homes from one member and, once it has let go, gives them to another."""
        source.leaving, source.then = list(homes), lambda: target.coming.extend(homes)


class FakeConsumer:
    """One member: callbacks run inside `poll` and `close`, on the thread that polls."""

    def __init__(
        self,
        broker: FakeBroker,
        on_assign: Callable[[Sequence[Home]], Mapping[Home, int]],
        on_revoke: Callable[[Sequence[Home]], None],
    ) -> None:
        self.broker = broker
        self.coming: list[Home] = []
        self.leaving: list[Home] = []
        self.then: Callable[[], None] = lambda: None
        self.positions: dict[Home, int] = {}
        self.paused: set[Home] = set()
        self._on_assign = on_assign
        self._on_revoke = on_revoke
        self._threads: set[int] = set()

    def poll(self, most: int, wait_s: float) -> list[Record]:
        self._threads.add(threading.get_ident())
        assert len(self._threads) == 1, "a consumer belongs to one thread"
        self.broker.polls += 1
        if self.leaving:
            leaving, self.leaving = self.leaving, []
            self._revoke(leaving)
            self.then()
        if self.coming:
            coming, self.coming = self.coming, []
            starts = self._on_assign(coming)
            self.positions.update((home, starts.get(home, 0)) for home in coming)
            if self.paused:
                self.paused.update(coming)
        found: list[Record] = []
        for home in self.positions.keys() - self.paused:
            new = self.broker.logs[home][self.positions[home] :][: most - len(found)]
            self.positions[home] += len(new)
            found += new
        if not found:
            time.sleep(min(wait_s, 0.005))
        return found

    def _revoke(self, homes: list[Home]) -> None:
        self._on_revoke(homes)
        for home in homes:
            self.positions.pop(home, None)
            self.paused.discard(home)

    def seek(self, offsets: Mapping[Home, int]) -> None:
        self.broker.seeks.append(offsets)
        self.positions.update((home, offset) for home, offset in offsets.items() if home in self.positions)

    def pause(self, which: Iterable[Home]) -> None:
        self.paused |= set(which) & self.positions.keys()

    def resume(self) -> None:
        self.paused.clear()

    def offer(self, offsets: Mapping[Home, int], notes: Mapping[Home, str], answer: Callable[[bool], None]) -> None:
        if self.broker.deaf:
            self.broker.deaf -= 1
            return answer(False)
        said = {home: (offset, notes[home]) for home, offset in offsets.items()}
        self.broker.committed.update(said)
        self.broker.told += said.values()
        return answer(True)

    def noted(self, wanted: Iterable[Home]) -> dict[Home, tuple[int, str]]:
        return {home: self.broker.committed[home] for home in wanted if home in self.broker.committed}

    def close(self) -> None:
        if self.positions:
            self._revoke(list(self.positions))

    leave = close


class FakePublisher:
    """Takes what it is given, after a moment."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.closed = False

    def start(self) -> None:
        """Nothing to start."""

    async def append(self, records: Sequence[Outgoing], late: object = None) -> Sequence[Written]:
        await asyncio.sleep(0.001)
        if self._broker.refusing:
            return ["timed out"] * len(records)
        first = len(self._broker.published)
        self._broker.published += records
        return [Position(one.topic, 0, first + index) for index, one in enumerate(records)]

    def close(self) -> None:
        self.closed = True
