"""A source falls silent and comes back, through real doors that share nothing but Kafka, to who hears of it."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon.config.load import load
from andon.core.delivery import Delivery
from andon.core.event import Event, Home
from andon.ingress.expected.expectations import Expectations
from andon.ingress.expected.hearing import keep
from andon.ingress.expected.signs import Key, Lost, lost_record
from andon.ingress.feeds import Feeds
from andon.ingress.sources.kafka import KafkaSource
from andon.ingress.works import Works, _Stand
from andon.kafka.records import Outgoing
from andon.kafka.topics import DELIVERIES, EVENTS
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.bootstrap import prepare
from andon.runtime.clock import SystemClock
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from tests.bench.plant import Plant
from tests.component.ingress.doors import Doors
from tests.integration.feeds.process import reading
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port

pytestmark = pytest.mark.kafka

# So short a time is refused by `andon check`; the doors take it, with a beat to match.
CONFIG = """\
version: 1
kafka: {partitions: 2}
sources:
  mes: {kind: http, token: env:SILENCE_TOKEN, expect: {event_within: 3s, receiver: it}}
channels: {robot: {kind: wecom_robot, keys: [env:SILENCE_ROBOT], base_url: "http://127.0.0.1:1"}}
receivers: {shift: {channel: robot}, it: {channel: robot}}
watch: {heartbeat: {url: env:SILENCE_MONITOR, every: 1s}}
route: {receiver: shift}
"""


def until(reached: Callable[[], Any], within_s: float = 60.0) -> Any:
    deadline = time.monotonic() + within_s
    while not (answer := reached()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return answer


async def come(stands: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not await stands():
        assert time.monotonic() < deadline, "it did not come back in time"
        await asyncio.sleep(0.1)


def told(kafka: Kafka) -> dict[str, Event]:
    """What stands in the log of our own, by its id; what stands there twice is the same."""
    found: dict[str, Event] = {}
    for record in kafka.read(EVENTS):
        event = msgspec.json.decode(record.value() or b"", type=Event)
        if event.source == "andon":
            assert found.setdefault(event.id, event) == event
    return found


def delivered(kafka: Kafka) -> list[tuple[str, str]]:
    """The type of each event that somebody is to hear of, and who."""
    found = [msgspec.json.decode(record.value() or b"", type=Delivery) for record in kafka.read(DELIVERIES)]
    return [(one.event.type, one.receiver) for one in {one.id: one for one in found}.values()]


def post(door: str) -> None:
    headers = {"Authorization": "Bearer t", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://{door}/v1/events", b'{"type": "fault", "subject": "M-1"}', headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 202


class Monitor(ThreadingHTTPServer):
    """Counts the signs of life."""

    def __init__(self) -> None:
        self.beats = 0
        monitor = self

        class Take(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/ping/me"
                monitor.beats += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        super().__init__(("127.0.0.1", 0), Take)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    one = Monitor()
    monkeypatch.setenv("SILENCE_MONITOR", f"http://127.0.0.1:{one.server_address[1]}/ping/me")
    yield one
    one.close()


def test_silence_of_two_doors(
    empty_kafka: Kafka, tmp_path: Path, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SILENCE_TOKEN", "t")
    monkeypatch.setenv("SILENCE_ROBOT", "r")
    kafka, doors = empty_kafka, [f"127.0.0.1:{free_port()}" for _ in range(2)]
    plant = Plant(tmp_path, kafka.connection, CONFIG)
    other = Plant(tmp_path / "other", kafka.connection, CONFIG)
    asyncio.run(prepare(load(plant.config, Registry()), kafka.bootstrap))
    try:
        for one, door in zip((plant, other), doors, strict=True):
            one.start("ingress", "--listen", door)
        plant.start("enrichment")
        plant.start("routing")
        for one in (plant, other):
            one.wait_ready(within=240)
        works = Works(kafka.connection)
        assert works.problem(["enrichment", "routing", "egress"], time.time()) == "egress has no process"
        works.close()
        assert monitor.beats == 0
        plant.start("egress")
        post(doors[0])
        until(lambda: ("andon.source.silent", "it") in delivered(kafka))
        post(doors[1])
        until(lambda: ("andon.source.heard", "it") in delivered(kafka))
        until(lambda: monitor.beats)
        for one in (plant, other):
            one.processes["ingress"].kill()
            one.end("ingress")
        for one, door in zip((plant, other), doors, strict=True):
            one.start("ingress", "--listen", door)
        until(lambda: delivered(kafka).count(("andon.source.silent", "it")) >= 2)
    finally:
        plant.stop()
        other.stop()
    episodes: dict[str, list[str]] = {}
    for event in told(kafka).values():
        episodes.setdefault(event.id.rpartition("-")[0], []).append(event.labels["state"])
    assert ["raise", "clear"] in episodes.values()
    assert all(states in (["raise"], ["raise", "clear"]) for states in episodes.values())
    ours = {(kind, who) for kind, who in delivered(kafka) if kind.startswith("andon.")}
    assert ours == {("andon.source.silent", "it"), ("andon.source.heard", "it")}


def test_what_was_told_of_a_source_ends_also_when_nothing_was_expected_any_more_at_the_start_of_the_doors(
    own_kafka: Kafka,
) -> None:
    doors = Doors(None)
    door = Expectations(doors.topic, SystemClock())
    door.follow(doors.published, {})
    producer = TransactionalProducer(own_kafka.connection, "silence-writer")
    producer.start()
    producer.commit([lost_record(Key("event", "mes"), Lost(0.0, 60.0))])
    producer.close()

    async def main() -> None:
        doors.topic.doors.append(door)
        keeping = asyncio.create_task(keep(door, own_kafka.connection))
        try:
            await come(lambda: asyncio.sleep(0, bool(doors.topic.events)))
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])

    asyncio.run(main())
    assert [event.type for event in doors.topic.events] == ["andon.source.unwatched"]


def test_the_mark_of_a_transaction_is_nothing_to_read(kafka: Kafka) -> None:
    topic = kafka.topic("marked")
    producer = TransactionalProducer(kafka.connection, f"{topic}-writer")
    producer.start()
    producer.commit([Outgoing(topic, b"k", b"{}")])
    producer.close()
    works, home = Works(kafka.connection), Home(topic, 0)
    until(lambda: kafka.cluster.ends([topic], decided=True) == {home: 2})
    assert works._records({home: _Stand(0, 2, 0.0)})
    assert not works._records({home: _Stand(1, 2, 0.0)})
    works.close()


def test_a_feed_knows_whether_its_cluster_answers(kafka: Kafka, own_kafka: Kafka) -> None:
    topic = own_kafka.topic("alarms")
    service = own_kafka.service(topic, name="source-lake")

    async def main() -> None:
        failed: list[BaseException] = []
        feeds = Feeds(kafka.connection, SystemClock(), Metrics(), None, 0, failed.append)
        config = KafkaSource.Config(topic=topic, bootstrap=own_kafka.bootstrap)
        await feeds.take({service: (Feed("lake", config), reading("lake", topic))}, 500, 1)
        stands = feeds.links()["lake"]
        await come(stands)
        own_kafka.freeze()
        try:
            assert not await stands()
        finally:
            own_kafka.thaw()
        await come(stands)
        await feeds.close()
        assert not await stands()
        assert (feeds.links(), failed) == ({}, [])

    asyncio.run(main())
