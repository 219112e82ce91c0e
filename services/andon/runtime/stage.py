"""The stage engine: poll → decode → stage(batch) → one transaction → next. Exactly once from topic to topic (L1, L6).

At most one batch of `window` records is in work. Kafka calls run on the poll thread, the stage on the event loop;
while it works, the poll thread keeps polling with everything paused, so membership lives. A partition that leaves
meanwhile takes its records out of the batch: nothing of it was committed, its new owner reads them again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from andon.core.delivery import ended_id
from andon.core.event import Event, Home, at_position
from andon.core.outcome import OutcomeRecord, Parked, name_of
from andon.core.ports import Clock, Result, Stage
from andon.core.reason import Reason
from andon.kafka.codecs import Json, Undecodable, encode
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import Aborted
from andon.kafka.records import Outgoing, Record
from andon.kafka.topics import OUTCOMES
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.dlq import dlq_record
from andon.runtime.failures import classify
from andon.runtime.metrics import Metrics

log = logging.getLogger(__name__)
Out = TypeVar("Out")
T = TypeVar("T")

_POLL_S = 0.2
_ALIVE_S = 1.0
_HOUR_S = 3_600.0
_ABORT_PAUSE_S = 0.05


class StageSettings(msgspec.Struct, Generic[Out], frozen=True):
    """Where a stage reads and writes, and its bounds. `key` gives the key of an output."""

    service: str
    source: str
    sink: str
    key: Callable[[Out], str]
    slot: int = 0
    window: int = 1_000


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
        self._stage = stage
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self._config_version = config_version
        self._codec = Json(Event)
        self._left: set[Home] = set()
        self.assigned = False
        metrics.window_cap.labels(settings.service).set(settings.window)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; what is in work then is finished and committed. Raises KafkaFailure."""
        loop = asyncio.get_running_loop()
        self._poller = ThreadPoolExecutor(1, f"{self._settings.service}-poll")
        self._loop = loop
        await self._on_poller(self._join)
        recommitted = self._clock.now()
        try:
            while not stop.is_set():
                records = await self._on_poller(self._poll)
                if records:
                    await self._work(records)
                elif self._clock.now() - recommitted > _HOUR_S:
                    recommitted = self._clock.now()
                    await self._on_poller(self._recommit)
        finally:
            await self._on_poller(self._leave)
            self._poller.shutdown()

    def _on_poller(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._poller, work, *args)

    def _join(self) -> None:
        settings = self._settings
        self._producer = TransactionalProducer(self._connection, f"andon-{settings.service}-{settings.slot}")
        while True:
            try:
                self._producer.start()
                break
            except Aborted:  # the earlier owner's open transaction is being ended by the broker
                continue
        self._consumer = GroupConsumer(
            self._connection,
            settings.service,
            settings.source,
            settings.slot,
            on_assign=self._gained,
            on_revoke=self._left.update,
        )

    def _gained(self, _homes: Sequence[Home]) -> dict[Home, int]:
        self.assigned = True
        return {}

    def _leave(self) -> None:
        self._consumer.close()
        self._producer.close()

    def _poll(self) -> list[Record]:
        self._left.clear()
        return self._consumer.poll(self._settings.window, _POLL_S)

    def _recommit(self) -> None:
        self._consumer.commit(self._consumer.committed(self._consumer.assigned))

    async def _work(self, records: Sequence[Record]) -> None:
        gauge = self._metrics.window_in_flight.labels(self._settings.service)
        gauge.set(len(records))
        answers = await self._ask(records)
        try:
            await self._on_poller(self._commit, records, answers)
        except Aborted:
            await self._clock.sleep(_ABORT_PAUSE_S)
        else:
            self._count(answers)
        gauge.set(0)

    async def _ask(self, records: Sequence[Record]) -> Sequence[Answer[Out]]:
        """One answer per record, whatever the stage does; keeps the membership alive meanwhile."""
        asking = asyncio.ensure_future(self._answers(records))
        done, _ = await asyncio.wait([asking], timeout=_ALIVE_S)
        while not done:
            await self._on_poller(self._stay_alive)
            done, _ = await asyncio.wait([asking], timeout=_ALIVE_S)
        await self._on_poller(self._consumer.resume)
        return asking.result()

    def _stay_alive(self) -> None:
        self._consumer.pause(self._consumer.assigned)
        for record in self._consumer.poll(1, 0.0):  # of a partition that came in just now, before it was paused
            self._consumer.seek({record.home: record.offset})

    async def _answers(self, records: Sequence[Record]) -> list[Answer[Out]]:
        decoded = [self._decode(record) for record in records]
        events = [one for one in decoded if isinstance(one, Event)]
        results = iter(await self._results(events))
        return [
            Answer(None, Result((), one)) if isinstance(one, Parked) else Answer(one, next(results)) for one in decoded
        ]

    def _decode(self, record: Record) -> Event | Parked:
        try:
            return at_position(self._codec.decode(record.value), record.position)
        except Undecodable as error:
            return Parked(Reason.UNDECODABLE, str(error))

    async def _results(self, events: Sequence[Event]) -> Sequence[Result[Out]]:
        if not events:
            return ()
        try:
            results = await self._stage()(events)
        except Exception as error:  # noqa: BLE001 - the runtime's place where an exception becomes an outcome
            failed = classify(error)
            if len(events) == 1:
                return [Result((), Parked(Reason.STAGE_FAILED, failed.detail or failed.reason))]
        else:
            if len(results) == len(events):
                return [one if one.outputs or one.ended else _nothing() for one in results]
            if len(events) == 1:
                return [_nothing()]
        # One event spoils the batch: alone, each gets its own outcome.
        return [(await self._results([event]))[0] for event in events]

    def _commit(self, records: Sequence[Record], answers: Sequence[Answer[Out]]) -> None:
        """On the poll thread, so that no rebalance comes between taking the group's metadata and the commit's end."""
        offsets: dict[Home, int] = {}
        outputs: list[Outgoing] = []
        sink, key = self._settings.sink, self._settings.key
        for record, answer in zip(records, answers, strict=True):
            home = record.home
            if home in self._left:
                continue
            offsets[home] = record.offset + 1
            outputs.extend(Outgoing(sink, key(out).encode(), encode(out)) for out in answer.result.outputs)
            if answer.result.ended:
                outputs.extend(self._ending(record, answer))
        if not offsets:
            return
        try:
            self._producer.commit(outputs, offsets, self._consumer.metadata())
        except Aborted:
            self._consumer.rewind()
            raise

    def _ending(self, record: Record, answer: Answer[Out]) -> list[Outgoing]:
        """What tells of a record that goes no further: its outcome, and its bytes if it is parked."""
        ended, event = answer.result.ended, answer.event
        told = [dlq_record(record, ended)] if isinstance(ended, Parked) else []
        if event is not None and ended is not None:
            outcome = OutcomeRecord(
                id=ended_id(event),
                event=event.id,
                source=event.source,
                subject=event.subject,
                outcome=ended,
                at=datetime.fromtimestamp(self._clock.now(), UTC),
                origin=event.origin,
                config_version=self._config_version(),
                traceparent=event.traceparent,
            )
            told.append(Outgoing(OUTCOMES, event.subject.encode(), encode(outcome)))
        return told

    def _count(self, answers: Sequence[Answer[Out]]) -> None:
        passed = sum(1 for answer in answers if answer.result.outputs)
        if passed:
            self._metrics.record(self._settings.service, "passed", "ok", passed)
        for answer in answers:
            if answer.result.ended:
                ended = answer.result.ended
                self._metrics.record(self._settings.service, name_of(ended), ended.reason)


class Answer(msgspec.Struct, Generic[Out], frozen=True):
    """A record's event, None when it could not be decoded, and what the stage made of it."""

    event: Event | None
    result: Result[Out]


def _nothing() -> Result[Out]:
    return Result((), Parked(Reason.NO_RESULT, "the stage returned no result"))
