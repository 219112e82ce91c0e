"""The sign of life goes out while the whole works, and only then; who reads the logs does not learn where to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from andon.config.settings import Settings
from andon.core.event import Position
from andon.core.ports import Proxy, Way
from andon.ingress.heartbeat import Pulse
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import SOURCES
from andon.testing.clock import ManualClock
from andon.testing.vendor import FakeVendor, answers, resets
from andon.web.wire import HttpWire

SECRET = "ping/5f1c-secret"


def settings(
    every: str | None = "1m", proxy: str | None = None, url: str = "env:HEARTBEAT_URL", **more: Any
) -> Settings:
    beat = {"url": url, "every": every, **({"proxy": proxy} if proxy else {})}
    watch = {"heartbeat": beat} if every else {}
    return Settings.model_validate({"version": 1, "route": {"receiver": "it"}, "watch": watch, **more})


class World:
    """What a door sees: itself, Kafka, and the services behind."""

    def __init__(self) -> None:
        self.ready = True
        self.fate: Position | str = Position(SOURCES, 0, 0)
        self.wrong: str | KafkaFailure | None = None
        self.asked: list[list[str]] = []
        self.counted: list[str] = []
        self.ways: list[Way] = []
        self.written: list[Outgoing] = []
        self.clock = ManualClock()
        self.pulse = Pulse(self, lambda: self, lambda: self.ready, self.clock, self.counted.append, wire=self.wire)

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Position | str]:
        self.written += records
        return [self.fate] * len(records)

    def problem(self, services: Sequence[str], _now: float, /) -> str | None:
        self.asked.append(list(services))
        if isinstance(self.wrong, KafkaFailure):
            raise self.wrong
        return self.wrong

    def wire(self, way: Way) -> HttpWire:
        self.ways.append(way)
        return HttpWire(way)


def test_it_is_sent_while_all_is_well_and_withheld_otherwise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with FakeVendor(answers(200, b"OK")) as monitor:
            monkeypatch.setenv("HEARTBEAT_URL", f"{monitor.url}/{SECRET}")
            world = World()
            await world.pulse.follow(settings())
            await world.pulse.beat()
            assert [(one.method, one.target) for one in monitor.heard] == [("GET", f"/{SECRET}")]
            assert [(one.topic, one.value) for one in world.written] == [(SOURCES, None)]
            assert world.asked == [["enrichment", "routing", "egress"]]
            world.wrong = "routing does not move"
            await world.pulse.beat()
            world.wrong = KafkaFailure("the cluster does not answer")
            await world.pulse.beat()
            world.wrong, world.fate = None, "timed out"
            await world.pulse.beat()
            world.fate, world.ready = Position(SOURCES, 0, 1), False
            await world.pulse.beat()
            assert len(monitor.heard) == 1
            world.ready = True
            await world.pulse.beat()
            assert len(monitor.heard) == 2
            assert world.counted == ["sent", "withheld", "withheld", "withheld", "withheld", "sent"]
            await world.pulse.close()

    caplog.set_level(logging.INFO)
    asyncio.run(main())
    said = [record.__dict__.get("problem") for record in caplog.records]
    assert said == [
        "routing does not move",
        "the cluster does not answer",
        "Kafka takes no record (timed out)",
        "this door is not ready",
        None,
    ]


@pytest.mark.parametrize("kind", ["refuses", "moves", "resets", "is away", "no address", "not set"])
def test_a_monitor_that_was_not_reached_is_told_without_its_address(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with FakeVendor(answers(404)) as monitor:
            url = f"{monitor.url}/{SECRET}"
            if kind == "moves":
                monitor.behave = answers(302, headers={"Location": url})
            elif kind == "resets":
                monitor.behave = resets()
            elif kind == "is away":
                await monitor.stop()
            if kind != "not set":
                monkeypatch.setenv("HEARTBEAT_URL", SECRET if kind == "no address" else url)
            world = World()
            await world.pulse.follow(settings())
            await world.pulse.beat()
            await world.pulse.beat()
            assert world.counted == ["failed", "failed"]
            await world.pulse.close()

    monkeypatch.delenv("HEARTBEAT_URL", raising=False)
    caplog.set_level(logging.DEBUG, "andon")
    asyncio.run(main())
    (said,) = (record for record in caplog.records if record.name.startswith("andon"))
    text = repr(said.__dict__)
    assert "secret" not in text.replace("HEARTBEAT_URL", "")
    assert "127.0.0.1" not in text
    wanted = {"refuses": "404", "moves": "302", "not set": "HEARTBEAT_URL is not set"}
    assert wanted.get(kind, "the monitor was not reached") in said.__dict__["problem"]


def test_it_goes_by_the_sites_proxy_unless_told_otherwise() -> None:
    async def main() -> list[Proxy | None]:
        world = World()
        site = {"proxy": "http://10.0.8.3:3128"}
        for proxy in (None, "none", "http://10.0.8.4:80"):
            await world.pulse.follow(settings(proxy=proxy, site=site))
        await world.pulse.follow(settings(every=None))
        return [way.proxy for way in world.ways]

    assert asyncio.run(main()) == [Proxy("10.0.8.3", 3128), None, Proxy("10.0.8.4", 80)]


def test_it_is_sent_as_often_as_it_is_wanted_and_not_at_all_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with FakeVendor(answers(204)) as monitor:
            monkeypatch.setenv("HEARTBEAT_URL", f"{monitor.url}/{SECRET}")
            world = World()
            episodes = {"fault": {"key": ["subject"]}}
            await world.pulse.follow(settings(every=None))
            work = asyncio.create_task(world.pulse.run())
            await asyncio.sleep(0)
            assert (world.counted, world.clock.sleepers) == ([], 0)
            await world.pulse.follow(settings("30s", episodes=episodes))
            for count in (1, 2, 3):
                async with asyncio.timeout(10):
                    while world.clock.sleepers == 0:  # noqa: ASYNC110 - the clock has no event for it
                        await asyncio.sleep(0.01)
                assert len(monitor.heard) == count
                world.clock.advance(29)
                assert world.clock.sleepers == 1
                world.clock.advance(1)
            assert world.asked[-1] == ["enrichment", "routing", "egress", "ticketing"]
            work.cancel()
            await world.pulse.close()

    asyncio.run(main())


def test_what_is_new_of_it_holds_at_once_and_a_version_without_anything_new_makes_it_no_more_frequent() -> None:
    async def main() -> None:
        world = World()
        world.ready = False
        work = asyncio.create_task(world.pulse.run())

        async def beats(later: float, *versions: Settings) -> int:
            """How many come of these versions, and of some time after them."""
            before = len(world.counted)
            for version in versions:
                await world.pulse.follow(version)
                await turns()
            world.clock.advance(later)
            await turns()
            return len(world.counted) - before

        async def turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        assert await beats(0, settings("6h")) == 1
        assert await beats(3_600, settings("6h"), settings("6h", episodes={"fault": {"key": ["subject"]}})) == 0
        assert await beats(0, settings("1m")) == 1
        assert [await beats(59), await beats(1)] == [0, 1]
        assert await beats(0, settings("1m", url="env:MENDED_URL")) == 1
        assert await beats(0, settings("1m", url="env:MENDED_URL", site={"proxy": "http://10.0.8.3:3128"})) == 1
        assert await beats(3_600, settings(None)) == 0
        assert await beats(0, settings("6h")) == 1
        assert await beats(6 * 3_600) == 1
        work.cancel()
        await world.pulse.close()

    asyncio.run(main())
