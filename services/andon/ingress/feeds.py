"""Sources that read a topic: one stage each, from that topic to `andon.events`.

Within one cluster exactly once (laws L1, L6); from another one at least once, under the ids the events had.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from andon.config.secrets import SecretMissing
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ports import Clock, Inbound, Result, Source
from andon.core.reason import Reason
from andon.ingress.bodies.cloud import kafka_headers
from andon.kafka.codecs import Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import NoEntry
from andon.kafka.records import Record
from andon.kafka.topics import EVENTS
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from andon.runtime.stage import StageRunner, StageSettings
from andon.runtime.tracing import Spans, traced_stage

log = logging.getLogger(__name__)

_AGAIN_S = 0.5
_BARRED_S = 5.0
# Who was kept out before and read for so long since then, or waited for a broker, had been let in.
_LASTED_S = 60.0


class Reading:
    """How the records of a feed become events: what the source makes of each, and not while the backlog is full.
    `heard` is told the name of the source for each batch that has an event."""

    def __init__(
        self,
        name: str,
        source: Source,
        largest: int,
        full: Callable[[], bool],
        clock: Clock,
        heard: Callable[[str], None] = lambda _source: None,
    ) -> None:
        self._name = name
        self._source = source
        self._largest = largest
        self._full = full
        self._clock = clock
        self._heard = heard

    def event(self, record: Record) -> Event:
        """The event of a record. Raises Rejected, and Undecodable for headers that cannot be read."""
        if record.unread and record.avro is None:
            raise Undecodable(record.unread)
        body = record.original  # Avro of others is theirs
        if len(body) > self._largest:
            raise Invalid(Reason.TOO_LARGE, f"an event has at most {self._largest:,} bytes")
        (event,) = self._source.parse(Inbound(self._name, kafka_headers(record.headers), body))
        return event

    async def passing(self, batch: Sequence[Event], stop: asyncio.Event) -> Sequence[Result[Event]]:
        """Lets the batch pass once there is room for it: over capacity nothing is taken in (law L7). What is in work
        when the process stops is finished."""
        while self._full() and not stop.is_set():
            await self._clock.sleep(_AGAIN_S)
        self._heard(self._name)
        return [Result((event,)) for event in batch]


class Feeds:
    """The feeds of one door process. `fatal` is told once when the log fails one of them (law L4). One that is
    kept from another cluster, by a secret or a file that is missing, waits for it, and no other does."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        metrics: Metrics,
        spans: Spans | None,
        slot: int,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._metrics = metrics
        self._spans = spans
        self._slot = slot
        self._fatal = fatal
        self._running: dict[str, _Running] = {}

    @property
    def assigned(self) -> bool:
        """Whether every feed has joined its group, but for those that were kept out, or whose cluster, which is another
        one, has not let them in for a minute: the door has others to serve."""
        now = self._clock.now()
        return all(running.joined or running.is_apart(now) for running in self._running.values())

    def links(self) -> dict[str, Callable[[], Awaitable[bool]]]:
        """Source → whether its cluster answers this process now, and has its topic."""
        return {running.feed.source: running.connected for running in self._running.values()}

    async def take(self, wanted: dict[str, tuple[Feed, Reading]], window: int, version: int) -> None:
        """Brings the feeds of a configuration into force: what is the same goes on, what is gone is finished first."""
        same = {
            name for name, (feed, _) in wanted.items() if name in self._running and self._running[name].feed == feed
        }
        await self._end(self._running.keys() - same)
        for service, (feed, reading) in wanted.items():
            if service in same:
                self._running[service].reading = reading
            else:
                self._running[service] = self._begun(service, feed, reading, window, version)

    async def close(self) -> None:
        """Finishes what is in work, and commits it."""
        await self._end(set(self._running))

    def _begun(self, service: str, feed: Feed, reading: Reading, window: int, version: int) -> _Running:
        running = _Running(feed, reading, self._clock.now())

        async def passing(batch: Sequence[Event], /) -> Sequence[Result[Event]]:
            return await running.reading.passing(batch, running.stop)

        told = traced_stage(passing, self._spans, self._clock, "accept")

        def runner(elsewhere: Connection | None) -> StageRunner[Event]:
            return StageRunner(
                StageSettings(
                    service,
                    feed.config.topic,
                    EVENTS,
                    _subject,
                    self._slot,
                    window,
                    read=lambda record: running.reading.event(record),
                    feed=feed.source,
                    elsewhere=elsewhere,
                ),
                lambda: told,
                self._connection,
                self._clock,
                self._metrics,
                lambda: version,
            )

        running.task = asyncio.create_task(running.run(runner, self._clock))
        running.task.add_done_callback(self._ended)
        return running

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._fatal(error)

    async def _end(self, services: set[str]) -> None:
        ended = [self._running.pop(service) for service in services]
        for running in ended:
            running.stop.set()
        if ended:
            await asyncio.wait([running.task for running in ended])


class _Running:
    task: asyncio.Task[None]

    def __init__(self, feed: Feed, reading: Reading, began: float) -> None:
        self.feed = feed
        self._began = began
        self.reading = reading
        self.stop = asyncio.Event()
        self.barred = ""  # why it was, the last time
        self._runner: StageRunner[Event] | None = None

    @property
    def joined(self) -> bool:
        return self._runner is not None and self._runner.assigned

    def is_apart(self, now: float) -> bool:
        """Whether nobody is to wait until it has joined."""
        return bool(self.barred or (self.feed.config.bootstrap and now - self._began > _LASTED_S))

    async def connected(self) -> bool:
        return self._runner is not None and await self._runner.connected()

    async def run(self, runner: Callable[[Connection | None], StageRunner[Event]], clock: Clock) -> None:
        """Reads while there is a way to the cluster, and looks for one while there is none. Raises KafkaFailure."""
        while not self.stop.is_set():
            began = clock.now()
            try:
                self._runner = runner(self.feed.config.elsewhere())
                await self._runner.run(self.stop)
            except (SecretMissing, NoEntry) as problem:
                self._say(problem, clock.now() - began)
                await self._waited(clock)

    def _say(self, problem: SecretMissing | NoEntry, lasted: float) -> None:
        """Once for each reason, not at each try."""
        why, before = str(problem), self.barred
        self.barred = why
        if why != before or lasted > _LASTED_S:
            missed = "its secret is there" if isinstance(problem, SecretMissing) else "its cluster can be entered"
            log.error("the source %s: its topic is not read until %s: %s", self.feed.source, missed, why)

    async def _waited(self, clock: Clock) -> None:
        """Some seconds, or less when it is told to stop."""
        waiting = [asyncio.ensure_future(one) for one in (clock.sleep(_BARRED_S), self.stop.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


def _subject(event: Event) -> str:
    return event.subject
