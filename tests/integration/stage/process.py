"""A stage process of its own: `python -m tests.integration.stage.process BOOTSTRAP SERVICE SOURCE SINK [DIE]`.

DIE names where it ends itself by SIGKILL: `produced` (outputs sent, offsets not), `offered` (offsets sent to the
transaction, not committed), `committed` (right after the commit). The stage lets everything pass.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from andon.core.event import Event
from andon.core.ports import Result
from andon.kafka import transactions
from andon.kafka.connection import Connection
from andon.runtime.clock import SystemClock
from andon.runtime.metrics import Metrics
from andon.runtime.stage import StageRunner, StageSettings

# So long that no busy machine explains it when a restarted process is back before the end of its former session.
SESSION_S, HEARTBEAT_S = 60.0, 0.5
SESSION = {"session.timeout.ms": int(1_000 * SESSION_S), "heartbeat.interval.ms": int(1_000 * HEARTBEAT_S)}


def dying(where: str) -> type[Producer]:
    """A producer that kills its process at one point of its first transaction."""

    class Dying(Producer):
        def send_offsets_to_transaction(self, *args: Any) -> None:
            if where == "produced":
                self.flush(10)
                _die()
            super().send_offsets_to_transaction(*args)
            if where == "offered":
                self.flush(10)
                _die()

        def commit_transaction(self, *args: Any) -> None:
            super().commit_transaction(*args)
            if where == "committed":
                _die()

    return Dying


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def passing(batch: Sequence[Event]) -> Sequence[Result[Event]]:
    return [Result((one,)) for one in batch]


def _subject(one: Event) -> str:
    return one.subject


async def main(bootstrap: str, service: str, source: str, sink: str) -> None:
    settings: StageSettings[Event] = StageSettings(service, source, sink, _subject, window=50, consumer=SESSION)
    runner: StageRunner[Event] = StageRunner(
        settings, lambda: passing, Connection(bootstrap), SystemClock(), Metrics(), lambda: 1
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await runner.run(stop)


if __name__ == "__main__":
    if len(sys.argv) > 5:
        transactions.Producer = dying(sys.argv[5])  # type: ignore[attr-defined]  # what it imported is replaced
    asyncio.run(main(*sys.argv[1:5]))
