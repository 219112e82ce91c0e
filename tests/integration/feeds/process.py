"""A feed in a process of its own: `python -m tests.integration.feeds.process BOOTSTRAP NAME TOPIC OTHER [DIE]`.

OTHER is the address of the topic's cluster, or `own`.
DIE names where it ends itself by SIGKILL, as in tests.integration.stage.process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from andon.core.ports import Context
from andon.ingress.feeds import Feeds, Reading
from andon.ingress.sources.kafka import KafkaSource
from andon.kafka import transactions
from andon.kafka.connection import Connection
from andon.runtime.clock import SystemClock
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from tests.integration.stage.process import dying


def reading(name: str, topic: str, largest: int = 1 << 20, **more: Any) -> Reading:
    """How the source of that name reads the topic."""
    clock = SystemClock()
    context = Context(name, Path(), clock, None)  # type: ignore[arg-type]  # nothing is called through it
    source = KafkaSource(KafkaSource.Config(topic=topic), context)
    return Reading(name, source, largest, more.get("full", lambda: False), clock)


async def main(bootstrap: str, name: str, topic: str, other: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    failed: list[BaseException] = []
    feeds = Feeds(Connection(bootstrap), SystemClock(), Metrics(), None, 0, failed.append)
    config = KafkaSource.Config(topic=topic, bootstrap=None if other == "own" else other)
    await feeds.take({name: (Feed(name, config), reading(name, topic))}, 50, 1)
    await stop.wait()
    await feeds.close()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    if len(sys.argv) > 5:
        transactions.Producer = dying(sys.argv[5])  # type: ignore[attr-defined]  # what it imported is replaced
    asyncio.run(main(*sys.argv[1:5]))
