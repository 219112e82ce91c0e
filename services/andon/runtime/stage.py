"""The stage engine: poll → decode → stage(batch) → one transaction → next. Exactly once from topic to topic (L1, L6).

At most one batch of `window` records is in work. Kafka calls run on the poll thread, the stage on the event loop;
while it works, the poll thread keeps polling with everything paused, so membership lives. A partition that leaves
meanwhile takes its records out of the batch: nothing of it was committed, its new owner reads them again.

While no broker answers the stage waits, keeping what it has: an undecided transaction is settled, by a new producer
with the same transactional.id, before the committed offsets are read and the work goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from andon.core.event import Event, Home
from andon.core.outcome import name_of
from andon.core.ports import Clock, Stage
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import Aborted, Unreachable
from andon.kafka.records import Record
from andon.kafka.scan import past_marks
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.answers import Answer, Answering
from andon.runtime.metrics import Metrics

log = logging.getLogger(__name__)
Out = TypeVar("Out")
T = TypeVar("T")

_POLL_S = 0.2
_ALIVE_S = 1.0
_HOUR_S = 3_600.0
# After a batch that was not full the stage rests, for as long as its transaction took: under a steady trickle one of
# few records costs the broker as much as one of many (a request for each partition, and a marker), and without a rest
# most of a core goes into transactions. A busy broker is so asked less often, not ever more often.
_REST = 1.0
_SHORTEST_S, _LONGEST_S = 0.03, 0.2
_AGAIN_S = 0.05
_STEPS = 50


class StageSettings(msgspec.Struct, Generic[Out], frozen=True):
    """Where a stage reads and writes, and its bounds. `key` gives the key of an output, `read` the event of a record
    that is none of ours, of the source that `feed` names. `elsewhere` is the cluster of `source` when it is another
    than the sink's: no transaction spans two, so offsets are committed after it, and after a crash in between the
    records come again.

    `step_s` bounds each step of a transaction, in seconds; `consumer` and `producer` are librdkafka settings that
    replace ours.
    """

    service: str
    source: str
    sink: str
    key: Callable[[Out], str]
    slot: int = 0
    window: int = 1_000
    step_s: float = 10.0
    consumer: Mapping[str, object] = {}
    producer: Mapping[str, object] = {}
    read: Callable[[Record], Event] | None = None
    feed: str = ""
    elsewhere: Connection | None = None


class StageRunner(Generic[Out]):
    """Runs a stage in one process until it is told to stop, or the log fails.

    `stage` is asked for at each batch, so a new configuration takes effect between two batches.
    """

    def __init__(
        self,
        settings: StageSettings[Out],
        stage: Callable[[], Stage[Event, Out]],
        connection: Connection,
        clock: Clock,
        metrics: Metrics,
        config_version: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self._answering = Answering(
            stage, settings.sink, settings.key, clock, config_version, settings.read, settings.feed
        )
        self._producer = TransactionalProducer(
            connection, f"andon-{settings.service}-{settings.slot}", settings.producer, step_s=settings.step_s
        )
        self._consumer: GroupConsumer
        self._left: set[Home] = set()
        self._most = settings.window
        self.assigned = False
        metrics.window_cap.labels(settings.service).set(settings.window)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; what is in work then is finished and committed. Raises KafkaFailure."""
        self._loop = asyncio.get_running_loop()
        self._poller = ThreadPoolExecutor(1, f"{self._settings.service}-poll")
        try:
            if await self._until_answered(self._producer.start, stop):
                await self._on_poller(self._join)
                end = self._consumer.close
                try:
                    await self._turn(stop)
                    end = self._consumer.leave
                finally:
                    self.assigned = False
                    await self._on_poller(end)
        finally:
            self._producer.close()
            self._poller.shutdown()

    async def connected(self) -> bool:
        """Whether the cluster it reads from answers now, and has the topic."""
        return self.assigned and await self._on_poller(self._consumer.answered)

    async def _turn(self, stop: asyncio.Event) -> None:
        recommitted = self._clock.now()
        while not stop.is_set():
            most = self._most
            records = await self._on_poller(self._poll)
            if records:
                took = await self._work(records, stop)
                if len(records) < most:
                    await self._clock.sleep(min(max(_SHORTEST_S, _REST * took), _LONGEST_S))
            if self._clock.now() - recommitted > _HOUR_S:  # a partition may be idle while others are not
                recommitted = self._clock.now()
                await self._on_poller(self._recommit)

    def _on_poller(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._poller, work, *args)

    async def _until_answered(self, step: Callable[[], None], stop: asyncio.Event) -> bool:
        """Repeats a step while no broker answers; whether it was done. Gives up when told to stop: what is not
        committed is not lost."""
        while not stop.is_set():
            try:
                await self._on_poller(step)
            except Unreachable as error:
                log.warning("waiting", extra={"service": self._settings.service, "problem": str(error)})
                await self._clock.sleep(_AGAIN_S)
            else:
                return True
        return False

    def _join(self) -> None:
        settings = self._settings
        self._consumer = GroupConsumer(
            settings.elsewhere or self._connection,
            settings.service,
            settings.source,
            settings.slot,
            on_assign=self._gained,
            on_revoke=self._left.update,
            more=settings.consumer,
        )

    def _gained(self, _homes: Sequence[Home]) -> dict[Home, int]:
        self.assigned = True
        return {}

    def _poll(self) -> list[Record]:
        records = self._consumer.poll(self._most, _POLL_S)
        self._left.clear()  # from here on: what leaves takes its records out of this batch
        return records

    def _recommit(self) -> None:
        """Between two batches: what is before an end has been committed."""
        try:
            known = self._consumer.committed(self._consumer.assigned)
            self._consumer.commit(known | past_marks(self._settings.elsewhere or self._connection, known))
        except Unreachable as error:
            log.warning("offsets not renewed", extra={"service": self._settings.service, "problem": str(error)})

    async def _work(self, records: Sequence[Record], stop: asyncio.Event) -> float:
        """Answers a batch and commits it; how long the transaction took, in seconds. After one that did not happen the
        next has half as many records, for it may be that the cluster does not take so much in time."""
        gauge = self._metrics.window_in_flight.labels(self._settings.service)
        gauge.set(len(records))
        answers = await self._ask(records)
        began = self._clock.now()
        try:
            self._count(await self._on_poller(self._commit, records, answers))
            self._most = min(self._settings.window, self._most + max(1, self._settings.window // _STEPS))
        except Aborted:
            self._most = max(1, len(records) // 2)
            await self._clock.sleep(_AGAIN_S)
            await self._until_answered(self._settle, stop)
        gauge.set(0)
        return self._clock.now() - began

    def _settle(self) -> None:
        """After a transaction that did not happen, or may have: first it is decided, then its offsets are read."""
        self._stay_alive()
        self._producer.start()
        self._consumer.resume()
        self._consumer.rewind()

    async def _ask(self, records: Sequence[Record]) -> Sequence[Answer]:
        """One answer per record, whatever the stage does; keeps the membership alive meanwhile."""
        asking = asyncio.ensure_future(self._answering.answers(records))
        try:
            while not (await asyncio.wait([asking], timeout=_ALIVE_S))[0]:
                await self._on_poller(self._stay_alive)
            await self._on_poller(self._consumer.resume)
            return asking.result()
        finally:
            asking.cancel()

    def _stay_alive(self) -> None:
        self._consumer.pause(self._consumer.assigned)
        for record in self._consumer.poll(1, 0.0):  # of a partition that came in just now, before it was paused
            self._consumer.seek({record.home: record.offset})

    def _commit(self, records: Sequence[Record], answers: Sequence[Answer]) -> Sequence[Answer]:
        """Commits what is still ours, and returns it. On the poll thread, so that no rebalance comes between taking
        the group's metadata and the commit's end. Raises Aborted."""
        if self._left:
            ours = [pair for pair in zip(records, answers, strict=True) if pair[0].home not in self._left]
            records, answers = [record for record, _ in ours], [answer for _, answer in ours]
        if records:
            outputs = [out for answer in answers for out in answer.outgoing]
            last = {record.partition: record for record in records}
            offsets = {record.home: record.offset + 1 for record in last.values()}
            if self._settings.elsewhere is None:
                self._producer.commit(outputs, offsets, self._consumer.metadata())
            else:
                self._producer.commit(outputs)
                self._consumer.commit(offsets)
        return answers

    def _count(self, answers: Sequence[Answer]) -> None:
        passed = sum(1 for answer in answers if answer.ended is None)
        if passed:
            self._metrics.record(self._settings.service, "passed", "ok", passed)
        for answer in answers:
            if answer.ended:
                self._metrics.record(self._settings.service, name_of(answer.ended), answer.ended.reason)
