"""Reading and writing the topics with confluent_kafka alone: the witness's own eyes. Imports nothing of Andon."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

EVENTS, ENRICHED, DELIVERIES = "andon.events", "andon.enriched", "andon.deliveries"
OUTCOMES, DLQ = "andon.outcomes", "andon.dlq"
ALL = (EVENTS, ENRICHED, DELIVERIES, OUTCOMES, DLQ)
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Place = tuple[str, int]  # topic and partition


@dataclass(frozen=True)
class Stored:
    """A record as the broker has it; `at` is when it was appended, in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]
    at: float = 0.0

    def json(self) -> dict[str, Any] | None:
        """Its value, None when it is not a JSON object."""
        return self._json

    @cached_property
    def _json(self) -> dict[str, Any] | None:
        # A round asks for it a hundred times: each look at what is still open goes over all records.
        try:
            value = json.loads(self.value)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Topics:
    """Reads the committed records of all topics from the beginning, and goes on where it stopped at the next `more`.

    `since` has offsets to begin at instead. Records stand in the order in which they were read.
    """

    def __init__(self, bootstrap: str, since: Mapping[Place, int] | None = None, *, committed: bool = True) -> None:
        self.bootstrap = bootstrap
        self._committed = committed
        self._since = since or {}
        self.records: dict[str, list[Stored]] = {topic: [] for topic in ALL}
        self._consumer: Consumer | None = None
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._next: dict[Place, int] = {}

    def more(self, within_s: float = 30.0) -> bool:
        """Reads what there is, not what comes meanwhile; False when the broker does not let it get there in time."""
        deadline = time.monotonic() + within_s
        try:
            consumer = self._consumer or self._open()
            goal = _ends(self._admin, self._next, committed=self._committed)
        except (KafkaException, TimeoutError):
            return False
        places = [TopicPartition(*place) for place in goal]
        consumer.resume(places)
        try:
            while any(self._next[place] < end for place, end in goal.items()):
                if time.monotonic() > deadline:
                    return False
                for message in consumer.consume(2_000, 0.1):
                    self._take(message)
        finally:
            # A witness that went on fetching was a fifth of what the broker under test had to do.
            consumer.pause(places)
        return True

    def _open(self) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"witness-{uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed" if self._committed else "read_uncommitted",
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 8 << 20,
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        found = consumer.list_topics(timeout=5.0).topics
        places = [(topic, n) for topic in ALL for n in found[topic].partitions]
        consumer.assign([TopicPartition(*place, self._since.get(place, OFFSET_BEGINNING)) for place in places])
        self._next = {place: self._since.get(place, 0) for place in places}
        self._consumer = consumer
        return consumer

    def _take(self, message: Any) -> None:
        error, place = message.error(), (message.topic(), message.partition())
        if error is None:
            self._next[place] = message.offset() + 1
            self.records[message.topic()].append(
                Stored(
                    *place,
                    message.offset(),
                    message.key() or b"",
                    message.value() or b"",
                    dict(message.headers() or ()),
                    message.timestamp()[1] / 1000,
                )
            )
        elif error.code() == KafkaError._PARTITION_EOF:
            self._next[place] = message.offset()  # behind the marks of transactions

    def close(self) -> None:
        if self._consumer:
            self._consumer.close()


def ends(bootstrap: str, *, committed: bool = False) -> dict[Place, int]:
    """The next offset of every partition of every topic; `committed`: how far a reader of what is committed gets."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    found = admin.list_topics(timeout=10).topics
    return _ends(admin, [(topic, n) for topic in ALL for n in found[topic].partitions], committed=committed)


def _ends(admin: AdminClient, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
    admin.list_topics(timeout=10)  # or it asks with the leaders of before a broker's restart, and is refused for ever
    asked = {TopicPartition(*place): _LATEST for place in places}
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    answers = admin.list_offsets(asked, isolation_level=level, request_timeout=20).items()
    return {(place.topic, place.partition): future.result(30).offset for place, future in answers}


def offsets(bootstrap: str, group: str, topics: Sequence[str]) -> dict[Place, int]:
    """The committed offsets of a group; one in a transaction that is not decided does not count."""
    asker = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            # Otherwise the answer is kept back until what is open has been decided.
            "isolation.level": "read_uncommitted",
            "log_level": 0,
        }
    )
    try:
        known = asker.list_topics(timeout=20).topics
        asked = [TopicPartition(topic, n) for topic in topics for n in known[topic].partitions]
        found = asker.committed(asked, timeout=20)
        return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}
    finally:
        asker.close()


def put(bootstrap: str, topic: str, records: Sequence[tuple[bytes, bytes]], partition: int = -1) -> None:
    """Writes key and value pairs straight into a topic, as a faulty or hostile program could."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "message.max.bytes": 8 << 20, "partitioner": "murmur2_random", "acks": "all"}
    )
    failed: list[str] = []

    def told(error: KafkaError | None, _record: object) -> None:
        if error is not None:
            failed.append(error.str())

    for key, value in records:
        producer.produce(topic, value, key=key, partition=partition, on_delivery=told)
    producer.flush(20)
    if failed:
        raise RuntimeError(f"{topic} did not take it: {failed[0]}")
