"""What waits is never counted higher than it is: a door that closes early turns away what there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest

from andon.core.advisory import open_items
from andon.core.event import Home
from andon.ingress.backlog import SETTLE_S, Backlog, Undecided
from andon.kafka.admin import Cluster
from andon.kafka.errors import KafkaFailure
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS
from andon.kafka.unread import Unread
from andon.runtime.metrics import Metrics
from andon.testing.clock import ManualClock

FULL = 1_000
Offsets = dict[Home, tuple[int, str]]


class FakeCluster:
    """One partition of each topic, and what the three groups have committed."""

    def __init__(self) -> None:
        self.end = {EVENTS: 0, ENRICHED: 0, DELIVERIES: 0}
        self.undecided = {EVENTS: 0, ENRICHED: 0, DELIVERIES: 0}
        self.egress, self.routing, self.enrichment = (0, ""), (0, ""), (0, "")
        self.asked: list[str] = []
        self.away = False

    def ends(self, topics: tuple[str, ...], *, decided: bool = False) -> dict[Home, int]:
        if self.away:
            raise KafkaFailure("away")
        if not decided:
            return {Home(topic, 0): self.end[topic] + self.undecided[topic] for topic in topics}
        self.asked.append("ends")
        return {Home(topic, 0): self.end[topic] for topic in topics}

    def offsets(self, service: str) -> Offsets:
        self.asked.append(service)
        homes = {"egress": DELIVERIES, "routing": ENRICHED, "enrichment": EVENTS}
        return {Home(homes[service], 0): getattr(self, service), Home("another", 0): (0, "open=5000")}


class FakeUnread:
    """Knows the gaps of every stretch beforehand."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.stretches: list[Mapping[Home, int]] = []

    def gaps(self, starts: Mapping[Home, int], ends: Mapping[Home, int], enough: int) -> int:
        assert enough == FULL
        assert all(ends[home] > start for home, start in starts.items())
        self.stretches.append(dict(starts))
        return sum(self.known.get(home.topic, 0) for home in starts)


class Scene:
    """A backlog on a manual clock."""

    def __init__(self) -> None:
        self.cluster, self.unread, self.clock = FakeCluster(), FakeUnread(), ManualClock()
        made = cast("Cluster", self.cluster), cast("Unread", self.unread)
        self.metrics = Metrics()
        self.backlog = Backlog(*made, FULL, self.clock, self.metrics)

    async def settled(self, reached: int) -> None:
        """Returns once so many questions were asked, and the backlog sleeps until the end of its reading."""
        for _ in range(1_000):
            if len(self.cluster.asked) >= reached and self.clock.sleepers:
                return
            await asyncio.sleep(0.002)
        raise AssertionError(self.cluster.asked)

    async def reading(self) -> int:
        """What the next reading says."""
        before = len(self.cluster.asked)
        self.clock.advance(SETTLE_S)
        await self.settled(before + 4)  # three services, and the ends of the reading after it
        return self.backlog.waiting


def play(scene: Scene, story: list[tuple[dict[str, int], dict[str, tuple[int, str]]]]) -> list[int]:
    """Readings: for each, the ends when it begins and the offsets when it ends."""

    async def main() -> list[int]:
        found = []
        scene.cluster.end.update(story[0][0])
        running = asyncio.create_task(scene.backlog.run())
        await scene.settled(1)
        for (_, offsets), (later, _) in zip(story, [*story[1:], story[-1]], strict=True):
            for service, standing in offsets.items():
                setattr(scene.cluster, service, standing)
            scene.cluster.end.update(later)
            found.append(await scene.reading())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return found

    return asyncio.run(main())


def test_an_event_is_counted_once_wherever_it_stands() -> None:
    scene = Scene()
    ends = {EVENTS: 100, ENRICHED: 90, DELIVERIES: 80}
    standing = {"enrichment": (95, ""), "routing": (70, ""), "egress": (60, "open=7")}
    assert play(scene, [(ends, standing)]) == [5 + 20 + 20 + 7]
    assert scene.cluster.asked[:4] == ["ends", "egress", "routing", "enrichment"], "downstream first"
    assert scene.unread.stretches == [], "far from full nothing is read"


def test_what_passes_through_in_less_than_a_second_does_not_wait() -> None:
    story = [({EVENTS: 5_000 * n}, {"enrichment": (5_000 * n, "")}) for n in range(1, 4)]
    assert play(Scene(), story) == [0, 0, 0]


def test_before_it_is_full_by_offsets_the_records_are_counted() -> None:
    scene = Scene()
    scene.unread.known = {ENRICHED: 300, DELIVERIES: 90}
    ends = {EVENTS: 10, ENRICHED: 600, DELIVERIES: 190}
    standing = {"enrichment": (10, ""), "routing": (0, ""), "egress": (0, "open=220")}
    assert play(scene, [(ends, standing), (ends | {DELIVERIES: 180}, {})]) == [620, 1_000 - 390]
    assert scene.unread.stretches == [{Home(ENRICHED, 0): 0, Home(DELIVERIES, 0): 0}] * 2


def test_that_the_backlog_is_not_known_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """An account that may not see the groups is refused each second, for as long as nobody mends it."""
    scene = Scene()
    scene.cluster.away = True

    async def main() -> None:
        running = asyncio.create_task(scene.backlog.run())
        for _ in range(90):
            await scene.settled(0)
            scene.clock.advance(SETTLE_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == ["the backlog is not known"] * 2


def test_while_kafka_does_not_answer_the_last_figure_stays() -> None:
    scene = Scene()

    async def main() -> None:
        scene.cluster.end[EVENTS] = 40
        running = asyncio.create_task(scene.backlog.run())
        await scene.settled(1)
        assert await scene.reading() == 40
        scene.cluster.away = True
        before = len(scene.cluster.asked)
        scene.clock.advance(SETTLE_S)
        await scene.settled(before + 3)
        await asyncio.sleep(0.05)
        scene.cluster.away = False
        assert scene.backlog.waiting == 40
        scene.cluster.end[EVENTS] = 50
        scene.clock.advance(SETTLE_S)
        await scene.settled(before + 4)
        assert await scene.reading() == 50
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize(("note", "items"), [("open=12", 12), ("", 0), ("open=", 0), ("open=-3", 0), ("other=9", 0)])
def test_a_note_says_how_much_is_open(note: str, items: int) -> None:
    assert open_items(note) == items


def held_up(scene: Scene, topic: str) -> float:
    """What the metric says."""
    found = scene.metrics.registry.get_sample_value("andon_undecided_seconds", {"topic": topic})
    assert found is not None
    return found


def test_a_transaction_that_nobody_ends_is_told_of_though_nothing_behind_it_is_lag() -> None:
    scene = Scene()

    async def main() -> None:
        scene.cluster.undecided[ENRICHED] = 3
        running = asyncio.create_task(scene.backlog.run())
        await scene.settled(1)
        for _ in range(20):
            assert await scene.reading() == 0
        await asyncio.sleep(0.05)
        assert 18 * SETTLE_S <= held_up(scene, ENRICHED) <= 20 * SETTLE_S
        assert held_up(scene, EVENTS) == 0
        scene.cluster.end[ENRICHED], scene.cluster.undecided[ENRICHED] = 4, 0
        await scene.reading()
        await scene.reading()
        await asyncio.sleep(0.05)
        assert held_up(scene, ENRICHED) == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_transactions_that_follow_each_other_hold_nobody_up() -> None:
    undecided, home = Undecided(), Home(EVENTS, 0)
    for second in range(30):
        told = undecided.seconds({home: 100 * second}, {home: 100 * second + 50}, float(second))
        assert told == {EVENTS: 0.0}


def test_the_longest_of_a_topics_partitions_counts() -> None:
    undecided, homes = Undecided(), [Home(EVENTS, n) for n in range(3)]
    for second, written in ((0.0, 2), (4.0, 2)):
        told = undecided.seconds(dict.fromkeys(homes, 1), {homes[0]: written, homes[1]: 1}, second)
    assert told == {EVENTS: 4.0}
