"""A desk's edge on a broker in memory, for tests: calls take as long as they say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from andon.core.policy import QueuePolicy
from andon.core.ports import Clock
from andon.core.work import Item
from andon.kafka.connection import Connection
from andon.runtime.clock import SystemClock
from andon.runtime.desk.runner import DeskRunner, DeskSettings
from andon.runtime.desk.work import Success
from andon.runtime.metrics import Metrics
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.fakes import FakeBroker
from tests.unit.desk.items import HOME, OTHER, Ended, Said, ScriptedWork, record


class SlowWork(ScriptedWork):
    """Calls take `lasts` seconds, or fail as `fails` says."""

    def __init__(self, policy: QueuePolicy | None = None) -> None:
        super().__init__(policy)
        self.lasts = 0.0
        self.fails: Exception | None = None
        self.called: list[tuple[int, bool]] = []
        self.gate: asyncio.Event | None = None

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        self.called.append((item.offset, item.marked))
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(self.lasts)
        if self.fails:
            raise self.fails
        return Success()


class Plant:
    """A broker, a store, and as many runners as a test starts."""

    def __init__(self) -> None:
        self.broker = FakeBroker([HOME, OTHER])
        self.store = MemoryDeskStore()
        self.work = SlowWork()
        self.stop = asyncio.Event()

    def runner(
        self, work: SlowWork | None = None, slot: int = 0, clock: Clock | None = None, **settings: Any
    ) -> DeskRunner:
        whole = DeskSettings(service="egress", topic=HOME.topic, slot=slot, **settings)
        clock = clock or SystemClock()
        return DeskRunner(whole, work or self.work, self.store, Connection("fake"), clock, Metrics())

    @asynccontextmanager
    async def running(self, runner: DeskRunner) -> AsyncIterator[None]:
        """It runs within, and is stopped in order behind; what a scene that fails leaves is cancelled with its loop."""
        task = asyncio.create_task(runner.run(self.stop))
        yield
        self.stop.set()
        await task

    async def killed(self, runner: DeskRunner, reached: Callable[[], object]) -> None:
        """Runs it until something has come about, and ends it in the middle of its work."""
        task = asyncio.create_task(runner.run(self.stop))
        await self.until(reached)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.broker.consumers.clear()

    def fill(self, count: int, home: Any = HOME, *, first: int = 0, **said: Any) -> None:
        log = self.broker.logs[home]
        for n in range(first, first + count):
            log.append(record(len(log), Said(n, **{"lane": f"m{n}", **said}), home=home))

    def outcomes(self) -> dict[UUID, str]:
        notes = [one for one in self.broker.published if one.topic == "outcomes"]
        told = [msgspec.json.decode(one.value or b"", type=Ended) for one in notes]
        return {one.id: one.outcome for one in told}

    async def until(self, reached: Callable[[], object], within: float = 5.0) -> None:
        ends = time.monotonic() + within
        while not reached():
            assert time.monotonic() < ends, "did not come about"
            await asyncio.sleep(0.005)


Run = Callable[[Callable[[Plant], Awaitable[None]]], Plant]
