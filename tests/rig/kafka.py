"""A real Kafka under test: topics and groups of a test's own, an independent reader, and faults by signal."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import confluent_kafka
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from andon import broker
from andon.config.kafka import Kafka as KafkaSettings
from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.topics import group_of
from tests.rig.watch import stopped

T = TypeVar("T")

IMAGE = "confluentinc/cp-kafka:7.9.2"  # Kafka 3.9, the oldest that Andon supports
_READ_S = 30.0
_ANY = -1
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_PASSING = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)


class Kafka:
    """A cluster of one node. Nothing of `read` and `write` goes through Andon's own clients: they are the witness."""

    def __init__(self, bootstrap: str, data: Path | None = None, pid: int = 0) -> None:
        self.bootstrap = bootstrap
        self.connection = Connection(bootstrap)
        self.cluster = Cluster(self.connection)
        self.pid = pid
        self._data = data
        self._admin = AdminClient(self._client())
        self._keeper = ThreadPoolExecutor(1, "kafka-keeper")
        self._asking: tuple[str, Consumer] | None = None

    def _client(self, **settings: Any) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, **settings}

    # ---- topics and groups

    def create_andon_topics(self) -> None:
        """The topics every service knows, with two partitions."""
        self.cluster.wait(60)
        self.cluster.create_topics(KafkaSettings(partitions=2))

    def topic(self, name: str = "t", partitions: int = 1, **settings: str) -> str:
        """A new topic whose name no other test has; `settings` with `_` for `.` in their names."""
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        config = {key.replace("_", "."): value for key, value in settings.items()}
        new = NewTopic(unique, num_partitions=partitions, replication_factor=1, config=config)
        for future in self._admin.create_topics([new]).values():
            future.result(30)
        deadline = time.monotonic() + 30
        while self.cluster.partitions().get(unique) != partitions:
            assert time.monotonic() < deadline
        return unique

    def empty(self, topic: str) -> None:
        """Deletes a topic of one partition and makes it again under its name, so that offsets begin anew."""
        for change in (self._admin.delete_topics([topic]), self._admin.create_topics([NewTopic(topic, 1, 1)])):
            change[topic].result(30)
        self._retry(lambda: self._written([TopicPartition(topic, 0)]))

    def settings(self, topic: str) -> dict[str, str]:
        """How the broker keeps a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self._admin.describe_configs([resource])[resource].result(30)
        return {name: entry.value for name, entry in found.items()}

    def add_partitions(self, topic: str, total: int) -> None:
        """Grows a topic, as a well-meaning operator does."""
        for future in self._admin.create_partitions([NewPartitions(topic, total)]).values():
            future.result(30)

    def delete_records(self, topic: str, before: int) -> None:
        """Deletes the first records of the first partition."""
        for future in self._admin.delete_records([TopicPartition(topic, 0, before)]).values():
            future.result(30)

    def service(self, *topics: str, name: str = "s") -> str:
        """A new service name, with its group's first offsets committed on these topics."""
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        first = [TopicPartition(t, p, 0) for t in topics for p in range(self.cluster.partitions()[t])]
        self._retry(lambda: self._asker(unique).commit(offsets=first, asynchronous=False))
        return unique

    def committed(self, service: str, *topics: str) -> dict[Home, int]:
        """The offsets a service's group has committed on these topics; what is undecided does not count."""
        counts = self.cluster.partitions()
        asked = [TopicPartition(t, p) for t in topics for p in range(counts[t])]
        found = self._retry(lambda: self._asker(service).committed(asked, timeout=5))
        return {Home(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def _asker(self, service: str) -> Consumer:
        """A client of the group that never joins it. One at a time."""
        if self._asking is None or self._asking[0] != service:
            self.close()
            settings = {"group.id": group_of(service), "isolation.level": "read_uncommitted"}
            self._asking = service, Consumer(self._client(**settings, **{"enable.auto.commit": False}))
        return self._asking[1]

    def _retry(self, ask: Callable[[], T]) -> T:
        """Asks again while the node starts: its coordinator is the last to come up."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return ask()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        """Lets go of the client that asks for offsets."""
        if self._asking:
            self._asking[1].close()
            self._asking = None

    def forget_group(self, service: str) -> None:
        """Deletes a group with its offsets, once its last member's session is over."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.cluster.delete_group(service)
            except KafkaFailure:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    # ---- the witness

    def write(self, topic: str, values: Iterable[bytes | tuple[bytes, bytes]], *, partition: int = _ANY) -> None:
        """Appends values, or pairs of key and value, and waits for their acknowledgement."""
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _record: object) -> None:
            if error is not None:
                failed.append(error)

        with_large = self._client(**{"message.max.bytes": 16 << 20, "linger.ms": 1})
        producer = Producer(with_large | {"partitioner": "murmur2_random"})
        for one in values:
            key, value = one if isinstance(one, tuple) else (None, one)
            producer.produce(topic, value, key=key, partition=partition, on_delivery=told)
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failed, failed[0]

    def read(self, topic: str, *, committed: bool = True, within_s: float = _READ_S) -> list[confluent_kafka.Message]:
        """Every record of a topic up to its end, in offset order per partition; committed ones unless told otherwise.

        An open transaction holds back the end: it is waited for.
        """
        consumer = Consumer(
            self._client(
                **{
                    "group.id": f"witness-{uuid.uuid4().hex[:8]}",
                    "isolation.level": "read_committed" if committed else "read_uncommitted",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": 20,
                }
            )
        )
        try:
            return self._to_end(consumer, topic, within_s)
        finally:
            consumer.close()

    def _to_end(self, consumer: Consumer, topic: str, within_s: float) -> list[confluent_kafka.Message]:
        count = self.cluster.partitions()[topic]
        ends = self._retry(partial(self._written, [TopicPartition(topic, p) for p in range(count)]))
        consumer.assign([TopicPartition(topic, p, 0) for p in ends])
        found: list[confluent_kafka.Message] = []
        deadline = time.monotonic() + within_s
        while ends:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end, {ends} are missing"
            for one in consumer.consume(1000, 0.05):
                problem = one.error()
                if problem is None:
                    found.append(one)
                elif problem.code() == KafkaError._PARTITION_EOF:
                    at, partition = one.offset(), one.partition()
                    if partition in ends and at is not None and at >= ends[partition]:
                        del ends[partition]
                else:
                    assert problem.code() in _PASSING, problem
        return found

    def _written(self, places: Iterable[TopicPartition]) -> dict[int, int]:
        """The next offset of each partition. What is written and undecided is part of the question: a consumer's own
        watermarks would stop before it, at the last stable offset."""
        asked = dict.fromkeys(places, _LATEST)
        found = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=10)
        return {place.partition: future.result(10).offset for place, future in found.items()}

    # ---- faults (embedded node only)

    def freeze(self) -> None:
        """Stops the node's process without ending it: connections stay, nothing answers from here on."""
        os.kill(self.pid, signal.SIGSTOP)
        while not stopped(self.pid):
            time.sleep(0.001)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends the node at once, as kill -9 does."""
        assert self._data is not None
        os.kill(self.pid, signal.SIGKILL)
        while broker.is_running(self._data):
            time.sleep(0.01)

    def restart(self) -> None:
        """Starts the node again on its data and its port."""
        data, port = self._data, int(self.bootstrap.rpartition(":")[2])
        assert data is not None
        # On a thread that stays: a node that is tied to its parent ends with the thread that started it.
        begun = self._keeper.submit(broker.start, data, port=port, strict_port=True, tie_to_parent=True)
        self.pid = begun.result().pid


def embedded_kafka(data: Path, port: int, *, topics: bool = True) -> Iterator[Kafka]:
    """Andon's own node on `data`, with Andon's topics unless they are not wanted."""
    running = broker.start(data, port=port, tie_to_parent=True)
    kafka = Kafka(running.bootstrap, data, running.pid)
    try:
        if topics:
            kafka.create_andon_topics()
        yield kafka
    finally:
        kafka.close()
        broker.stop(data)
        kafka._keeper.shutdown()
        shutil.rmtree(data, ignore_errors=True)


def docker_kafka(*, topics: bool = True) -> Iterator[Kafka]:
    """Kafka in a container, with Andon's topics unless they are not wanted."""
    from testcontainers.community.kafka import KafkaContainer

    settings: Mapping[str, str] = {
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE": "LogAppendTime",
    }
    container = KafkaContainer(IMAGE).with_kraft()
    for name, value in settings.items():
        container = container.with_env(name, value)
    with container:
        kafka = Kafka(container.get_bootstrap_server())
        if topics:
            kafka.create_andon_topics()
        yield kafka
        kafka.close()


def unavailable() -> str | None:
    """Why no container can be started here; None where one can."""
    try:
        import docker
    except ImportError:
        return "--kafka=docker needs the package testcontainers"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a client that finds no Docker leaves its socket open
        try:
            docker.from_env().ping()
        except docker.errors.DockerException as error:
            return f"--kafka=docker needs a running Docker: {str(error)[:200]}"
        finally:
            gc.collect()
    return None
