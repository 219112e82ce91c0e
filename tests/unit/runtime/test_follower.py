"""What a service that gets no configuration says: that there is none only when the topic was read."""

from __future__ import annotations

import asyncio
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
