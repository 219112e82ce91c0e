"""Writing records that are not part of a transaction: the door's events and the desks' outboxes."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from andon.core.event import Position
from andon.kafka.connection import LARGEST_PARKED, Connection
from andon.kafka.records import Outgoing

Written = Position | str
"""Where a record stands, or why it was not written (or cannot be known to be)."""


class Publisher:
    """Appends records with acks=all and tells each one's fate on the event loop.

    `append` resolves when the broker has acknowledged every record or `timeout_s` is over; a record whose fate is a
    text may stand in the log all the same. At most `cap` records wait in the client; `append` beyond that fails at
    once with the text "queue full", and after `close` with "closed". A record waits up to `linger_ms` for others of
    its partition, to be sent together.
    """

    def __init__(
        self, connection: Connection, client_id: str, *, timeout_s: float = 10.0, cap: int = 20_000, linger_ms: int = 1
    ) -> None:
        self._producer = Producer(
            connection.client()
            | {
                "client.id": client_id,
                "enable.idempotence": True,
                "message.max.bytes": LARGEST_PARKED,
                "acks": "all",
                "partitioner": "murmur2_random",
                "message.timeout.ms": int(timeout_s * 1000),
                "queue.buffering.max.messages": cap,
                "linger.ms": linger_ms,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 500,
            }
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reports: deque[tuple[_Batch, int, Written]] = deque()
        self._woken = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"{client_id}-acks", daemon=True)

    def start(self) -> None:
        """Begins to serve acknowledgements on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def append(self, records: Sequence[Outgoing]) -> Sequence[Written]:
        """Writes the records; one fate per record, in order."""
        batch = _Batch(len(records), asyncio.get_running_loop().create_future())
        for index, record in enumerate(records):
            if self._closing.is_set():
                batch.told(index, "closed")
                continue
            try:
                self._produce(record, batch, index)
            except BufferError:
                batch.told(index, "queue full")
            except KafkaException as error:
                batch.told(index, error.args[0].str())
        return await batch.future

    def _produce(self, record: Outgoing, batch: _Batch, index: int) -> None:
        more: dict[str, Any] = {"headers": list(record.headers)} if record.headers else {}
        self._producer.produce(
            record.topic, record.value, key=record.key, on_delivery=partial(self._report, batch, index), **more
        )

    def _report(self, batch: _Batch, index: int, error: KafkaError | None, message: Message) -> None:
        fate: Written = error.str() if error is not None else _position(message)
        self._reports.append((batch, index, fate))

    def _serve(self) -> None:
        # One wake-up of the loop per burst of acknowledgements, not one per record: that is most of the door's speed.
        while not self._closing.is_set():
            self._producer.poll(0.05)
            if self._reports and not self._woken and self._loop is not None:
                self._woken = True
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._woken = False
        while self._reports:
            batch, index, fate = self._reports.popleft()
            batch.told(index, fate)

    def close(self, timeout_s: float = 10.0) -> None:
        """Waits for what is in flight, then stops. What has no answer by then is told so: nobody waits for ever."""
        self._closing.set()
        self._thread.join()
        if self._producer.flush(timeout_s):
            self._producer.purge()
            self._producer.flush(1.0)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)


def _position(message: Any) -> Position:
    return Position(message.topic(), message.partition(), message.offset(), message.timestamp()[1])


class _Batch:
    """The fates of the records appended together."""

    __slots__ = ("fates", "future", "open")

    def __init__(self, size: int, future: asyncio.Future[Sequence[Written]]) -> None:
        self.fates: list[Written] = ["not written"] * size
        self.open = size
        self.future = future
        if not size:
            future.set_result(self.fates)

    def told(self, index: int, fate: Written) -> None:
        self.fates[index] = fate
        self.open -= 1
        if not self.open and not self.future.done():
            self.future.set_result(self.fates)
