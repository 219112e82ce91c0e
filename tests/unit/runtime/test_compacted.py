"""A topic that is followed: read from its beginning, however late it comes to be there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from andon.core.event import Home
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Record
from andon.kafka.topics import SOURCES
from andon.runtime import compacted
from andon.runtime.compacted import Compacted

HOME = Home(SOURCES, 0)


class Broker:
    """Lists the topic once it was asked for it `late` times. Stands for Cluster and TopicReader."""

    def __init__(self, late: int, refuse: int = 0) -> None:
        self.late = late
        self.refuse = refuse
        self.asked = 0

    def ends(self, _topics: list[str], *, earliest: bool) -> dict[Home, int]:
        assert earliest
        self.asked += 1
        if self.asked <= self.refuse:
            raise KafkaFailure("the cluster does not answer")
        return {HOME: 0} if self.asked > self.late else {}


class Reader:
    def __init__(self, _link: Connection, starts: Mapping[Home, int], *, patient: bool) -> None:
        self._records = [] if patient else [Record(SOURCES, 0, 0, 0, b"mes", b"silent")]
        self._patient = patient
        self._starts = starts

    @property
    def at_end(self) -> bool:
        return not (self._starts and self._records)

    def poll(self) -> list[Record]:
        taken, self._records = self._records, []
        if self._patient:
            threading.Event().wait(0.01)
        return taken

    def close(self) -> None:
        pass


Follow = Callable[[Broker], list[str]]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    open_: list[Compacted] = []

    def made(broker: Broker) -> list[str]:
        """What is told until everything was read."""
        monkeypatch.setattr(compacted, "Cluster", lambda _link: broker)
        monkeypatch.setattr(compacted, "TopicReader", Reader)
        monkeypatch.setattr(compacted, "_AGAIN_S", 0.001)
        told: list[str] = []
        ready = threading.Event()

        def read() -> None:
            told.append("read")
            ready.set()

        open_.append(Compacted(Connection("b"), SOURCES, lambda _key, value: told.append(value.decode()), read))
        assert ready.wait(10)
        return told

    yield made
    for one in open_:
        one.close()


def test_a_topic_that_is_not_listed_yet_is_waited_for_and_read(
    follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(late=20)
    with caplog.at_level(logging.WARNING):
        assert follow(broker) == ["silent", "read"]
    assert broker.asked == 21
    assert [one.__dict__["problem"] for one in caplog.records] == [f"{SOURCES} is not there yet"]


def test_each_kind_of_trouble_is_said_once(follow: Follow, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert follow(Broker(late=10, refuse=5)) == ["silent", "read"]
    assert len(caplog.records) == 2
