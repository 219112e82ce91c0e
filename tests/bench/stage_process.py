"""Our routing stage, as the service runs it, on topics of the benchmark's own; until SIGTERM.

`slot` makes it one of several. With `avro` behind the other arguments it writes Avro; it reads both.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from andon.cli.commands.check import checked
from andon.config.published import bundle, published, unbundle
from andon.core.delivery import Delivery
from andon.kafka.connection import Connection
from andon.kafka.formats import Formats
from andon.kafka.index import Index
from andon.kafka.schemas import RECORDS
from andon.kafka.topics import DELIVERIES
from andon.routing.published import router_of
from andon.routing.router import RoutingStage
from andon.runtime.clock import SystemClock
from andon.runtime.interpreter import tune
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.runtime.stage import StageRunner, StageSettings


class _As(Index):
    """The index for a topic of the benchmark's own, which holds what `like` does."""

    like = ""

    def newest(self, topic: str) -> tuple[int, Any]:
        return super().newest(self.like)


def avro(bootstrap: str, topic: str, like: str) -> Connection:
    """A connection that writes the topic in Avro, as `like` would be."""
    index = _As()
    index.like = like
    formats = Formats({topic: RECORDS[like]}, index=index)
    formats.settle()
    return Connection(bootstrap, {}, formats)


async def main(
    bootstrap: str, source: str, sink: str, service: str, config: str, slot: str = "0", codec: str = "json"
) -> None:
    version = unbundle(bundle(published(checked(Path(config)), 1, "bench", datetime.now(UTC))))
    stage = RoutingStage(router_of(version, Registry()))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings: StageSettings[Delivery] = StageSettings(
        service, source, sink, lambda delivery: delivery.domain, int(slot)
    )
    link = Connection(bootstrap) if codec == "json" else avro(bootstrap, sink, DELIVERIES)
    runner = StageRunner(settings, lambda: stage, link, SystemClock(), Metrics(), lambda: 1)
    tune()
    await runner.run(stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
