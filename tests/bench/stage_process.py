"""Our routing stage, as the service runs it, on topics of the benchmark's own; until SIGTERM.

`SLOT` makes it one of several.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from andon.cli.check import checked
from andon.config.published import bundle, unbundle
from andon.core.delivery import Delivery
from andon.kafka.connection import Connection
from andon.routing.app import router_of
from andon.routing.router import RoutingStage
from andon.runtime.clock import SystemClock
from andon.runtime.interpreter import tune
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.runtime.stage import StageRunner, StageSettings


async def main(bootstrap: str, source: str, sink: str, service: str, config: str, slot: str = "0") -> None:
    published = unbundle(bundle(checked(Path(config)), 1, "bench", datetime.now(UTC)))
    stage = RoutingStage(router_of(published, Registry()))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings: StageSettings[Delivery] = StageSettings(
        service, source, sink, lambda delivery: delivery.domain, int(slot)
    )
    runner = StageRunner(settings, lambda: stage, Connection(bootstrap), SystemClock(), Metrics(), lambda: 1)
    tune()
    await runner.run(stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:7]))
