"""How a door's expectations learn what there is to know: what it accepts, and what the doors tell each other."""

from __future__ import annotations

import asyncio

from andon.ingress.acceptance import DoorMetrics
from andon.ingress.expected.expectations import Expectations
from andon.kafka.connection import Connection
from andon.kafka.topics import SOURCES
from andon.runtime.compacted import Compacted


class Hearing:
    """Counts what the door takes and leaves out, and tells the expectations whose events the log has."""

    def __init__(self, metrics: DoorMetrics, expectations: Expectations) -> None:
        self._metrics = metrics
        self._expectations = expectations

    def accepted(self, source: str, count: int, /) -> None:
        self._metrics.accepted(source, count)
        self._expectations.heard(source)

    def left_out(self, source: str, count: int, /) -> None:
        self._metrics.left_out(source, count)


async def keep(expectations: Expectations, link: Connection) -> None:
    """Does a door's part from when something is expected on, until it is cancelled. Without that no topic is read."""
    await expectations.wanted()
    loop = asyncio.get_running_loop()

    def take(key: bytes | None, value: bytes) -> None:
        loop.call_soon_threadsafe(expectations.take, key, value)

    def read() -> None:
        loop.call_soon_threadsafe(expectations.read)

    topic = Compacted(link, SOURCES, take, read)
    try:
        await expectations.run()
    finally:
        await asyncio.to_thread(topic.close)
