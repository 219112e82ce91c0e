"""Writing records that are not part of a transaction: the door's events and the desks' outboxes."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from andon.core.event import Position
from andon.kafka.codes import refusal
from andon.kafka.connection import LARGEST_PARKED, Connection, made
from andon.kafka.records import Outgoing

_BUSY_S = 0.001
_IDLE_S = 0.25
_MANY = 100
_GATHER_S = 0.005
_SPARE = 32  # a window of batches of a hundred is 10
_MOST_KB = 128 << 10
_LEAVE_S = 2.0


class Undecided(str):
    """Why a fate is not known yet: the record is still on its way."""

    __slots__ = ()


class Unsent(str):
    """Why a record is certainly not in the log: it never left."""

    __slots__ = ()


Written = Position | str
"""Where a record stands, or why it was not written (or cannot be known to be)."""
Late = Callable[[int, Written], None]
"""Is told the fate of a record that was undecided, by its number among those appended with it."""


class Publisher:
    """Appends records with acks=all and tells each one's fate on the event loop.

    `append` resolves when the broker has acknowledged every record or `timeout_s` is over; a record whose fate is a
    text, and not Unsent, may stand in the log all the same. At most `cap` records, and 128 MiB of them, wait in the
    client; `append` beyond that fails at once with the text "queue full", and after `close` with "closed". A record
    waits up to `linger_ms` for others of its partition, to be sent together, and before that up to 5 ms while 100
    others are on their way.

    The client goes on trying for `patience_s`. After that it begins a new epoch of its producer and sends again what
    has no answer, which a broker knows for a repeat within one epoch only: then a record may stand twice. So who has
    patience has that after a long outage alone, and hears of what comes after `timeout_s` by `late`.

    One of a cluster of others ends by itself once a broker refuses account or TLS, and `refused` says so from then on:
    the client would go on with what it has read of secrets and files. What other brokers have not acknowledged 2 s
    later is told as not written.

    Raises KafkaFailure for a connection that no client can be made of.
    """

    def __init__(
        self,
        connection: Connection,
        client_id: str,
        *,
        timeout_s: float = 10.0,
        patience_s: float | None = None,
        cap: int = 20_000,
        linger_ms: int = 1,
    ) -> None:
        self.refused = ""
        self._bootstrap = connection.bootstrap
        told: dict[str, object] = {"error_cb": self._told_of} if connection.foreign else {}
        self._producer = made(
            Producer,
            connection.client()
            | told
            | {
                "client.id": client_id,
                "enable.idempotence": True,
                "message.max.bytes": LARGEST_PARKED,
                "acks": "all",
                "partitioner": "murmur2_random",
                "message.timeout.ms": int((patience_s or timeout_s) * 1000),
                "queue.buffering.max.messages": cap,
                "queue.buffering.max.kbytes": _MOST_KB,
                "linger.ms": linger_ms,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 500,
            },
        )
        self._formats = connection.formats
        self._busy_s = max(_BUSY_S, linger_ms / 10_000)  # of who lingers nobody waits for an acknowledgement
        self._spare: list[_Batch] = []
        self._held: deque[_Batch] = deque()
        self._held_since = 0.0
        self._undecided = f"no acknowledgement within {timeout_s:g} s"
        self._patient = patience_s is not None
        self._timeout_s = timeout_s
        self._waited: deque[tuple[float, asyncio.Future[Sequence[Written]], _Batch]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.TimerHandle | None = None
        self._idle = True
        self._closing = False
        self._ended = threading.Event()
        self._last = threading.Lock()

    def start(self) -> None:
        """Begins to serve acknowledgements on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._serve()

    async def append(self, records: Sequence[Outgoing], late: Late | None = None) -> Sequence[Written]:
        """Writes the records; one fate per record, in order. Of one that is Undecided `late` hears the fate."""
        if self._closing:
            return [Unsent("closed")] * len(records)
        if not records:
            return []
        loop = asyncio.get_running_loop()
        batch = self._spare.pop() if self._spare else _Batch(self._spare)
        future = batch.begin(records, loop.create_future(), late)
        if self._patient:
            self._waited.append((loop.time() + self._timeout_s, future, batch))
        if not self._held:
            self._held_since = loop.time()
        self._held.append(batch)
        if len(self._producer) < _MANY:
            self._send()
        self._hurry()
        return await future

    # A request costs a broker 0.4 ms, however few records are in it. So while many records are out, more are gathered,
    # until those are acknowledged or 5 ms are over (as Nagle's algorithm does, RFC 896). librdkafka's own linger is a
    # fixed time: as long as this it would hold back single events too.

    def _send(self) -> None:
        several = len(self._held) > 1 or len(self._held[0].records) > 1
        while self._held:
            self._produce(self._held.popleft())
        if several:
            self._producer.poll(0)  # what took so long kept acknowledgements of others waiting

    def _produce(self, batch: _Batch) -> None:
        produce, written = self._producer.produce, self._formats.outgoing
        for index, (record, report) in enumerate(zip(batch.records, batch.reports, strict=False)):
            value = record.value and written(record.topic, record.value)
            try:
                if record.headers:
                    headers: Any = list(record.headers)
                    produce(record.topic, value, record.key, on_delivery=report, headers=headers)
                else:
                    produce(record.topic, value, record.key, -1, report)
            except BufferError:
                batch.told(index, Unsent("queue full"))
            except KafkaException as error:
                batch.told(index, Unsent(error.args[0].str()))

    # Acknowledgements are fetched by the loop itself, now and then. A thread that waits for them would take the
    # interpreter's lock from the loop once per record: at the door that cost more than all the rest of writing.

    def _serve(self) -> None:
        try:
            self._producer.poll(0)
            if self._held and (self._closing or len(self._producer) < _MANY or self._held_long()):
                self._send()
            if self._waited:
                self._give_up()
        finally:
            self._idle = not (self._held or len(self._producer))
            if self._closing and self._idle:
                self._ended.set()
            elif self._loop is not None:
                self._next = self._loop.call_later(_IDLE_S if self._idle else self._busy_s, self._serve)

    def _give_up(self) -> None:
        """Tells those who have waited long enough. A batch is not used again before all its fates are known."""
        now = self._loop.time() if self._loop else 0.0
        while self._waited and (self._waited[0][1].done() or self._waited[0][0] <= now):
            _, future, batch = self._waited.popleft()
            if not future.done():
                batch.give_up(Undecided(self._undecided))

    def _held_long(self) -> bool:
        return self._loop is None or self._loop.time() - self._held_since > _GATHER_S

    def _told_of(self, error: KafkaError) -> None:
        """What librdkafka says of its connections."""
        what = "" if self._closing else refusal(error)
        if what and self._loop is not None:
            self.refused = f"the Kafka at {self._bootstrap} refuses {what}"
            self._closing = True
            self._loop.run_in_executor(None, self.close, _LEAVE_S)

    def _hurry(self) -> None:
        if self._ended.is_set():
            return
        if self._idle and self._loop is not None and self._next is not None:
            self._idle = False
            self._next.cancel()
            self._next = self._loop.call_later(self._busy_s, self._serve)

    def close(self, timeout_s: float = 10.0) -> None:
        """Waits for what is in flight, then stops. What has no answer by then is told so: nobody waits for ever.

        Blocks while the loop tells the last fates: call it in a thread. May be called again, and by two at a time.
        """
        if self._loop is None:
            return
        self._closing = True
        self._loop.call_soon_threadsafe(self._hurry)
        if not self._ended.wait(timeout_s):
            self._producer.purge()
            self._ended.wait(1.0)
        if self._ended.is_set() and self._last.acquire(blocking=False):
            self._producer.close()  # or it goes on asking for as long as anybody holds this


_NO_FATE = "not written"


class _Batch:
    """The fates of the records appended together.

    Once all are told it lies in `spare` for the next ones: a record's callback is made once, not once per record.
    """

    __slots__ = ("_future", "_late", "_spare", "fates", "open", "records", "reports")

    def __init__(self, spare: list[_Batch]) -> None:
        self._spare = spare
        self._late: Late | None = None
        self.records: Sequence[Outgoing] = ()
        self.reports: list[Callable[[KafkaError | None, Any], None]] = []
        self.fates: list[Written] = []
        self.open = 0

    def begin(
        self, records: Sequence[Outgoing], future: asyncio.Future[Sequence[Written]], late: Late | None
    ) -> asyncio.Future[Sequence[Written]]:
        """Makes it the batch of these records, with at least as many `reports`; `future` gets their fates, and `late`
        those that are known after it was given up."""
        self._future = future
        self._late = late
        self.records = records
        self.fates = [_NO_FATE] * len(records)
        self.open = len(records)
        self.reports += [partial(self._report, index) for index in range(len(self.reports), len(records))]
        return future

    def _report(self, index: int, error: KafkaError | None, message: Any) -> None:
        """What librdkafka says of one record."""
        if error is None:
            self.told(index, Position(message.topic(), message.partition(), message.offset(), message.timestamp()[1]))
        else:  # without a partition it was given to no broker
            self.told(index, error.str() if message.partition() is not None else Unsent(error.str()))

    def told(self, index: int, fate: Written) -> None:
        self.fates[index] = fate
        self.open -= 1
        if self._late is not None and self._future.done():
            self._late(index, fate)
        if not self.open:
            self._end()

    def give_up(self, undecided: Undecided) -> None:
        """Ends the waiting; the fates that are not known yet are undecided."""
        self._future.set_result([undecided if fate is _NO_FATE else fate for fate in self.fates])

    def _end(self) -> None:
        if not self._future.done():
            self._future.set_result(self.fates)
        self.records, self._late = (), None
        if len(self._spare) < _SPARE:
            self._spare.append(self)
        else:
            self.reports.clear()  # each holds this batch
