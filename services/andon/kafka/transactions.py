"""Exactly once between topics: outputs and input offsets in one Kafka transaction.

The rules, each measured on real brokers (design, section 6):

* Offsets are the batch's own, never `position()`, whose invalid offsets the broker takes without fencing anybody.
* Group metadata is the caller's, taken on the poll thread right before; no rebalance callback runs until we return.
* After a commit or abort that timed out, the producer is dropped and a new one with the same transactional.id bumps
  the epoch. librdkafka has no KIP-890, so a late marker could otherwise tear the next transaction (Jepsen, 2024).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from andon.core.event import Home
from andon.kafka.connection import LARGEST, Connection
from andon.kafka.errors import Aborted, KafkaFailure, SlotTaken
from andon.kafka.records import Outgoing

log = logging.getLogger(__name__)

_STEP_S = 10.0
_TIMEOUT_MS = 15_000
_FENCING = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)  # noqa: SLF001


class TransactionalProducer:
    """Writes whole batches. Blocking; belongs to the poll thread of its service."""

    def __init__(self, connection: Connection, transactional_id: str, more: Mapping[str, object] | None = None) -> None:
        self.transactional_id = transactional_id
        self.rebuilt = 0
        self._settings = connection.client() | {
            "client.id": transactional_id,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": _TIMEOUT_MS,
            "message.timeout.ms": _TIMEOUT_MS,
            "enable.idempotence": True,
            "message.max.bytes": LARGEST,
            "partitioner": "murmur2_random",
            # The broker answers CONCURRENT_TRANSACTIONS while the last markers are written; librdkafka's default of
            # 100 ms between tries would be most of the latency of a hop.
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 5,
            "linger.ms": 1,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 100_000,
            **(more or {}),
        }
        self._producer: Producer | None = None

    def start(self) -> None:
        """Registers the transactional.id, which fences any earlier producer of the same. Raises KafkaFailure."""
        self._fresh()

    def commit(self, outputs: Sequence[Outgoing], offsets: Mapping[Home, int], metadata: object) -> None:
        """One transaction: `outputs` and the input `offsets` (next to read), both or neither.

        Raises Aborted when neither happened or it cannot be known yet: the caller rewinds and takes the batch again.
        Raises SlotTaken when another process has the same transactional.id.
        """
        producer = self._producer or self._fresh()
        wanted = [TopicPartition(home.topic, home.partition, offset) for home, offset in offsets.items()]
        try:
            producer.begin_transaction()
            self._produce(producer, outputs)
            self._patiently(lambda: producer.send_offsets_to_transaction(wanted, cast("Any", metadata), _STEP_S))
            self._patiently(lambda: producer.commit_transaction(_STEP_S))
        except KafkaException as error:
            self._recover(producer, error.args[0])

    def _produce(self, producer: Producer, outputs: Sequence[Outgoing]) -> None:
        plain: dict[str, list[dict[str, Any]]] = {}
        for out in outputs:
            if out.headers:  # produce_batch drops headers without a word
                self._produce_one(producer, out)
            else:
                plain.setdefault(out.topic, []).append({"key": out.key, "value": out.value})
        for topic, waiting in plain.items():
            while waiting:
                producer.produce_batch(topic, waiting)
                # Rebuilt: `_error` stays in a dict even after a later success, and the record would be sent twice.
                waiting = [{"key": m["key"], "value": m["value"]} for m in waiting if "_error" in m]
                if waiting:
                    producer.poll(0.01)

    def _produce_one(self, producer: Producer, out: Outgoing) -> None:
        while True:
            try:
                producer.produce(out.topic, out.value, key=out.key, headers=list(out.headers))
            except BufferError:
                producer.poll(0.01)  # slots are freed by poll only
            else:
                return

    def _patiently(self, step: Callable[[], None]) -> None:
        """Calls again while the library says that this is right, for as long as the transaction can live."""
        deadline = time.monotonic() + _TIMEOUT_MS / 1000
        while True:
            try:
                return step()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _recover(self, producer: Producer, error: KafkaError) -> None:
        if error.code() in _FENCING:
            raise SlotTaken(f"{self.transactional_id} is in use by another process")
        if error.txn_requires_abort():
            try:
                self._patiently(lambda: producer.abort_transaction(_STEP_S))
            except KafkaException:
                self._drop()
        else:
            self._drop()
        log.warning("transaction aborted", extra={"transactional_id": self.transactional_id, "problem": error.str()})
        raise Aborted(error.str())

    def _drop(self) -> None:
        self._producer = None
        self.rebuilt += 1

    def _fresh(self) -> Producer:
        producer = Producer(self._settings)
        try:
            self._patiently(lambda: producer.init_transactions(_STEP_S))
        except KafkaException as error:
            if error.args[0].code() in _FENCING:
                raise SlotTaken(f"{self.transactional_id} is in use by another process") from None
            if error.args[0].retriable() or error.args[0].code() == KafkaError._TIMED_OUT:  # noqa: SLF001
                raise Aborted(error.args[0].str()) from None
            raise KafkaFailure(
                f"no transactions at {self._settings['bootstrap.servers']}: {error.args[0].str()}"
            ) from None
        self._producer = producer
        return producer

    def close(self) -> None:
        """Lets go of the producer; nothing is in flight between transactions."""
        self._producer = None
