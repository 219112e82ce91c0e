"""Events at a steady rate that does not wait for anybody: a slow system cannot hide its slowness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from andon.core.event import Event
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS


async def appended(link: Connection, events: Sequence[Event], rate: float) -> dict[str, float]:
    """Appends the events to `andon.events`, `rate` a second, and tells when each was due, by its id."""
    publisher = Publisher(link, "bench-load")
    publisher.start()
    began = time.time() + 0.2
    due = {one.id: began + number / rate for number, one in enumerate(events)}
    tasks: list[asyncio.Task[Sequence[object]]] = []
    for one in events:
        if (wait := due[one.id] - time.time()) > 0:
            await asyncio.sleep(wait)
        record = Outgoing(EVENTS, one.subject.encode(), encode(one))
        tasks.append(asyncio.create_task(publisher.append([record])))
    await asyncio.gather(*tasks)
    await asyncio.to_thread(publisher.close)
    return due
