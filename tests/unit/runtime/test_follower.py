"""What a service that gets no configuration says: that there is none only when the topic was read."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Record
from andon.runtime import follower
from andon.runtime.follower import Follower


class Reader:
    """Of a topic without records, which is at its end or cannot be read."""

    def __init__(self, poll: Callable[[], list[Record]], *, at_end: bool) -> None:
        self.at_end = at_end
        self._poll = poll

    def poll(self) -> list[Record]:
        threading.Event().wait(0.01)
        return self._poll()

    def close(self) -> None:
        pass


def refused() -> list[Record]:
    raise KafkaFailure("andon.config cannot be read: Broker: Topic authorization failed")


@pytest.mark.parametrize(
    ("poll", "at_end", "told"),
    [
        (list, True, r"^no configuration is published; run `andon apply`"),
        (refused, False, r"^andon\.config cannot be read: Broker: Topic authorization failed$"),
        (list, False, r"^andon\.config at kafka-1:9092 could not be read to its end in time$"),
    ],
)
def test_a_service_without_a_configuration_says_why(
    poll: Callable[[], list[Record]], told: str, monkeypatch: pytest.MonkeyPatch, *, at_end: bool
) -> None:
    monkeypatch.setattr(follower, "TopicReader", lambda *_, **__: Reader(poll, at_end=at_end))

    async def main() -> None:
        one = Follower(Connection("kafka-1:9092"))
        try:
            with pytest.raises(KafkaFailure, match=told):
                await one.first(0.3)
        finally:
            await asyncio.to_thread(one.close)

    asyncio.run(main())


def test_what_keeps_it_from_reading_is_said_once_until_it_reads_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was a line a second in each process, for as long as a right was missing."""
    readers = iter([Reader(list, at_end=True), *(Reader(refused, at_end=False) for _ in range(8))])
    last = threading.Event()

    def goes_on() -> list[Record]:
        last.set()
        return []

    def made(*_: object, **__: object) -> Reader:
        return next(readers, Reader(goes_on, at_end=True))

    monkeypatch.setattr(follower, "TopicReader", made)
    monkeypatch.setattr(follower, "_AGAIN_S", 0.001)

    async def main() -> None:
        one = Follower(Connection("kafka-1:9092"))
        try:
            assert await asyncio.to_thread(last.wait, 10)
        finally:
            await asyncio.to_thread(one.close)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert len(caplog.records) == 1
