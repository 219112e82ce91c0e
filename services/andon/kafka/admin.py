"""Topics, groups and lag of a cluster. Blocking; call it off the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from andon.config.kafka import Kafka
from andon.core.event import Home
from andon.kafka.connection import Connection, made
from andon.kafka.errors import GroupInUse, KafkaFailure, UnsupportedKafka
from andon.kafka.topics import READERS, TOPICS, group_of

T = TypeVar("T")

_STEP_S = 10.0
_AGAIN_S = 0.2
_SHOWN_S = 60.0
# A node that has just started has no coordinator for a group yet, or one that still reads its log; a topic that was
# just made is listed before its partitions have a leader.
_NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
)
_EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
# A broker setting that came with Kafka 3.9, the oldest version this was proved on.
_SINCE_3_9 = "controller.quorum.bootstrap.servers"


class Cluster:
    """Administration of the cluster behind one connection. Every method raises KafkaFailure when it cannot answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._admin = made(AdminClient, connection.client())
        self._members: dict[str, Consumer] = {}

    def wait(self, timeout_s: float) -> None:
        """Returns when a broker answers. Raises KafkaFailure after `timeout_s`, UnsupportedKafka for an old one."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                brokers = self._admin.list_topics(timeout=1.0).brokers
            except KafkaException:
                brokers = {}
            if brokers:
                return self._require_supported()
            if time.monotonic() > deadline:
                raise KafkaFailure(
                    f"no Kafka broker answers at {self._connection.bootstrap}; is it running, and is the address right?"
                )

    def _require_supported(self) -> None:
        if _SINCE_3_9 not in self._settings():
            raise UnsupportedKafka(
                f"the Kafka at {self._connection.bootstrap} is older than 3.9; Andon works with 3.9 to 4.x"
            )

    def _settings(self) -> dict[str, Any]:
        """The settings of a broker."""
        try:
            broker = next(iter(self._admin.list_topics(timeout=_STEP_S).brokers))
        except KafkaException as error:
            raise KafkaFailure(f"the cluster does not answer: {error.args[0].str()}") from None
        resource = ConfigResource(ResourceType.BROKER, str(broker))
        return dict(self._done(self._admin.describe_configs([resource]))[resource])

    def partitions(self) -> dict[str, int]:
        """Topic → number of partitions, for the topics there are."""
        try:
            topics = self._admin.list_topics(timeout=_STEP_S).topics
        except KafkaException as error:
            raise KafkaFailure(f"the cluster does not answer: {error.args[0].str()}") from None
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def create_topics(self, kafka: Kafka) -> list[str]:
        """Creates the missing topics and returns their names. Existing ones are left as they are, and so are those that
        somebody else creates at the same moment."""
        existing = self.partitions()
        replication = self.replication(kafka)
        new = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions or kafka.partitions,
                replication_factor=replication,
                config=topic.settings(kafka.retention, replication),
            )
            for topic in TOPICS
            if topic.name not in existing
        ]
        if not new:
            return []
        with _told():
            asked = self._admin.create_topics(new, operation_timeout=_STEP_S)
            created = [name for name, future in asked.items() if _created(future)]
        self._await({topic.topic: topic.num_partitions for topic in new})
        return created

    def replication(self, kafka: Kafka) -> int:
        """How many copies a topic is to have: what the configuration says, else 3, and in the embedded Kafka as many
        as it has nodes."""
        if kafka.replication:
            return kafka.replication
        if kafka.bootstrap != "embedded":
            return 3
        # Its own default and not the number of nodes that answer: one may be away just now.
        return int(self._settings()["default.replication.factor"].value)

    def grow(self, topics: Iterable[str], count: int) -> None:
        """Gives these topics `count` partitions; those that have them stay as they are."""
        there = self.partitions()
        new = {name: count for name in topics if there.get(name, count) < count}
        if new:
            grown = [NewPartitions(name, count) for name in new]
            self._done(self._admin.create_partitions(grown, operation_timeout=_STEP_S))
            self._await(new)

    def _await(self, new: Mapping[str, int]) -> None:
        """A broker may list a topic, or more partitions of one, some time after the controller has made them, and
        answer for them some time after another one lists them."""
        wanted = {Home(name, number) for name, count in new.items() for number in range(count)}
        deadline = time.monotonic() + _SHOWN_S
        while not wanted <= self.ends(new, patience_s=_SHOWN_S).keys():
            if time.monotonic() > deadline:
                raise KafkaFailure(f"the cluster does not show all partitions of {', '.join(sorted(new))}")
            time.sleep(_AGAIN_S)

    def seed_offsets(self, service: str, topic: str, *, earliest: bool = True) -> None:
        """Commits the first offset kept, or the next one, for the partitions of `topic` on which the service's group
        has none. Raises GroupInUse."""
        known = self.offsets(service, topic)
        missing = {home: at for home, at in self.ends([topic], earliest=earliest).items() if home not in known}
        if missing:
            self.set_offsets(service, missing)

    def offsets(self, service: str, topic: str | None = None) -> dict[Home, tuple[int, str]]:
        """The committed offsets of a service's group on its topic, with the note each carries."""
        topic = topic or READERS.get(service)
        counts = self.partitions()
        topics = [topic] if topic else list(counts)
        asked = [TopicPartition(name, p) for name in topics for p in range(counts.get(name, 0))]
        if not asked:
            return {}
        found = self._member(service, lambda member: member.committed(asked, timeout=_STEP_S))
        return {Home(p.topic, p.partition): (p.offset, p.metadata or "") for p in found if p.offset >= 0}

    def set_offsets(self, service: str, offsets: Mapping[Home, int]) -> None:
        """Sets the offsets of a group. Raises GroupInUse for one that has a live member."""
        wanted = [TopicPartition(home.topic, home.partition, offset) for home, offset in offsets.items()]
        refused = self._member(service, lambda member: member.commit(offsets=wanted, asynchronous=False))
        if failed := next((one.error for one in refused if one.error), None):
            if failed.code() == KafkaError.UNKNOWN_MEMBER_ID:
                raise GroupInUse(group_of(service))
            raise KafkaFailure(f"the offsets of {group_of(service)} were refused: {failed.str()}")

    def _member(self, service: str, ask: Callable[[Consumer], list[TopicPartition]]) -> list[TopicPartition]:
        """Asks as a client of the group that never joins it. The library's admin requests for groups must not be
        used for this: one that times out aborts the process when its answer comes (librdkafka 2.16)."""
        member = self._members.get(service)
        if member is None:
            settings = {
                "group.id": group_of(service),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                # An undecided transaction of a killed stage would hold back the answer until the broker ends it.
                "isolation.level": "read_uncommitted",
            }
            member = self._members[service] = made(Consumer, self._connection.client() | settings)
        try:
            return _patiently(lambda: ask(member))
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID:
                raise GroupInUse(group_of(service)) from None
            raise KafkaFailure(f"the group {group_of(service)} cannot be asked: {error.args[0].str()}") from None

    def delete_group(self, service: str) -> None:
        """Forgets a service's group, its offsets included; the group must have no live member."""
        self._done(self._admin.delete_consumer_groups([group_of(service)], request_timeout=_STEP_S))

    def ends(
        self, topics: Iterable[str], *, earliest: bool = False, decided: bool = False, patience_s: float = _STEP_S
    ) -> dict[Home, int]:
        """The next offset (or the first one kept) of every partition of these topics; `decided`: the offset up to which
        every transaction has ended. A partition may be without a leader for `patience_s`."""
        counts = self.partitions()
        spec: Any = _EARLIEST if earliest else _LATEST
        asked = {TopicPartition(t, p): spec for t in topics for p in range(counts.get(t, 0))}
        level = IsolationLevel.READ_COMMITTED if decided else IsolationLevel.READ_UNCOMMITTED
        ask = partial(self._admin.list_offsets, asked, isolation_level=level, request_timeout=_STEP_S)
        with _told():
            answer = _patiently(lambda: _results(ask()), patience_s) if asked else {}
        return {Home(p.topic, p.partition): info.offset for p, info in answer.items()}

    def close(self) -> None:
        """Lets go of the group clients."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    @staticmethod
    def _done(futures: Mapping[Any, Any]) -> dict[Any, Any]:
        with _told():
            return _results(futures)


@contextmanager
def _told() -> Iterator[None]:
    """Tells in our words what an admin request ended in."""
    try:
        yield
    except KafkaException as error:
        raise KafkaFailure(f"the cluster refused: {error.args[0].str()}") from None
    except TimeoutError:
        raise KafkaFailure("the cluster did not answer in time") from None


def _results(futures: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: future.result(timeout=_STEP_S + 5) for key, future in futures.items()}


def _created(future: Any) -> bool:
    """Whether it was this request that made a topic. Raises KafkaException when there is none."""
    try:
        future.result(timeout=_STEP_S + 5)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return False
    return True


def _patiently(ask: Callable[[], T], patience_s: float = _STEP_S) -> T:
    """Asks again, for so long, while the answer is that the cluster cannot say it yet."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(_AGAIN_S)
