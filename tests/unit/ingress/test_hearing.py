"""What a door asks the log before it expects anything: a topic that is not listed yet is not one that says nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from andon.core.event import Home
from andon.ingress.expected import hearing
from andon.ingress.expected.signs import Key, Lost, lost_record
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Record
from andon.kafka.topics import SOURCES
from andon.runtime import compacted

LOST = lost_record(Key("event", "mes"), Lost(1.0, 2.0))


class Late:
    """A broker that lists the topic when it is asked for the third time."""

    asked = 0

    def __init__(self, _link: Connection) -> None:
        pass

    def ends(self, _topics: list[str], *, earliest: bool) -> dict[Home, int]:
        assert earliest
        Late.asked += 1
        return {Home(SOURCES, 0): 0} if Late.asked > 2 else {}


class Reader:
    def __init__(self, _link: Connection, starts: Mapping[Home, int]) -> None:
        self._starts = starts

    def until_end(self, _within_s: float) -> Iterator[Record]:
        for home in self._starts:
            yield Record(home.topic, home.partition, 0, 0, LOST.key, LOST.value or b"")

    def close(self) -> None:
        pass


def test_who_was_told_of_before_is_known_once_the_topic_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacted, "Cluster", Late)
    monkeypatch.setattr(hearing, "TopicReader", Reader)
    monkeypatch.setattr(hearing, "_AGAIN_S", 0.001)
    asyncio.run(asyncio.wait_for(hearing._told_before(Connection("b")), 10))
    assert Late.asked == 3


def test_who_expects_something_does_not_wait_for_the_topic_and_its_end_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away, asked = threading.Event(), threading.Event()

    def silent(_link: Connection, _topic: str) -> dict[Home, int]:
        asked.set()
        away.wait(30)
        raise KafkaFailure("no broker")

    async def told_at_once() -> None:
        await asyncio.to_thread(asked.wait, 10)

    async def main() -> float:
        began = asyncio.get_running_loop().time()
        await hearing._either(told_at_once(), hearing._told_before(Connection("b")))
        return asyncio.get_running_loop().time() - began

    monkeypatch.setattr(hearing, "beginnings", silent)
    began = time.monotonic()
    try:
        assert asyncio.run(main()) < 10
        assert time.monotonic() - began < 15
    finally:
        away.set()
