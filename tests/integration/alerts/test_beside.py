"""On a real Kafka: what a source beside another path leaves is reported, and what is open is read by the door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon import broker
from andon.cli.commands.check import checked
from andon.cli.main import main
from andon.core.event import Event
from andon.ingress.muting.active import open_episodes
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing, Record
from andon.kafka.topics import ACTIVE, DELIVERIES, ENRICHED, EVENTS
from andon.routing.published import router_of
from andon.routing.router import RoutingStage
from andon.runtime.answers import Answering
from andon.runtime.bootstrap import prepare
from andon.runtime.clock import SystemClock
from andon.runtime.follower import read_board
from andon.runtime.registry import Registry
from tests.component.ingress.test_door_silences import opened
from tests.rig.ports import free_port

pytestmark = pytest.mark.long

CONFIG = """
version: 1
site: {zone: Asia/Shanghai}
kafka: {bootstrap: embedded, partitions: 3}
sources: {monitoring: {kind: alertmanager, token: env:AM, parallel: true}}
channels: {robot: {kind: wecom_robot, keys: [env:R]}}
receivers: {group: {channel: robot}}
route: {receiver: group}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Connection]]:
    folder = tmp_path_factory.mktemp("beside")
    (folder / "andon.yaml").write_text(CONFIG, encoding="utf-8")
    link = Connection(broker.start(folder / "kafka", port=free_port(), tie_to_parent=True).bootstrap)
    try:
        asyncio.run(prepare(checked(folder), link.bootstrap))
        yield folder, link
    finally:
        broker.stop(folder / "kafka")


def written(link: Connection, work: Callable[[Publisher], asyncio.Future[None]]) -> None:
    async def run() -> None:
        publisher = Publisher(link, "beside")
        publisher.start()
        await work(publisher)
        await asyncio.to_thread(publisher.close)

    asyncio.run(run())


def test_a_week_beside_the_old_path_is_reported(
    node: tuple[Path, Connection], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, link = node
    published = read_board(link).newest
    assert published
    stage = RoutingStage(router_of(published, Registry()))
    answering = Answering(lambda: stage, DELIVERIES, lambda out: out.domain, SystemClock(), lambda: 1)
    outputs: list[str] = []

    async def work(publisher: Publisher) -> None:
        for number, name in enumerate(("Hot", "Hot", "Down")):
            at = datetime.now(UTC)
            labels = {"alertname": name, "instance": f"m{number}", "state": "raise"}
            event = Event(f"e-{number}", "monitoring", "prometheus.alert", f"m{number}", at, {}, labels)
            key, value = event.subject.encode(), encode(event)
            await publisher.append([Outgoing(EVENTS, key, value)])
            (answer,) = await answering.answers([Record(ENRICHED, 0, number, 0, key, value)])
            outputs.extend(one.topic for one in answer.outgoing)
            await publisher.append(answer.outgoing)

    written(link, work)  # type: ignore[arg-type]
    assert outputs == ["andon.outcomes"] * 3, "nothing is handed on to be told"
    old = folder / "old.csv"
    now = datetime.now(UTC).isoformat()
    old.write_text(f"time,alertname,instance,state\n{now},Hot,m0,firing\n{now},Ghost,m0,firing\n", encoding="utf-8")
    common = ["--config", str(folder), "--data", str(folder), "--bootstrap", link.bootstrap]
    assert main(["parallel", "report", "--since", "1h", "--old", str(old), "--json", *common]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["taken"], told["told"], told["receivers"], told["open"]) == (3, 3, {"group": 3}, 0)
    assert (told["old"]["told"], told["old"]["lost"], told["old"]["unknown"]) == (1, 2, 1)
    assert {one["event"] for one in told["old"]["lost_cases"]} == {"e-1", "e-2"}
    assert main(["parallel", "report", "--since", "1h", "--old", str(old), *common]) == 0
    out = capsys.readouterr().out
    assert "it lost     2 events that somebody would have heard of here" in out
    assert "Ghost" in out
    assert main(["parallel", "report", "--since", "1h", "--until", "2h", *common]) == 2


def test_the_door_reads_what_is_open(node: tuple[Path, Connection]) -> None:
    _, link = node

    async def work(publisher: Publisher) -> None:
        for value in (encode(opened("Hot")), None, encode(opened("Hot", severity="major"))):
            await publisher.append([Outgoing(ACTIVE, b"Hot", value)])
        await publisher.append([Outgoing(ACTIVE, b"Down", encode(opened("Down"))), Outgoing(ACTIVE, b"Down", None)])

    written(link, work)  # type: ignore[arg-type]
    assert [one.labels for one in open_episodes(link)] == [{"alertname": "Hot", "state": "raise", "severity": "major"}]
