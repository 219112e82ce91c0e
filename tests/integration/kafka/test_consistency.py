"""The checker on real topics: a writer that is broken on purpose is found out, a sound one is not blamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from tests.rig.consistency import Anomaly, Spot, Write, one_reader, torn, two_readers, written
from tests.rig.kafka import Kafka
from tests.rig.topics import Stored, offsets

pytestmark = pytest.mark.kafka

COUNT = 12
STEP_S = 20.0


class Hop:
    """One input and one output topic, and a stage by hand: two outputs of each input, in one transaction with its
    offset. A test leaves a part of that out."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.bootstrap = kafka.bootstrap
        self.source, self.sink = kafka.topic("in"), kafka.topic("out")
        self.service = kafka.service(self.source)
        self.group = f"andon-{self.service}"
        self.producer = Producer(self._client(**{"transactional.id": self.service, "retry.backoff.ms": 1}))
        self.producer.init_transactions(STEP_S)
        settings = {"group.id": self.group, "enable.auto.commit": False}
        self.consumer = Consumer(self._client(**settings))

    def _client(self, **settings: object) -> dict[str, object]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 0, **settings}

    def close(self) -> None:
        self.consumer.close()

    def send(self, values: Iterable[str], *, key: str = "k", acks: str = "all") -> list[Write]:
        """Writes values as an honest client; what is told of each is what the broker said."""
        told: list[Write] = []
        producer = Producer(self._client(acks=acks))
        for value in values:
            fates: list[KafkaError | None] = []
            producer.produce(self.source, value, key=key, on_delivery=lambda error, _, f=fates: f.append(error))  # type: ignore[misc]
            assert producer.flush(STEP_S) == 0
            told.append(Write(key, value, "fail" if fates[0] else "ok"))
        return told

    def work(self, ids: Sequence[int], outputs: int = 2, *, offset: int | None = None, commit: bool = True) -> None:
        """A transaction over these inputs; `offset` is what it commits of the source, if anything."""
        self.producer.begin_transaction()
        for number in ids:
            for _ in range(outputs):
                self.producer.produce(self.sink, str(number))
        if offset is not None:
            standing = self.consumer.consumer_group_metadata()
            places = [TopicPartition(self.source, 0, offset)]
            self.producer.send_offsets_to_transaction(places, standing, STEP_S)
        self.producer.flush(STEP_S)
        if commit:
            self.producer.commit_transaction(STEP_S)

    def commit_offset(self, offset: int) -> None:
        """As a stage that does not know transactions."""
        self.consumer.commit(offsets=[TopicPartition(self.source, 0, offset)], asynchronous=False)

    def read(self, topic: str, *, committed: bool = True) -> list[Stored]:
        found = self._kafka.read(topic, committed=committed)
        return [
            Stored(topic, one.partition() or 0, one.offset() or 0, one.key() or b"", one.value() or b"", {})
            for one in found
        ]

    def torn(self) -> list[Anomaly]:
        inputs = self.read(self.source)
        made: list[Spot] = [(self.source, 0, int(one.value)) for one in self.read(self.sink)]
        return torn(inputs, made, offsets(self.bootstrap, self.group, [self.source]), lambda _: 2)


@pytest.fixture
def hop(kafka: Kafka) -> Iterator[Hop]:
    hop = Hop(kafka)
    yield hop
    hop.close()


def value(stored: Stored) -> str:
    return stored.value.decode()


def kinds(found: Iterable[Anomaly]) -> set[str]:
    return {one.kind for one in found}


def test_a_sound_writer_is_not_blamed(hop: Hop) -> None:
    told = hop.send(f"v{n}" for n in range(COUNT))
    hop.work(range(5), offset=5)
    hop.work(range(5, COUNT), commit=False, offset=COUNT)
    hop.producer.abort_transaction(STEP_S)
    along = hop.read(hop.sink)
    hop.work(range(5, COUNT), offset=COUNT)
    assert not written(told, hop.read(hop.source), value)
    assert not one_reader(hop.read(hop.sink))
    assert not two_readers(along, hop.read(hop.sink), {(hop.sink, 0): 0})
    assert not hop.torn()


def offsets_first(hop: Hop) -> None:
    """Commits what it has read, and dies before it has written."""
    hop.work(range(5), offset=5)
    hop.commit_offset(COUNT)


def outputs_first(hop: Hop) -> None:
    """Writes, and dies before it has committed."""
    hop.work(range(5), offset=5)
    hop.work(range(5, COUNT))


def half(hop: Hop) -> None:
    """Writes one of two outputs."""
    hop.work(range(5), offset=5)
    hop.work(range(5, COUNT), outputs=1, offset=COUNT)


@pytest.mark.parametrize("broken", [offsets_first, outputs_first, half])
def test_a_stage_whose_transactions_are_torn(hop: Hop, broken: Callable[[Hop], None]) -> None:
    hop.send(f"v{n}" for n in range(COUNT))
    broken(hop)
    found = hop.torn()
    assert kinds(found) == {"torn"}
    assert len(found) == COUNT - 5


def test_a_stage_that_works_twice(hop: Hop) -> None:
    hop.send(f"v{n}" for n in range(COUNT))
    hop.work(range(5))
    hop.work(range(COUNT), offset=COUNT)
    assert kinds(hop.torn()) == {"duplicate"}


def test_a_reader_of_what_is_not_committed(hop: Hop) -> None:
    hop.send(f"v{n}" for n in range(COUNT))
    hop.work(range(5), commit=False)
    hasty = hop.read(hop.sink, committed=False)
    hop.producer.abort_transaction(STEP_S)
    hop.work(range(COUNT), offset=COUNT)
    assert len(hasty) == 10
    assert kinds(two_readers(hasty, hop.read(hop.sink))) == {"aborted read"}


def test_a_client_that_is_told_ok_too_early(hop: Hop) -> None:
    told = hop.send(f"v{n}" for n in range(COUNT))
    told.append(Write("k", "never", "ok"))  # acknowledged from memory, and the process was killed
    assert [one.sentence.split()[0] for one in written(told, hop.read(hop.source), value)] == ["never"]


def test_a_client_that_sends_again_and_out_of_order(hop: Hop) -> None:
    hop.send(["v2", "v1", "v1"])
    told = [Write("k", "v1", "ok"), Write("k", "v2", "ok")]
    assert kinds(written(told, hop.read(hop.source), value)) == {"reorder", "duplicate"}


def test_offsets_that_were_given_out_twice(hop: Hop, kafka: Kafka) -> None:
    """The topic was deleted and made again under its name."""
    hop.send(f"v{n}" for n in range(COUNT))
    before = hop.read(hop.source)
    kafka.empty(hop.source)
    hop.send(f"w{n}" for n in range(COUNT))
    assert kinds(two_readers(before, hop.read(hop.source))) == {"duplicate offset"}


def test_a_reader_that_seeks_ahead_and_back(hop: Hop) -> None:
    hop.send(f"v{n}" for n in range(COUNT))
    everything = hop.read(hop.source)
    ahead = everything[:3] + everything[6:]
    assert kinds(two_readers(ahead, everything)) == {"skip"}
    assert kinds(one_reader([*ahead, *everything[3:6]])) == {"reorder"}
