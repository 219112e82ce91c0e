"""The edge of a desk: poll thread, store thread, calls and outbox around the pure `Desk`, and who owns what.

Everything but polling and storing happens on the event loop. Callbacks of the consumer run on the poll thread, inside
`poll` or `close`, so never while records are being taken in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Self, TypeVar

import msgspec

from andon.config.limits import Limits
from andon.core.advisory import open_items
from andon.core.event import Home
from andon.core.ports import Clock
from andon.core.work import DeskStore, Holding, Write
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import Unreachable
from andon.kafka.producer import Publisher
from andon.kafka.records import Record
from andon.kafka.scan import past_marks
from andon.runtime.daemon import unawaited
from andon.runtime.desk.calls import Calls
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.gauges import DeskGauges
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.outbox import Outbox
from andon.runtime.desk.room import Room
from andon.runtime.desk.set_back import ClockSetBack
from andon.runtime.desk.standing import Standing
from andon.runtime.desk.upkeep import Upkeep, Watch
from andon.runtime.desk.work import Work
from andon.runtime.desk.writer import GroupWriter
from andon.runtime.metrics import Metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

DEADLINE_S = 15.0
_POLL_S = 0.2
_OUTBOX_CAP = 5_000
# Nobody waits for an outcome as for a call, and a request for every single record is most of what Kafka has to do.
_LINGER_MS = 100
_HANDOVER_S = 8.0
_TELL_S = 0.25


class DeskSettings(msgspec.Struct, frozen=True):
    """The bounds of one desk process."""

    service: str
    topic: str
    slot: int
    window: int = 1_000
    backlog: int = 50_000
    room: int = 64
    deadline: float = DEADLINE_S

    @classmethod
    def of(cls, service: str, topic: str, slot: int, limits: Limits) -> Self:
        """The bounds that the configuration sets."""
        return cls(service, topic, slot, window=limits.window, backlog=limits.backlog, room=limits.in_flight)


class DeskRunner:
    """Runs one desk in one process until it is told to stop, its store or the log fails (law L4), or the clock is set
    back."""

    def __init__(
        self,
        settings: DeskSettings,
        work: Work,
        store: DeskStore,
        connection: Connection,
        clock: Clock,
        metrics: Metrics,
        watch: Watch | None = None,
    ) -> None:
        """`watch` is asked once a minute what is to be told of each quota."""
        self._settings = settings
        self._work = work
        self._store = store
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self.desk = Desk(work, room=settings.room, deadline=settings.deadline)
        self._assigned = False
        self._intake = Intake(self.desk, work, metrics, settings.service)
        self._owner = f"{settings.service}-{settings.slot}"
        self._calls = Calls(
            self.desk,
            work,
            settings.deadline,
            clock,
            metrics,
            submit=self._submit,
            held=lambda: len(self._outbox) >= _OUTBOX_CAP,
            failed=self._break,
        )
        self._room = Room(self.desk, settings.backlog, _OUTBOX_CAP)
        self._standing = Standing(self.desk)
        self._upkeep = Upkeep(
            self.desk,
            self._standing,
            DeskGauges(self.desk, work, metrics),
            clock,
            pass_marks=self._pass_marks,
            looks_back=work.looks_back,
            prune=self._forgotten,
            submit=self._submit,
            set_back=self._start_again,
            watch=watch,
        )
        self._callback_failure: BaseException | None = None
        # Homes that have come in, and of which the store knows nothing.
        self._unknown: set[Home] = set()
        self._set_back: ClockSetBack | None = None
        metrics.window_cap.labels(settings.service).set(settings.window)

    # ---- life

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then ends its calls, publishes its outbox and leaves. Raises StoreFailure or
        KafkaFailure when it cannot go on, and ClockSetBack after an end in the same order."""
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._poller = ThreadPoolExecutor(1, f"{self._owner}-poll")
        self._writer = GroupWriter(self._store, self._owner)
        publisher = Publisher(self._connection, f"andon-{self._owner}-outbox", linger_ms=_LINGER_MS)
        publisher.start()
        self._outbox = Outbox(publisher, self._submit, self._clock)
        tasks: list[asyncio.Task[None]] = []
        end: Callable[[], None] = _nothing
        try:
            self._consumer = await self._on_poller(self._join)
            end = self._consumer.close
            parts = (self._take_in(), self._calls.run(), self._outbox.run(), self._tell(), self._upkeep.run())
            tasks += [asyncio.create_task(part) for part in parts]
            await self._while_well(stop.wait(), tasks)
            tasks.pop(0).cancel()
            await self._while_well(self._finish(self._settings.deadline), tasks)
            end = self._consumer.leave
        finally:
            await _cancelled(tasks)
            for home in list(self.desk.epochs):
                self.desk.drop(home)  # so that no call begins any more
            await self._calls.cancel()
            await self._on_poller(end)
            self._poller.shutdown()
            await asyncio.to_thread(publisher.close)
            await self._writer.close()
            self._store.close()
        if self._set_back is not None:
            raise self._set_back

    @property
    def ready(self) -> bool:
        """Whether it knows its partitions, and Kafka takes what it has to tell."""
        return self._assigned and not self._outbox.stuck

    def reconsider(self) -> None:
        """The configuration that the work goes by is another."""
        self.desk.reconsider()
        self._calls.wake()

    def _join(self) -> GroupConsumer:
        return GroupConsumer(
            self._connection,
            self._settings.service,
            self._settings.topic,
            self._settings.slot,
            on_assign=self._acquire,
            on_revoke=self._release,
        )

    async def _while_well(self, until: Coroutine[Any, Any, object], tasks: Sequence[asyncio.Task[None]]) -> None:
        """Waits for `until`; raises what breaks the desk before."""
        reached = asyncio.create_task(until)
        try:
            watched: list[asyncio.Future[Any]] = [self._broken, *tasks, reached]
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            await _cancelled([reached])

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)
            self._broken.exception()  # it may come too late for anyone to ask

    def _start_again(self, back: float) -> None:
        """What this process remembers lies in the future; who starts by what the store holds has none (set_back)."""
        by = timedelta(seconds=round(back))
        self._set_back = ClockSetBack(
            f"the clock of this machine was set back by {by}: {self._settings.service} ends its calls and is to be "
            "started again, then it goes on by what its store holds; let a time server set the clock"
        )
        self._stop.set()

    async def _finish(self, within_s: float) -> None:
        for home in self.desk.epochs:
            self.desk.leave(home)
        try:
            async with asyncio.timeout(within_s):
                await self._calls.quiet(lambda: not self.desk.calls)
                await self._written()
                await self._outbox.drained()
                await self._written()
        except TimeoutError:
            log.warning("stopped with work under way", extra={"calls": len(self.desk.calls)})

    def _on_poller(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._poller, work, *args)

    # ---- the store

    def _submit(self, write: Write) -> asyncio.Future[bool]:
        """Hands a write to the store's thread, at once: writes reach the store in the order they were decided."""
        stored = self._writer.commit(write)
        stored.add_done_callback(partial(self._stored, write))
        return stored

    def _stored(self, write: Write, stored: asyncio.Future[bool]) -> None:
        """Hands the notes of a stored write to the outbox; drops the home when its lease has moved."""
        error = None if stored.cancelled() else stored.exception()
        if error is not None:
            self._break(error)
        elif not stored.cancelled() and stored.result():
            if write.offset is not None:
                self._standing.stored(write.home, write.offset)
            self._outbox.put(write.home, write.epoch, write.notes)
        elif not stored.cancelled() and self.desk.epochs.get(write.home) == write.epoch:
            log.warning("lease moved", extra={"partition": write.home.partition, "epoch": write.epoch})
            self._let_go(write.home)

    async def _written(self) -> None:
        """Returns when everything decided so far is stored."""
        await self._writer.ask(_nothing)

    def _forgotten(self, before: float, most: int) -> asyncio.Future[int]:
        return self._writer.ask(partial(self._store.prune, before, most))

    # ---- ownership

    def _acquire(self, homes: Sequence[Home]) -> Mapping[Home, int]:
        """On the poll thread, for partitions that come in: takes their leases and says where to read on."""
        starts = {}
        try:
            now = self._clock.now()
            since, people = now - self._work.looks_back(), now - self._work.looks_back_on_people()
            for home in homes:
                holding = self._store.acquire(home, self._owner, since, people)
                self._loop.call_soon_threadsafe(self._adopt, holding)
                if holding.offset is None:
                    self._unknown.add(home)
                else:
                    starts[home] = holding.offset
        except Exception as error:  # noqa: BLE001 - raised again by _poll: nothing may be thrown through librdkafka
            self._callback_failure = error
        return starts

    def _adopt(self, holding: Holding) -> None:
        self.desk.adopt(holding, self._clock.now())
        if holding.offset is not None:
            self._standing.stored(holding.home, holding.offset)
        self._outbox.put(holding.home, holding.epoch, holding.notes)
        self._room.joined()
        self._assigned = True
        self._calls.wake()

    def _release(self, homes: Sequence[Home]) -> None:
        """On the poll thread, for partitions that leave: returns when nothing of them is under way any more."""
        leaving = asyncio.run_coroutine_threadsafe(self._hand_over(homes), self._loop)
        try:
            leaving.result(_HANDOVER_S + 1)
        except Exception as error:  # noqa: BLE001 - as in _acquire
            self._callback_failure = error

    async def _hand_over(self, homes: Iterable[Home]) -> None:
        """Lets calls in flight end and stores their results, so that the next owner need not call them ambiguous."""
        owned = [home for home in homes if home in self.desk.epochs]
        try:
            async with asyncio.timeout(_HANDOVER_S):
                for home in owned:
                    self.desk.leave(home)
                for home in owned:
                    await self._calls.quiet(partial(self.desk.leave, home))
                await self._written()
                for home in owned:
                    self._outbox.forget(home)
                await self._outbox.still()
                self._outbox.settle()
                await self._written()
        except TimeoutError:
            log.warning("left with work under way", extra={"calls": len(self.desk.calls)})
        for home in owned:
            self._let_go(home)

    def _let_go(self, home: Home) -> None:
        self.desk.drop(home)
        self._outbox.forget(home)
        self._room.left(home)
        self._standing.forget(home)
        self._calls.left()

    # ---- intake

    async def _take_in(self) -> None:
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
        if self._unknown:
            self._look_for_lost()
        return records

    def _look_for_lost(self) -> None:
        """Says what was open where the store knows nothing: it was lost, or it is another one."""
        with suppress(Unreachable):
            notes = {home: note for home, (_, note) in self._consumer.noted(self._unknown).items()}
            lost = {home: waiting for home, note in notes.items() if (waiting := open_items(note))}
            self._unknown.clear()
            if lost:
                problem = "the store knows nothing of what was open: put the right one back (docs/operations.md#backup)"
                places = sorted(home.partition for home in lost)
                log.error(problem, extra={"open": sum(lost.values()), "partitions": places})

    async def _take(self, records: Sequence[Record]) -> None:
        read = self._intake.read(records)
        asked = ids(read)
        # Answered after every write before it, so an item taken in a moment ago is known.
        known = await self._writer.ask(lambda: self._store.known(asked)) if asked else {}
        async with self._standing.whole:
            # Without a pause between the two: see Intake.
            writes, refused = self._intake.take(read, known, self._clock.now())
            stored = [self._submit(write) for write in writes.values()]
            self._calls.wake()
            if stored:
                await asyncio.wait(stored)
        if refused:
            self._room.refused({home: one.item for home, one in refused.items()})
            await self._on_poller(self._consumer.seek, {home: one.offset for home, one in refused.items()})

    async def _hold(self) -> None:
        """Pauses what has no room, and reads again what has some. What is not taken in waits in Kafka."""
        wanted = self._room.changed(len(self._outbox))
        if wanted is not None:
            await self._on_poller(self._pause, wanted)

    def _pause(self, wanted: set[Home]) -> None:
        self._consumer.resume()
        self._consumer.pause(wanted)

    async def _pass_marks(self) -> None:
        """Lets the store read on behind marks of transactions, where these are all that is left to read."""
        before = self._standing.all_stored()
        ends = await unawaited("marks", partial(past_marks, self._connection, before))
        async with self._standing.whole:
            now = self._standing.all_stored()
            for home, end in ends.items():
                if home in self.desk.epochs and now.get(home) == before[home]:
                    self._submit(Write(home, self.desk.epochs[home], offset=end))

    # ---- what is told to the door

    async def _tell(self) -> None:
        """Four times a second the advisory offsets, by which the door sees what waits here."""
        while True:
            await self._clock.sleep(_TELL_S)
            await self._standing.tell(self._advise)

    async def _advise(self, offsets: Mapping[Home, int], notes: Mapping[Home, str]) -> bool:
        taken: asyncio.Future[bool] = self._loop.create_future()

        def answer(well: bool) -> None:  # on the poll thread
            self._loop.call_soon_threadsafe(_settle, taken, well)

        await self._on_poller(self._consumer.offer, offsets, notes, answer)
        return await taken


def _settle(taken: asyncio.Future[bool], well: bool) -> None:
    if not taken.done():
        taken.set_result(well)


def _nothing() -> None:
    return None


async def _cancelled(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
