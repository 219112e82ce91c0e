"""Topics, first offsets and the configuration, on a Kafka where nothing was before."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from andon.cli.main import main
from andon.config.kafka import Kafka as KafkaSettings
from andon.config.load import Loaded, load
from andon.config.published import Published
from andon.core.event import Home
from andon.core.mute import Mute
from andon.kafka.admin import Cluster
from andon.kafka.errors import KafkaFailure, PartitionsChanged
from andon.kafka.topics import ACTIONS, CONFIG, DLQ, ENRICHED, EVENTS, READERS, TOPICS
from andon.runtime.bootstrap import create, prepare
from andon.runtime.changes import muted
from andon.runtime.follower import Follower, read_board
from andon.runtime.host import Host, Options
from andon.runtime.publishing import publish
from andon.testing.builders import event
from andon.testing.clock import ManualClock
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

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
    return asyncio.run(prepare(loaded, kafka.bootstrap)).version


def keys(kafka: Kafka) -> list[bytes]:
    return [one.key() or b"" for one in kafka.read(CONFIG)]


@pytest.fixture(scope="module")
def ready_kafka(empty_kafka: Kafka, folder: Path) -> Kafka:
    """The same, after the first `prepare`."""
    assert published(empty_kafka, plant(folder, "first")) == 1
    return empty_kafka


def test_an_empty_cluster_is_made_ready(ready_kafka: Kafka) -> None:
    counts = ready_kafka.cluster.partitions()
    assert {t.name: counts[t.name] for t in TOPICS} == {t.name: t.partitions or 3 for t in TOPICS}
    assert read_board(ready_kafka.connection).recorded.partitions[EVENTS] == 3  # type: ignore[union-attr]
    for topic in TOPICS:
        settings = ready_kafka.settings(topic.name)
        assert settings["message.timestamp.type"] == "LogAppendTime"
        if topic.compacted:
            assert settings["cleanup.policy"] == "compact"
        else:
            assert settings["cleanup.policy"] == "delete"
            assert settings["retention.ms"] == str(2 * 86_400_000)
    assert int(ready_kafka.settings(DLQ)["max.message.bytes"]) > int(ready_kafka.settings(EVENTS)["max.message.bytes"])
    for service, source in READERS.items():
        assert ready_kafka.committed(service, source) == {Home(source, p): 0 for p in range(3)}


def test_the_same_content_is_published_once(ready_kafka: Kafka, folder: Path) -> None:
    assert keys(ready_kafka)[:3] == [b"topics", b"andon@1", b"andon"]
    version = published(ready_kafka, plant(folder, "once"))
    before = keys(ready_kafka)
    assert published(ready_kafka, plant(folder, "once")) == version
    assert keys(ready_kafka) == before


def test_first_offsets_are_committed_once_and_never_again(ready_kafka: Kafka, folder: Path) -> None:
    ready_kafka.forget_group("routing")
    published(ready_kafka, plant(folder, "again"))
    assert ready_kafka.committed("routing", READERS["routing"]) == {}
    assert ready_kafka.committed("egress", READERS["egress"])


def test_creating_again_changes_nothing(ready_kafka: Kafka) -> None:
    before = ready_kafka.cluster.partitions()
    create(KafkaSettings(partitions=5), ready_kafka.connection)
    assert ready_kafka.cluster.partitions() == before


def test_a_change_is_the_next_version_and_the_old_one_stays(ready_kafka: Kafka, folder: Path) -> None:
    old = read_board(ready_kafka.connection)
    assert old.newest is not None
    assert published(ready_kafka, plant(folder, "second")) == old.newest.version + 1
    board = read_board(ready_kafka.connection)
    assert old.versions.items() < board.versions.items()
    assert board.newest is not None
    assert board.newest.settings.site.name == "second"


def test_publishing_at_the_same_time_gives_each_a_version_of_its_own(ready_kafka: Kafka, folder: Path) -> None:
    plants = []
    for name in ("left", "right"):
        (folder / name).mkdir()
        plants.append(plant(folder / name, name))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda plant: published(ready_kafka, plant), plants)
    assert abs(one - other) == 1
    written = [key for key in keys(ready_kafka) if key.startswith(b"andon@")]
    assert len(set(written)) == len(written), "a version was written twice"


def test_of_mutes_made_at_one_time_each_is_kept(ready_kafka: Kafka) -> None:
    now = datetime.now(UTC)
    mutes = [Mute("", ('line="L3"',), now, now + timedelta(hours=1), "wang", f"number {n}") for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda mute: asyncio.run(publish(ready_kafka.connection, muted(mute))), mutes))
    newest = read_board(ready_kafka.connection).newest
    assert newest is not None
    assert sorted(one.why for one in newest.mutes) == [one.why for one in mutes]
    assert len({one.id for one in newest.mutes}) == 3


def test_a_rollback_stays_until_the_files_change(
    ready_kafka: Kafka, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = published(ready_kafka, plant(folder, "good"))
    bad = published(ready_kafka, plant(folder, "bad"))
    here = ["--bootstrap", ready_kafka.bootstrap, "--config", str(folder)]
    assert main(["config", "diff", str(good), str(bad), *here]) == 1
    assert '~ site.name: "good" → "bad"' in capsys.readouterr().out
    assert main(["config", "rollback", str(good), "--why", "zu laut", "--author", "li", *here]) == 0
    assert "were not changed" in capsys.readouterr().out
    action = json.loads(ready_kafka.read(ACTIONS)[-1].value() or b"")
    assert (action["action"], action["actor"], action["version"]) == ("config.rollback", "li", bad + 1)
    now = asyncio.run(prepare(plant(folder, "bad"), ready_kafka.bootstrap, anew=False))
    assert (now.version, now.restores, now.settings.site.name) == (bad + 1, good, "good")
    assert main(["config", "log", "--last", "1", "--json", *here]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["version"], entry["author"], entry["reason"], entry["restores"]) == (bad + 1, "li", "zu laut", good)
    assert '~ site.name: "bad" → "good"' in entry["changes"]
    assert main(["config", "export", str(good), "--to", str(folder / "out"), *here]) == 0
    assert load(folder / "out").settings == now.settings
    assert published(ready_kafka, load(folder)) == bad + 2, "`andon apply` publishes whatever files say"


def test_mutes_are_made_shown_and_ended_from_the_command_line(
    ready_kafka: Kafka, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published(ready_kafka, plant(folder, "muted"))
    here = ["--bootstrap", ready_kafka.bootstrap, "--config", str(folder)]

    def said(*argv: str, code: int = 0) -> Any:
        assert main([*argv, *here, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    now = datetime.now(UTC)
    for number, line in enumerate(("L3", "L3", "L4")):
        one = event(id=f"e-{number}", time=now, labels={"line": line})
        ready_kafka.write(ENRICHED, [msgspec.json.encode(one)])
    wanted = ("mute", 'line="L3"', "--for", "2h", "--why", "换模")
    before = ready_kafka.read(CONFIG)
    preview = said(*wanted, "--preview")
    assert (preview["looked_at"], preview["events"], preview["receivers"]) == (3, 2, {"it": 2})
    assert len(ready_kafka.read(CONFIG)) == len(before), "a preview changes nothing"
    made = said(*wanted, "--author", "li")
    assert (made["matchers"], made["creator"], made["then"], made["why"]) == (['line="L3"'], "li", "digest", "换模")
    later = said("mute", "code=E1", "--from", "23:00", "--until", "23:30", "--why", "x", "--then", "drop")
    states = {one["id"]: one["state"] for one in said("mutes") if one["id"] in (made["id"], later["id"])}
    assert states == {made["id"]: "muted", later["id"]: "later"}
    assert said("unmute", made["id"])["version"] > int(made["id"][1:])
    assert made["id"] not in {one["id"] for one in said("mutes")}
    assert {one["id"]: one["state"] for one in said("mutes", "--all")}[made["id"]] == "ended before"
    assert main(["unmute", made["id"], *here]) == 1
    assert "that is not over" in capsys.readouterr().err
    for wrong in (["--for", "2h", "--until", "20:00"], [], ["--for", "400d"], ["--until", "soon"]):
        assert main(["mute", "line=L3", "--why", "x", *wrong, *here]) == 2
    assert main(["mute", 'line=""', "--why", "x", "--for", "2h", *here]) == 2
    assert main(["mutes", *here]) == 0
    assert later["id"] in capsys.readouterr().out


def test_a_service_takes_a_new_version_within_a_second_and_keeps_the_old_one_when_it_cannot_read_it(
    ready_kafka: Kafka, folder: Path
) -> None:
    async def main() -> None:
        follower = Follower(ready_kafka.connection)
        try:
            first = await follower.first(20)
            host = Host(Options("routing", KafkaSettings(), None, folder), ready_kafka.connection, first, ManualClock())
            taken: asyncio.Queue[Published] = asyncio.Queue()
            tasks: list[asyncio.Task[None]] = []
            # Published before the service listens: it must not be missed.
            await prepare(plant(folder, "while it starts"), ready_kafka.bootstrap)
            await asyncio.sleep(0.5)
            follower.then(lambda newer: tasks.append(asyncio.create_task(host.take(newer))))
            host.on_change(taken.put)
            assert (await asyncio.wait_for(taken.get(), 30)).settings.site.name == "while it starts"
            waited: list[float] = []
            for turn in range(5):
                version = (await prepare(plant(folder, f"while it runs {turn}"), ready_kafka.bootstrap)).version
                published = time.monotonic()
                newer = await asyncio.wait_for(taken.get(), 30)
                waited.append(time.monotonic() - published)
                assert newer.version == version == host.published.version
            print(f"in force {waited} s after they were published")
            assert median(waited) < 1, "a machine that stands still once makes one of them late, not most"

            await asyncio.to_thread(write_unreadable, ready_kafka, version)
            last = (await prepare(plant(folder, "after the unreadable"), ready_kafka.bootstrap)).version
            newer = await asyncio.wait_for(taken.get(), 30)
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
    ready_kafka: Kafka, folder: Path
) -> None:
    board = read_board(ready_kafka.connection)
    assert board.newest is not None
    newest = board.newest
    bad, good = replace(newest, version=90), replace(newest, version=91)

    async def main() -> None:
        host = Host(Options("routing", KafkaSettings(), None, folder), ready_kafka.connection, newest, ManualClock())

        async def changed(newer: Published) -> None:
            if newer is bad:
                raise RuntimeError("no such template")

        host.on_change(changed)
        await host.take(bad)
        assert host.published is newest
        await host.take(good)
        assert host.published is good

    asyncio.run(main())


def test_versions_come_into_force_in_their_order(ready_kafka: Kafka, folder: Path) -> None:
    board = read_board(ready_kafka.connection)
    assert board.newest is not None
    newest = board.newest
    order: list[int] = []

    async def main() -> None:
        host = Host(Options("routing", KafkaSettings(), None, folder), ready_kafka.connection, newest, ManualClock())

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
            with pytest.raises(KafkaFailure, match="no configuration is published; run `andon apply`"):
                await follower.first(5)  # the topic is read first
        finally:
            await asyncio.to_thread(follower.close)

    asyncio.run(main())


def test_another_number_of_partitions_refuses_the_start(ready_kafka: Kafka) -> None:
    ready_kafka.add_partitions(EVENTS, 4)

    async def main() -> None:
        follower = Follower(ready_kafka.connection)
        try:
            await follower.first(20)
            with pytest.raises(PartitionsChanged, match=r"andon\.events has 4 partitions; 3 were recorded"):
                follower.require(await asyncio.to_thread(Cluster(ready_kafka.connection).partitions))
        finally:
            await asyncio.to_thread(follower.close)

    asyncio.run(main())


SOURCES = """\
sources:
  mes: {{kind: kafka, topic: {topic}, begin: {begin}}}
  old: {{kind: kafka, topic: {topic}, begin: earliest}}
"""


def test_a_source_that_reads_a_topic_is_told_once_where_to_begin(ready_kafka: Kafka, folder: Path) -> None:
    def sourced(name: str, topic: str, begin: str = "latest") -> Loaded:
        plant(folder, name)
        with (folder / "andon.yaml").open("a") as file:
            file.write(SOURCES.format(topic=topic, begin=begin))
        return load(folder)

    with pytest.raises(KafkaFailure, match="there is no topic elsewhere, which the source mes is to read"):
        published(ready_kafka, sourced("sourced", "elsewhere"))
    topic = ready_kafka.topic("foreign")
    ready_kafka.write(topic, [b"1", b"2", b"3"])
    version = published(ready_kafka, sourced("sourced", topic))
    home = Home(topic, 0)
    assert ready_kafka.committed("source-mes", topic) == {home: 3}
    assert ready_kafka.committed("source-old", topic) == {home: 0}
    # What a version in force names has begun: a group that loses its offsets later must stop, not start over.
    ready_kafka.close()
    ready_kafka.forget_group("source-mes")
    assert published(ready_kafka, sourced("sourced again", topic, "earliest")) == version + 1
    assert ready_kafka.committed("source-mes", topic) == {}
