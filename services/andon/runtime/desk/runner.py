"""The edge of a desk: the poll thread, the store's thread, the calls and the outbox around the pure `Desk`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid5

import msgspec

from andon.core.event import Home
from andon.core.outcome import Parked
from andon.core.ports import Clock
from andon.core.reason import Reason
from andon.core.work import DeskStore, Holding, Item, Known, Write
from andon.kafka.codecs import Undecodable
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.producer import Publisher
from andon.kafka.records import Record
from andon.runtime.desk.desk import Call, Desk
from andon.runtime.desk.outbox import Outbox
from andon.runtime.desk.work import Success, Taken, Work
from andon.runtime.desk.writer import GroupWriter
from andon.runtime.dlq import dlq_note, redrive_of
from andon.runtime.failures import Failed, classify
from andon.runtime.metrics import Metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

DEADLINE_S = 15.0
_POLL_S = 0.2
_REMEMBER_S = 3_600.0
_KEEP_S = 30 * 86_400.0
_OUTBOX_CAP = 5_000
_HANDOVER_S = 8.0
_HOUR_S = 3_600.0


class DeskSettings(msgspec.Struct, frozen=True):
    """The bounds of one desk process."""

    service: str
    topic: str
    slot: int
    window: int = 1_000
    backlog: int = 50_000
    room: int = 64
    deadline: float = DEADLINE_S


class DeskRunner:
    """Runs one desk in one process until it is told to stop, or its store or the log fails (law L4)."""

    def __init__(
        self,
        settings: DeskSettings,
        work: Work,
        store: DeskStore,
        connection: Connection,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._work = work
        self._store = store
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self.desk = Desk(work, room=settings.room, deadline=settings.deadline)
        self.assigned = False
        self._owner = f"{settings.service}-{settings.slot}"
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._held: set[Home] = set()
        self._offsets: dict[Home, int] = {}
        self._channels: set[str] = set()
        self._callback_failure: BaseException | None = None
        metrics.window_cap.labels(settings.service).set(settings.window)

    # ---- life

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then ends its calls, publishes its outbox and leaves. Raises StoreFailure or
        KafkaFailure when it cannot go on."""
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._poller = ThreadPoolExecutor(1, f"{self._owner}-poll")
        self._writer = GroupWriter(self._store, self._owner)
        publisher = Publisher(self._connection, f"andon-{self._owner}-outbox")
        publisher.start()
        self._outbox = Outbox(publisher, self._writer, self._clock)
        self._consumer = await self._on_poller(self._join)
        tasks = [
            asyncio.create_task(work) for work in (self._intake(), self._dispatch(), self._outbox.run(), self._keep())
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            watched: list[asyncio.Future[Any]] = [self._broken, *tasks, stopping]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
            tasks[0].cancel()
            await self._finish(self._settings.deadline)
        finally:
            for task in (*tasks, stopping, *self._calls):
                task.cancel()
            await asyncio.gather(*tasks, stopping, *self._calls, return_exceptions=True)
            await self._on_poller(self._consumer.close)
            self._poller.shutdown()
            await asyncio.to_thread(publisher.close)
            await self._writer.close()
            self._store.close()

    def _join(self) -> GroupConsumer:
        return GroupConsumer(
            self._connection,
            self._settings.service,
            self._settings.topic,
            self._settings.slot,
            on_assign=self._acquire,
            on_revoke=self._release,
        )

    async def _finish(self, within_s: float) -> None:
        for home in self.desk.epochs:
            self.desk.leave(home)
        try:
            async with asyncio.timeout(within_s):
                await self._quiet(lambda: not self.desk.calls)
                await self._outbox.drained()
        except TimeoutError:
            log.warning("stopped with calls in flight", extra={"calls": len(self.desk.calls)})

    def _on_poller(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._poller, work, *args)

    # ---- ownership (on the poll thread, inside poll)

    def _acquire(self, homes: Sequence[Home]) -> Mapping[Home, int]:
        starts = {}
        try:
            for home in homes:
                holding = self._store.acquire(home, self._owner, self._clock.now() - _REMEMBER_S)
                self._loop.call_soon_threadsafe(self._adopt, holding)
                if holding.offset is not None:
                    starts[home] = holding.offset
        except Exception as error:  # noqa: BLE001 - raised again by _poll: nothing may be thrown through librdkafka
            self._callback_failure = error
        return starts

    def _adopt(self, holding: Holding) -> None:
        self.desk.adopt(holding, self._clock.now())
        self._outbox.put(holding.home, holding.epoch, holding.notes)
        self.assigned = True
        self._wake.set()

    def _release(self, homes: Sequence[Home]) -> None:
        leaving = asyncio.run_coroutine_threadsafe(self._hand_over(homes), self._loop)
        leaving.result(_HANDOVER_S + 1)

    async def _hand_over(self, homes: Iterable[Home]) -> None:
        """Lets calls in flight end, so that the next owner need not call them ambiguous, then lets go."""
        try:
            async with asyncio.timeout(_HANDOVER_S):
                for home in homes:
                    await self._quiet(partial(self.desk.leave, home))
        except TimeoutError:
            log.warning("left with calls in flight", extra={"calls": len(self.desk.calls)})
        for home in homes:
            self.desk.drop(home)
            self._held.discard(home)

    async def _quiet(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._ended.clear()
            await self._ended.wait()

    # ---- intake

    async def _intake(self) -> None:
        while True:
            records = await self._on_poller(self._poll)
            self._metrics.window_in_flight.labels(self._settings.service).set(len(records))
            if records:
                await self._take(records)
                self._metrics.window_in_flight.labels(self._settings.service).set(0)
            await self._hold()

    def _poll(self) -> list[Record]:
        records = self._consumer.poll(self._settings.window, _POLL_S)
        if self._callback_failure:
            raise self._callback_failure
        return records

    async def _hold(self) -> None:
        """Pauses at the backlog, and homes whose queue had no room; resumes when there is room again."""
        if len(self.desk.items) >= self._settings.backlog:
            self._held.update(self.desk.epochs)
        elif self._held and len(self.desk.items) < 0.9 * self._settings.backlog:
            self._held.clear()
            await self._on_poller(self._consumer.resume)
        if self._held:
            await self._on_poller(self._consumer.pause, list(self._held))

    async def _take(self, records: Sequence[Record]) -> None:
        read = [(record, self._read(record)) for record in records]
        ids = [taken.item.id for _, taken in read if isinstance(taken, Taken) and taken.item]
        known = dict(await self._writer.ask(lambda: self._store.known(ids))) if ids else {}
        writes: dict[Home, Write] = {}
        refused: dict[Home, int] = {}
        now = self._clock.now()
        for record, taken in read:
            home = record.home
            if home not in self.desk.epochs or home in refused:
                continue
            write = writes.setdefault(home, Write(home, self.desk.epochs[home]))
            if self._admit(record, taken, known, write, now):
                write.offset = record.offset + 1
            else:
                refused[home] = record.offset
        # Submitted before anything is awaited: writes must reach the store in the order they were decided.
        stored = [asyncio.ensure_future(self._store_write(write)) for write in writes.values()]
        if refused:
            self._held.update(refused)
            await self._on_poller(self._consumer.seek, refused)
        await asyncio.gather(*stored)
        self._wake.set()

    def _read(self, record: Record) -> Taken | Undecodable:
        try:
            return self._work.read(record)
        except Undecodable as error:
            return error

    def _admit(
        self, record: Record, taken: Taken | Undecodable, known: dict[UUID, Known], write: Write, now: float
    ) -> bool:
        if isinstance(taken, Undecodable):
            self._park(record, Parked(Reason.UNDECODABLE, str(taken)), write)
            return True
        item = taken.item
        if item is not None:
            item.redrive = redrive_of(record)
            before = known.get(item.id)
            if before and before.content != item.content:
                self._park(record, Parked(Reason.CONFLICT, "another delivery has this id and other content"), write)
                self._conflict(item, write, now)
                return True
            if before and not (before.closed and item.redrive > before.redrive):
                return True
            if not self.desk.admit(item, now, write):
                return False
            known[item.id] = Known(item.content, item.redrive, closed=False)
        write.memos.update(taken.memos)
        self.desk.note(write, taken.notes)
        return True

    def _conflict(self, item: Item, write: Write, now: float) -> None:
        clash = msgspec.structs.replace(item, id=uuid5(item.id, item.content.hex()), entries=[])
        parked = Parked(Reason.CONFLICT, f"{item.id} is taken by other content")
        self.desk.note(write, self._work.closed(clash, parked, (), now).notes)

    def _park(self, record: Record, parked: Parked, write: Write) -> None:
        self._metrics.record(self._settings.service, "parked", parked.reason)
        self.desk.note(write, [dlq_note(record, parked)])

    async def _store_write(self, write: Write) -> bool:
        """Makes a write durable and hands its notes to the outbox; drops the home when its lease has moved."""
        if await self._writer.commit(write):
            if write.offset is not None:
                self._offsets[write.home] = write.offset
            self._outbox.put(write.home, write.epoch, write.notes)
            return True
        log.warning("lease moved", extra={"partition": write.home.partition, "epoch": write.epoch})
        if self.desk.epochs.get(write.home) == write.epoch:
            self.desk.drop(write.home)
        return False

    # ---- calls

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            if len(self._outbox) < _OUTBOX_CAP:
                decision = self.desk.decide(self._clock.now())
                if decision.writes:
                    self._start(self._begin(list(decision.writes.values()), decision.calls))
                wait = decision.wake_at - self._clock.now()
            else:
                wait = 0.1
            try:
                async with asyncio.timeout(max(0.0, min(wait, 1.0))):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _begin(self, writes: list[Write], calls: Sequence[Call]) -> None:
        """Begins the calls whose intents are stored; those of a home that left never begin."""
        stored = await asyncio.gather(*(self._store_write(write) for write in writes))
        gone = {write.home for write, kept in zip(writes, stored, strict=True) if not kept}
        for call in calls:
            if call.entry.home not in gone:
                self._start(self._call(call))

    async def _call(self, call: Call) -> None:
        result = await self._attempt(call)
        self._metrics.attempt(self._work.policy(call.item.queue).channel, _reason(result))
        write = self.desk.ended(call, result, self._clock.now())
        self._wake.set()
        if write is not None:
            await self._store_write(write)
        self._ended.set()

    async def _attempt(self, call: Call) -> Success | Failed:
        try:
            async with asyncio.timeout(self._settings.deadline):
                return await self._work.call(call.item, call.entry.line, self._settings.deadline)
        except Exception as error:  # noqa: BLE001 - the runtime's one place where an exception becomes an outcome
            return classify(error)

    # ---- upkeep

    async def _keep(self) -> None:
        """Once a second the advisory offsets and gauges; once an hour the pruning and a commit of everything."""
        told: dict[Home, tuple[int, int]] = {}
        last = self._clock.now()
        while True:
            await self._clock.sleep(1.0)
            self._gauge()
            standing = {h: (o, self.desk.open_of(h)) for h, o in self._offsets.items() if h in self.desk.epochs}
            if self._clock.now() - last > _HOUR_S:
                last = self._clock.now()
                told.clear()  # offsets of an idle group expire
                await self._writer.ask(partial(self._store.prune, last - _KEEP_S))
            news = {home: one for home, one in standing.items() if told.get(home) != one}
            for home, (offset, waiting) in news.items():
                await self._on_poller(self._consumer.commit, {home: offset}, open_note(waiting))
            told.update(news)

    def _gauge(self) -> None:
        depth: dict[str, dict[str, int]] = {}
        oldest: dict[str, float] = {}
        for item in self.desk.items.values():
            channel = self._work.policy(item.queue).channel
            queues = depth.setdefault(channel, {})
            queues[item.queue] = queues.get(item.queue, 0) + 1
            oldest[channel] = min(oldest.get(channel, item.born), item.born)
        for channel in self._channels | depth.keys():
            self._metrics.queue_depth.labels(channel).set(max(depth.get(channel, {"": 0}).values()))
            age = self._clock.now() - oldest[channel] if channel in oldest else 0.0
            self._metrics.oldest_open.labels(channel).set(age)
        self._channels |= depth.keys()


def open_note(waiting: int) -> str:
    """The note beside a desk's advisory offset: how many items are open, for the door's admission."""
    return f"open={waiting}"


def _reason(result: Success | Failed) -> str:
    return result.reason if isinstance(result, Failed) else Reason.DELIVERED
