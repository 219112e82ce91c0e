"""What every service process has: configuration, connection, clock, metrics, health, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from andon.config.kafka import Kafka
from andon.config.published import Published
from andon.core.ports import Clock
from andon.core.work import StoreFailure
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection, connection
from andon.runtime.clock import SystemClock
from andon.runtime.follower import Follower
from andon.runtime.health import HealthPort
from andon.runtime.interpreter import tune
from andon.runtime.metrics import Metrics
from andon.runtime.tracing import Spans, spans_of

log = logging.getLogger(__name__)

_WAIT_S = 60.0
_INTERRUPTED = 130  # the exit code of every command of ours that ends so


class Options(msgspec.Struct, frozen=True):
    """How a service process was started."""

    service: str
    kafka: Kafka
    bootstrap: str | None
    data: Path
    slot: int = 0
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 0
    listen: str | None = None


class Host:
    """One service process. `published` is the configuration in force, replaced as new versions are published."""

    def __init__(self, options: Options, link: Connection, published: Published, clock: Clock) -> None:
        self.options = options
        self.slot = options.slot
        self.connection = link
        self.published = published
        self.clock = clock
        self.metrics = Metrics()
        self.metrics.refresh(lambda: self.metrics.config_version.labels(options.service).set(self.published.version))
        self.spans: Spans | None = None
        self.stop = asyncio.Event()
        self._ready: Callable[[], bool] = lambda: False
        self._changed: Callable[[Published], Awaitable[None]] | None = None
        self._registered = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def store_url(self) -> str:
        """The database the desks keep their work in. Raises SecretMissing, and StoreFailure for SQLite on several
        hosts: the check of the file cannot always see what an `env:` names."""
        store = self.published.settings.store
        url = store.address() or f"sqlite:///{self.options.data.absolute() / 'store'}"
        if store.hosts > 1 and url.startswith("sqlite:"):
            raise StoreFailure(f"SQLite serves one host, and store.hosts is {store.hosts}: set store.url to PostgreSQL")
        return url

    def ready_when(self, ready: Callable[[], bool]) -> None:
        """Tells what /readyz answers."""
        self._ready = ready

    def ready(self) -> bool:
        return not self.stop.is_set() and self._ready()

    def on_change(self, changed: Callable[[Published], Awaitable[None]]) -> None:
        """Called for each later version, one after the other; one that it refuses changes nothing."""
        self._changed = changed
        self._registered.set()

    async def take(self, published: Published) -> None:
        """Brings a version into force, after the earlier ones and once the service can take it."""
        async with self._turn:
            await self._registered.wait()
            assert self._changed is not None  # noqa: S101 - what the event says
            try:
                await self._changed(published)
            except Exception:
                log.exception(
                    "the new configuration is refused, the old one stays", extra={"version": published.version}
                )
            else:
                self.published = published
                log.info("configuration in force", extra={"version": published.version})


Run = Callable[[Host], Awaitable[None]]


async def serve(options: Options, load: Callable[[], Run]) -> None:
    """Runs the service that `load` imports, until SIGTERM or SIGINT.

    Raises KafkaFailure or StoreFailure when it cannot go on (law L4).
    """
    loop = asyncio.get_running_loop()
    # Nothing has begun yet that would have to end, and a thread that waits for Kafka cannot be told to. Left to the
    # system, SIGTERM would be ignored by the first process of a pod, and SIGINT would wait for that thread.
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, _INTERRUPTED)):
        loop.add_signal_handler(number, os._exit, code)
    link = connection(options.kafka, options.bootstrap)
    follower = Follower(link)
    changes: set[asyncio.Task[None]] = set()
    try:
        run = load()  # while the follower's thread waits for the broker: either takes half a second
        tune()
        cluster = Cluster(link)
        await asyncio.to_thread(cluster.wait, _WAIT_S)
        await asyncio.to_thread(link.formats.settle)
        published = await follower.first()
        follower.require(await asyncio.to_thread(cluster.partitions))
        host = Host(options, link, published, SystemClock())
        host.spans = spans_of(published.settings.otel, options.service, options.slot)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, host.stop.set)

        def changed(newer: Published) -> None:
            task = loop.create_task(host.take(newer))
            changes.add(task)
            task.add_done_callback(changes.discard)

        follower.then(changed, host.stop.set)
        health = HealthPort(host.metrics, host.ready)
        await health.open(options.metrics_address, options.metrics_port)
        try:
            await run(host)
            follower.require_still()
        finally:
            await health.close()
            if host.spans:
                await asyncio.to_thread(host.spans.close)
    finally:
        await asyncio.to_thread(follower.close)
