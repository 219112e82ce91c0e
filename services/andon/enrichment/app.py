"""Wires the enrichment service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from andon.config.addresses import ProxyUrl
from andon.config.plugs import Plug
from andon.config.proxies import Proxy
from andon.config.published import Published
from andon.core.event import Event
from andon.core.ports import Clock, Context
from andon.enrichment.cache import CachedConnector
from andon.enrichment.config import ConnectorConfig
from andon.enrichment.stage import EnrichmentStage
from andon.kafka.topics import ENRICHED, EVENTS
from andon.runtime.host import Host
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.runtime.stage import StageRunner, StageSettings
from andon.runtime.tracing import traced_stage
from andon.web.wire import HttpWire, site_wire

GROUP = "andon.connectors"

# The door writes events one by one: each would be a fetch of its own, a fifth of all that Kafka is asked. A fetch that
# finds nothing costs as much, 13 % of a core of an idle system at one in 10 ms. The wait passes while the stage rests.
_FETCH = {"fetch.min.bytes": 65_536, "fetch.wait.max.ms": 25}


class Served(msgspec.Struct, frozen=True):
    """A connector at work and the wire it asks over, with all that both were made of."""

    made_of: tuple[Plug, str, ProxyUrl | Proxy | None]
    connector: CachedConnector
    wire: HttpWire

    async def close(self) -> None:
        await self.connector.close()
        await self.wire.close()


class Enrichment:
    """The stage of the configuration in force, with the connectors it asks.

    A connector that would be made of the same as in the version `before` goes on as it is: with its answers, its
    breaker and the calls under way.
    """

    def __init__(self, published: Published, registry: Registry, clock: Clock, before: Mapping[str, Served]) -> None:
        settings = published.settings
        self.served: dict[str, Served] = {}
        for name, plug in settings.connectors.items():
            made_of = plug, published.directory, settings.site.proxy
            served = before.get(name)
            if served is None or served.made_of != made_of:
                wire = site_wire(settings)
                config = cast("ConnectorConfig", registry.config(GROUP, plug))
                connector = registry.build(GROUP, plug, Context(name, Path(published.directory), clock, wire))
                served = Served(made_of, CachedConnector(name, connector, clock, config.policy()), wire)
            self.served[name] = served
        self.stage = EnrichmentStage(settings.enrich, self._connectors())

    def _connectors(self) -> dict[str, CachedConnector]:
        return {name: served.connector for name, served in self.served.items()}

    def gone(self, after: Enrichment) -> list[Served]:
        """What a later version does not go on with."""
        return [served for name, served in self.served.items() if after.served.get(name) is not served]

    def gauge(self, metrics: Metrics) -> None:
        """Shows the breakers' states, and no more those of connectors that were removed."""
        metrics.breaker_state.clear()
        for name, connector in self._connectors().items():
            metrics.breaker_state.labels(name).set(connector.breaker.state)

    async def close(self) -> None:
        for served in self.served.values():
            await served.close()


async def run(host: Host) -> None:
    """Runs enrichment until the host stops."""
    registry, settings = Registry(), host.published.settings
    current = Enrichment(host.published, registry, host.clock, {})

    async def changed(published: Published) -> None:
        nonlocal current
        old, current = current, Enrichment(published, registry, host.clock, current.served)
        # A batch of the old stage may still be asking.
        retired.update(asyncio.create_task(_retire(served, host.clock)) for served in old.gone(current))

    runner: StageRunner[Event] = StageRunner(
        StageSettings("enrichment", EVENTS, ENRICHED, _subject, host.slot, settings.limits.window, consumer=_FETCH),
        lambda: traced_stage(current.stage, host.spans, host.clock, "enrich"),
        host.connection,
        host.clock,
        host.metrics,
        lambda: host.published.version,
    )
    retired: set[asyncio.Task[None]] = set()
    host.ready_when(lambda: runner.assigned)
    host.on_change(changed)
    host.metrics.refresh(lambda: current.gauge(host.metrics))
    try:
        await runner.run(host.stop)
    finally:
        for task in retired:
            task.cancel()
        await current.close()


async def _retire(served: Served, clock: Clock) -> None:
    await clock.sleep(30.0)
    await served.close()


def _subject(event: Event) -> str:
    return event.subject
