"""Exactly once between topics: outputs and input offsets in one Kafka transaction.

The rules, each measured on real brokers (design, section 6):

* Offsets are the batch's own, never `position()`, whose invalid offsets the broker takes without fencing anybody.
* Group metadata is the caller's, taken on the poll thread right before; no rebalance callback runs until we return.
* After a commit or abort that timed out, the producer is dropped and a new one with the same transactional.id bumps
  the epoch. librdkafka has no KIP-890, so a late marker could otherwise tear the next transaction (Jepsen, 2024).
* The new producer is there before the committed offsets are read: only then is it decided what the old one did.
* A fenced producer means another process with this transactional.id, or a transaction the broker ended because it took
  longer than it may: the two look alike. The group decides, whose static membership only one process can hold.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, cast

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from andon.core.event import Home
from andon.kafka.codes import FINAL, PASSING
from andon.kafka.connection import LARGEST_PARKED, Connection, made
from andon.kafka.errors import Aborted, KafkaFailure, SlotTaken, Unreachable
from andon.kafka.records import Outgoing

log = logging.getLogger(__name__)

_STEP_S = 10.0
_TIMEOUT_MS = 15_000
_ASK_S = 2.0
_OFFSETS_S = 5.0
_TIMED_OUT = KafkaError._TIMED_OUT  # noqa: SLF001 - the library's public constants
_QUEUE_FULL = KafkaError._QUEUE_FULL  # noqa: SLF001
_FAILED_DELIVERY = KafkaError._INCONSISTENT  # noqa: SLF001


class TransactionalProducer:
    """Writes whole batches. Blocking; belongs to the poll thread of its service.

    A step of a transaction that takes longer than `step_s` seconds counts as timed out. `rebuilt` counts the producers
    that were dropped.
    """

    def __init__(
        self,
        connection: Connection,
        transactional_id: str,
        more: Mapping[str, object] | None = None,
        *,
        step_s: float = _STEP_S,
    ) -> None:
        self.transactional_id = transactional_id
        self.rebuilt = 0
        self._step_s = step_s
        self._settings = connection.client() | {
            "client.id": transactional_id,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": _TIMEOUT_MS,
            "message.timeout.ms": _TIMEOUT_MS,
            "enable.idempotence": True,
            "message.max.bytes": LARGEST_PARKED,
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
        self._formats = connection.formats
        self._producer: Producer | None = None
        self._missing: set[str] = set()

    def start(self) -> None:
        """Makes sure of a producer. A new one fences every earlier one of the same transactional.id and ends what that
        left open, so that committed offsets read afterwards are the truth. Raises Unreachable or KafkaFailure."""
        if self._producer is not None:
            return
        producer = made(Producer, self._settings)
        try:
            # Asked first: without a connection the library waits half a second before it looks for the coordinator.
            producer.list_topics(timeout=self._step_s)
            self._patiently(lambda: producer.init_transactions(self._step_s))
        except KafkaException as error:
            problem = error.args[0]
            kind = Unreachable if problem.retriable() or problem.code() in PASSING else KafkaFailure
            raise kind(f"no transactions at {self._settings['bootstrap.servers']}: {problem.str()}") from None
        self._producer = producer

    def commit(
        self, outputs: Sequence[Outgoing], offsets: Mapping[Home, int] | None = None, metadata: object = None
    ) -> None:
        """One transaction: `outputs` and the input `offsets` (next to read), both or neither.

        Raises Aborted when neither happened or it cannot be known yet: the caller rewinds and takes the batch again.
        Raises SlotTaken when another process holds the slot, and KafkaFailure when trying again can't help.
        """
        producer = self._producer
        if producer is None:
            raise Aborted("the producer was not started again")
        try:
            producer.begin_transaction()
            self._produce(producer, outputs)
            if offsets:
                wanted = [TopicPartition(home.topic, home.partition, offset) for home, offset in offsets.items()]
                standing = cast("Any", metadata)
                send = producer.send_offsets_to_transaction
                self._patiently(lambda: self._at_most(lambda: send(wanted, standing, self._step_s)))
            self._patiently(lambda: producer.commit_transaction(self._step_s))
        except KafkaException as error:
            self._end(producer, error.args[0])
            self._explain(producer, error.args[0], {out.topic for out in outputs})

    def _produce(self, producer: Producer, outputs: Sequence[Outgoing]) -> None:
        plain: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        written = self._formats.outgoing
        for out in outputs:
            value = out.value and written(out.topic, out.value)
            if out.headers:  # produce_batch drops headers without a word
                self._produce_one(producer, out, value)
            else:
                plain[out.topic].append({"key": out.key, "value": value})
        for topic, waiting in plain.items():
            while waiting:
                producer.produce_batch(topic, waiting)
                failed = [m for m in waiting if "_error" in m]
                for m in failed:
                    if m["_error"].code() != _QUEUE_FULL:
                        raise KafkaException(m["_error"])
                # Rebuilt: `_error` stays in a dict even after a later success, and the record would be sent twice.
                waiting = [{"key": m["key"], "value": m["value"]} for m in failed]
                if waiting:
                    producer.poll(0.01)

    @staticmethod
    def _produce_one(producer: Producer, out: Outgoing, value: bytes | None) -> None:
        while True:
            try:
                producer.produce(out.topic, value, key=out.key, headers=list(out.headers))
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
                problem = error.args[0]
                if not problem.retriable() or problem.code() == _TIMED_OUT or time.monotonic() > deadline:
                    raise

    def _at_most(self, step: Callable[[], None]) -> None:
        """Gives up waiting for a step whose timeout the library does not keep: when the group's coordinator goes away,
        `send_offsets_to_transaction` may never return (librdkafka 2.16, its issues 5456 and 5511).

        The thread stays behind in the call, with the producer, which is dropped as after any other time-out.
        """
        ended: SimpleQueue[KafkaException | None] = SimpleQueue()

        def run() -> None:
            try:
                step()
            except KafkaException as error:
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=run, name=f"{self.transactional_id}-offsets", daemon=True).start()
        try:
            failed = ended.get(timeout=min(self._step_s, _OFFSETS_S))
        except Empty:
            raise KafkaException(KafkaError(_TIMED_OUT, "the group's coordinator does not answer")) from None
        if failed:
            raise failed

    def _end(self, producer: Producer, error: KafkaError) -> None:
        """Ends the transaction in order if that is possible, else gives up the producer."""
        if error.txn_requires_abort():
            try:
                return self._patiently(lambda: producer.abort_transaction(self._step_s))
            except KafkaException as failed:
                log.warning("not aborted", extra={"problem": failed.args[0].str()})
        self._producer = None
        self.rebuilt += 1
        return None

    def _explain(self, producer: Producer, error: KafkaError, topics: set[str]) -> NoReturn:
        if error.code() == KafkaError.FENCED_INSTANCE_ID:
            group, _, slot = self.transactional_id.rpartition("-")
            raise SlotTaken(f"slot {slot} of {group} is in use by another process")
        if error.code() in FINAL:
            raise KafkaFailure(f"{', '.join(sorted(topics))} cannot be written: {error.str()}")
        if error.code() in (_FAILED_DELIVERY, _TIMED_OUT):
            self._require(producer, topics, at_once=error.code() == _FAILED_DELIVERY)
        log.warning("transaction aborted", extra={"transactional_id": self.transactional_id, "problem": error.str()})
        raise Aborted(error.str())

    def _require(self, producer: Producer, topics: set[str], *, at_once: bool) -> None:
        """Raises KafkaFailure when a topic does not exist, `at_once` or when it did not the last time either: a broker
        that has just started may not know it yet. librdkafka says no more than "failed delivery", or "timed out"."""
        try:
            known = producer.list_topics(timeout=_ASK_S).topics
        except KafkaException:
            return
        before, self._missing = self._missing, topics - known.keys()
        if gone := sorted(self._missing if at_once else self._missing & before):
            raise KafkaFailure(f"the topic {gone[0]} does not exist; `andon topics create` creates what is missing")

    def close(self) -> None:
        """Lets go of the producer; nothing is in flight between transactions."""
        self._producer = None
