"""Three real nodes on one machine: one may be stopped, all may be killed, and nothing that was acknowledged is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from andon import broker
from andon.broker import BrokerError, cluster, process
from andon.config.kafka import Kafka as KafkaSettings
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from tests.rig.ports import free_port

pytestmark = pytest.mark.kafka
TOPIC = "andon.events"


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "kafka"
    if broker.is_cluster(tmp_path / "kafka"):
        broker.stop(tmp_path / "kafka", timeout_s=1)
    shutil.rmtree(tmp_path)


def andon(data: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "andon.cli.main", "broker", *words, "--data", str(data.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout, done.stderr


def written(bootstrap: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    failed: list[object] = []

    def told(error: KafkaError | None, _record: object) -> None:
        if error is not None:
            failed.append(error)

    for value in values:
        producer.produce(TOPIC, value, partition=0, on_delivery=told)
    assert producer.flush(60) == 0
    assert not failed


def read(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    found: list[bytes | None] = []
    deadline = time.monotonic() + 60
    while len(found) < count and time.monotonic() < deadline:
        found += [one.value() for one in consumer.consume(count, 0.5) if one.error() is None]
    consumer.close()
    return found


def whole(data: Path, within_s: float = 90) -> list[cluster.Member]:
    """All nodes, once every copy is complete."""
    deadline = time.monotonic() + within_s
    while True:
        members = list(cluster.status(data))
        if all(one.share.copies and one.share.in_sync == one.share.copies for one in members):
            return members
        assert time.monotonic() < deadline, members
        time.sleep(0.2)


def in_order(data: Path) -> int:
    """How many nodes were stopped in order."""
    return sum((data / f"node-{number}" / "topics" / ".kafka_cleanshutdown").exists() for number in (1, 2, 3))


def test_three_nodes_from_nothing_to_the_loss_of_one_and_of_all(data: Path) -> None:
    code, told, said = andon(data, "start", "--nodes", "3", "--port", str(free_port()), "--json")
    assert code == 0, said
    bootstrap: str = json.loads(told)["bootstrap"]
    assert len(bootstrap.split(",")) == 3
    assert broker.bootstrap(data) == bootstrap
    admin = Cluster(Connection(bootstrap))
    admin.wait(60)
    admin.create_topics(KafkaSettings(partitions=3))
    members = whole(data)
    assert all(one.share.copies >= 3 for one in members), "each node has a copy of each partition"
    assert sum(one.controls for one in members) == 1

    written(bootstrap, b"1")
    assert andon(data, "stop", "--node", "2")[0] == 0
    code, shown, _ = andon(data, "status", "--json")
    assert code == 1, "a cluster with a lost node is not well"
    assert [bool(one["status"]) for one in json.loads(shown)["nodes"]] == [True, False, True]
    written(bootstrap, b"2")

    os.kill(broker.pids(data)[1], signal.SIGKILL)
    began = time.monotonic()
    assert andon(data, "stop", "--timeout", "60")[0] == 0
    assert time.monotonic() - began < 30, "one alone cannot leave in order, however long it is given"
    assert not broker.pids(data)
    code, _, said = andon(data, "start", "--node", "1")
    assert (code, said) == (1, f"andon broker: {cluster.LONE}\n")
    assert andon(data, "start")[0] == 0, "what was a cluster is started as one"
    assert broker.bootstrap(data) == bootstrap, "clients find it where it was"
    whole(data)
    written(bootstrap, b"3")
    assert read(bootstrap, 3) == [b"1", b"2", b"3"]

    assert andon(data, "status", "--node", "3")[1].count("ready") == 1
    gone = broker.pids(data)
    assert andon(data, "stop", "--timeout", "60")[0] == 0
    assert not any(process.started(pid) for pid in gone)
    # The last may have been left without a controller, by the two that were faster.
    assert in_order(data) >= 2, "they were not stopped in order"

    code, _, said = andon(data, "start", "--nodes", "1")
    assert code == 1
    assert said == (
        f"andon broker: {data} has a cluster of three nodes: start it with --nodes 3, or choose another --data.\n"
    )
    assert andon(data, "reset", "--yes")[0] == 0
    assert not data.exists()


def test_what_was_formatted_for_one_node_is_refused_for_three(data: Path) -> None:
    (data / "topics").mkdir(parents=True)
    (data / "topics" / "meta.properties").write_text("version=1\n", encoding="ascii")
    with pytest.raises(BrokerError, match="has a single node, which cannot become three: choose another --data, or"):
        cluster.start(data)


def test_one_of_three_is_named_rightly(data: Path) -> None:
    code, _, said = andon(data, "status", "--node", "2")
    assert (code, said.count("has no cluster: `andon broker start --nodes 3` makes one")) == (1, 1)
