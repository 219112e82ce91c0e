"""Topics, first offsets and the configuration, on a Kafka where nothing was before. The tests build on each other."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from andon.config.load import Loaded, load
from andon.config.published import Published
from andon.config.settings import Kafka as KafkaSettings
from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.errors import KafkaFailure, PartitionsChanged
from andon.kafka.topics import CONFIG, DLQ, EVENTS, READERS, TOPICS
from andon.runtime.bootstrap import create, prepare, read_board
from andon.runtime.follower import Follower
from andon.runtime.host import Host, Options
from andon.testing.clock import ManualClock
from tests.rig.kafka import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("config-on-kafka")]

FILE = """\
version: 1
site: {{name: {name}}}
kafka: {{partitions: 3, retention: 2d}}
channels: {{robot: {{kind: wecom_robot, keys: [env:ROBOT]}}}}
receivers: {{it: {{channel: robot}}}}
route: {{receiver: it}}
"""


def plant(folder: Path, name: str) -> Loaded:
    (folder / "andon.yaml").write_text(FILE.format(name=name))
    loaded = load(folder)
    assert not loaded.mistakes
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plant")


def published(kafka: Kafka, loaded: Loaded) -> int:
    return asyncio.run(prepare(loaded, kafka.bootstrap))


def keys(kafka: Kafka) -> list[bytes]:
    return [one.key() for one in kafka.read(CONFIG)]


def test_an_empty_cluster_is_made_ready(empty_kafka: Kafka, folder: Path) -> None:
    assert published(empty_kafka, plant(folder, "first")) == 1
    counts = empty_kafka.cluster.partitions()
    assert {t.name: counts[t.name] for t in TOPICS} == {t.name: 1 if t.name == CONFIG else 3 for t in TOPICS}
    assert read_board(empty_kafka.connection).recorded.partitions[EVENTS] == 3  # type: ignore[union-attr]
    for topic in TOPICS:
        settings = empty_kafka.settings(topic.name)
        assert settings["message.timestamp.type"] == "LogAppendTime"
        if topic.compacted:
            assert settings["cleanup.policy"] == "compact"
        else:
            assert settings["cleanup.policy"] == "delete"
            assert settings["retention.ms"] == str(2 * 86_400_000)
    assert int(empty_kafka.settings(DLQ)["max.message.bytes"]) > int(empty_kafka.settings(EVENTS)["max.message.bytes"])
    for service, topic in READERS.items():
        assert empty_kafka.committed(service, topic) == {Home(topic, p): 0 for p in range(3)}


def test_the_same_content_is_published_once(empty_kafka: Kafka, folder: Path) -> None:
    before = keys(empty_kafka)
    assert published(empty_kafka, plant(folder, "first")) == 1
    assert keys(empty_kafka) == before == [b"topics", b"andon@1", b"andon"]


def test_first_offsets_are_committed_once_and_never_again(empty_kafka: Kafka, folder: Path) -> None:
    empty_kafka.forget_group("routing")
    published(empty_kafka, plant(folder, "first"))
    assert empty_kafka.committed("routing", READERS["routing"]) == {}
    assert empty_kafka.committed("egress", READERS["egress"])


def test_creating_again_changes_nothing(empty_kafka: Kafka) -> None:
    before = empty_kafka.cluster.partitions()
    create(KafkaSettings(partitions=5), empty_kafka.connection)
    assert empty_kafka.cluster.partitions() == before


def test_a_change_is_the_next_version_and_the_old_one_stays(empty_kafka: Kafka, folder: Path) -> None:
    old = read_board(empty_kafka.connection).versions[1]
    assert published(empty_kafka, plant(folder, "second")) == 2
    board = read_board(empty_kafka.connection)
    assert board.versions[1] == old
    assert board.newest is not None
    assert board.newest.settings.site.name == "second"


def test_publishing_at_the_same_time_gives_each_a_version_of_its_own(empty_kafka: Kafka, folder: Path) -> None:
    plants = []
    for name in ("left", "right"):
        (folder / name).mkdir()
        plants.append(plant(folder / name, name))
    with ThreadPoolExecutor(2) as pool:
        versions = list(pool.map(lambda one: published(empty_kafka, one), plants))
    assert sorted(versions) == [3, 4]
    written = [key for key in keys(empty_kafka) if key.startswith(b"andon@")]
    assert written == [b"andon@1", b"andon@2", b"andon@3", b"andon@4"], "a version was written twice"


def test_a_service_takes_a_new_version_within_two_seconds_and_keeps_the_old_one_when_it_cannot_read_it(
    empty_kafka: Kafka, folder: Path
) -> None:
    async def main() -> None:
        follower = Follower(empty_kafka.connection)
        try:
            first = await follower.first(20)
            host = Host(Options("routing", KafkaSettings(), None, folder), empty_kafka.connection, first, ManualClock())
            taken: asyncio.Queue[Published] = asyncio.Queue()
            tasks: list[asyncio.Task[None]] = []
            # Published before the service listens: it must not be missed.
            await prepare(plant(folder, "while it starts"), empty_kafka.bootstrap)
            await asyncio.sleep(0.5)
            follower.then(lambda newer: tasks.append(asyncio.create_task(host.take(newer))))
            host.on_change(taken.put)
            assert (await asyncio.wait_for(taken.get(), 2)).settings.site.name == "while it starts"
            began = time.monotonic()
            version = await prepare(plant(folder, "while it runs"), empty_kafka.bootstrap)
            newer = await asyncio.wait_for(taken.get(), 2)
            assert newer.version == version == host.published.version
            print(f"published and in force after {time.monotonic() - began:.2f} s")

            await asyncio.to_thread(write_unreadable, empty_kafka, version)
            last = await prepare(plant(folder, "after the unreadable"), empty_kafka.bootstrap)
            newer = await asyncio.wait_for(taken.get(), 2)
            assert newer.settings.site.name == "after the unreadable"
            assert newer.version == last > version + 1
            assert taken.empty(), "an unreadable version came into force"
        finally:
            await asyncio.to_thread(follower.close)

    asyncio.run(main())


def write_unreadable(kafka: Kafka, version: int) -> None:
    """What a later Andon, or a hand, may have written."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for key, value in (
        (f"andon@{version + 1}", b'{"version": 9, "language": "of the future"}'),
        ("andon", b'{"version": %d}' % (version + 1)),
        ("andon", b'{"version": 99}'),
        ("andon", b"no JSON"),
        ("andon@nine", b"{}"),
        ("andon@1", b"overwritten"),
        ("something else", b""),
    ):
        producer.produce(CONFIG, value, key=key)
    assert producer.flush(10) == 0


def test_a_version_that_the_service_refuses_changes_nothing_and_the_next_one_is_taken(
    empty_kafka: Kafka, folder: Path
) -> None:
    board = read_board(empty_kafka.connection)
    assert board.newest is not None
    newest = board.newest
    bad, good = replace(newest, version=90), replace(newest, version=91)

    async def main() -> None:
        host = Host(Options("routing", KafkaSettings(), None, folder), empty_kafka.connection, newest, ManualClock())

        async def changed(newer: Published) -> None:
            if newer is bad:
                raise RuntimeError("no such template")

        host.on_change(changed)
        await host.take(bad)
        assert host.published is newest
        await host.take(good)
        assert host.published is good

    asyncio.run(main())


def test_versions_come_into_force_in_their_order(empty_kafka: Kafka, folder: Path) -> None:
    board = read_board(empty_kafka.connection)
    assert board.newest is not None
    newest = board.newest
    order: list[int] = []

    async def main() -> None:
        host = Host(Options("routing", KafkaSettings(), None, folder), empty_kafka.connection, newest, ManualClock())

        async def changed(newer: Published) -> None:
            await asyncio.sleep(0.02 if newer.version == 90 else 0)
            order.append(newer.version)

        later = [asyncio.create_task(host.take(replace(newest, version=v))) for v in (90, 91, 92)]
        await asyncio.sleep(0)
        host.on_change(changed)
        await asyncio.gather(*later)
        assert host.published.version == 92

    asyncio.run(main())
    assert order == [90, 91, 92]


def test_a_service_without_a_configuration_says_what_to_do(kafka: Kafka) -> None:
    async def main() -> None:
        follower = Follower(kafka.connection)
        try:
            with pytest.raises(KafkaFailure, match="run `andon apply`"):
                await follower.first(0.5)
        finally:
            await asyncio.to_thread(follower.close)

    asyncio.run(main())


def test_another_number_of_partitions_refuses_the_start(empty_kafka: Kafka) -> None:
    empty_kafka.add_partitions(EVENTS, 4)

    async def main() -> None:
        follower = Follower(empty_kafka.connection)
        try:
            await follower.first(20)
            with pytest.raises(PartitionsChanged, match=r"andon\.events has 4 partitions; 3 were recorded"):
                follower.require(await asyncio.to_thread(Cluster(empty_kafka.connection).partitions))
        finally:
            await asyncio.to_thread(follower.close)

    asyncio.run(main())
