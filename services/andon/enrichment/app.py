"""Wires the enrichment service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from andon.config.published import Published
from andon.core.event import Event
from andon.core.ports import Context, Wire
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


class Enrichment:
    """The stage of the configuration in force, with the connectors it asks."""

    def __init__(self, published: Published, registry: Registry, wire: Wire, host: Host) -> None:
        self._connectors: dict[str, CachedConnector] = {}
        for name, plug in published.settings.connectors.items():
            config = cast("ConnectorConfig", registry.config(GROUP, plug))
            connector = registry.build(GROUP, plug, Context(name, Path(published.directory), host.clock, wire))
            self._connectors[name] = CachedConnector(name, connector, host.clock, config.policy())
        self.stage = EnrichmentStage(published.settings.enrich, self._connectors)

    def gauge(self, metrics: Metrics) -> None:
        """Shows the breakers' states."""
        for name, connector in self._connectors.items():
            metrics.breaker_state.labels(name).set(connector.breaker.state)

    async def close(self) -> None:
        for connector in self._connectors.values():
            await connector.close()


async def run(host: Host) -> None:
    """Runs enrichment until the host stops."""
    registry, settings = Registry(), host.published.settings
    wire = site_wire(host.published.settings)
    current = Enrichment(host.published, registry, wire, host)

    async def changed(published: Published) -> None:
        nonlocal current, wire
        fresh = site_wire(published.settings)
        new = Enrichment(published, registry, fresh, host)
        old, before = current, wire
        current, wire = new, fresh
        # A batch of the old stage may still be asking.
        retired.add(asyncio.create_task(_retire(old, before, host)))

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
        await wire.close()


async def _retire(old: Enrichment, wire: HttpWire, host: Host) -> None:
    await host.clock.sleep(30.0)
    await old.close()
    await wire.close()


def _subject(event: Event) -> str:
    return event.subject
