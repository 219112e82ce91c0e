"""How a door's expectations learn what there is to know: what it accepts, and what the doors tell each other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

from andon.ingress.acceptance import DoorMetrics
from andon.ingress.expected.expectations import Expectations
from andon.ingress.expected.signs import Signs
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.reader import TopicReader
from andon.kafka.topics import SOURCES
from andon.runtime.compacted import Compacted, beginnings
from andon.runtime.daemon import unawaited

log = logging.getLogger(__name__)

_READ_S = 600.0
_AGAIN_S = 1.0


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
    """Does a door's part, until it is cancelled, from when something is expected, or was told of a source before this
    door started and is to be ended. Without either the topic is looked at once."""
    await _either(expectations.wanted(), _told_before(link))
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


async def _either(*reasons: Coroutine[Any, Any, None]) -> None:
    """Returns when one of them does."""
    asked = [asyncio.create_task(reason) for reason in reasons]
    try:
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)


async def _told_before(link: Connection) -> None:
    """Returns if the topic says of a source that it is silent, or its connection lost, and never if it does not."""

    def look() -> bool:
        signs = Signs()
        with closing(TopicReader(link, beginnings(link, SOURCES))) as reader:
            for record in reader.until_end(_READ_S):
                signs.take(record.key, record.value)
        return bool(signs.lost)

    said = ""
    while True:
        try:
            # A door that ends meanwhile does not wait for it.
            if await unawaited("sources", look):
                return
            await asyncio.get_running_loop().create_future()
        except KafkaFailure as error:
            if said != str(error):
                said = str(error)
                log.warning("not read yet", extra={"topic": SOURCES, "problem": said})
            await asyncio.sleep(_AGAIN_S)
