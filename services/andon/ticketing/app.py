"""Wires the ticketing service."""

from __future__ import annotations

from pathlib import Path

from andon.config.published import Published
from andon.core.ports import Context, Wire
from andon.kafka.topics import ENRICHED
from andon.runtime.desk.runner import DeskRunner, DeskSettings
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.tracing import traced_work
from andon.store.desk import SqlDeskStore
from andon.ticketing.desk import Systems, TicketWork, compiled
from andon.web.wire import site_wire

GROUP = "andon.ticket_systems"


def systems_of(published: Published, host: Host, registry: Registry, wire: Wire) -> Systems:
    """Every ticket system of the configuration, built."""
    systems, domains = {}, {}
    for name, plug in published.settings.ticket_systems.items():
        config = registry.config(GROUP, plug)
        domains[name] = getattr(config, "limit_domain", lambda name=name: name)()
        systems[name] = registry.build(GROUP, plug, Context(name, Path(published.directory), host.clock, wire))
    return Systems(compiled(published.settings.episodes), systems, domains, published.settings.parallel())


async def run(host: Host) -> None:
    """Runs ticketing until the host stops."""
    registry, settings = Registry(), host.published.settings
    wire = site_wire(host.published.settings)
    work = TicketWork(systems_of(host.published, host, registry, wire), host.metrics, host.clock)

    async def changed(published: Published) -> None:
        nonlocal wire
        fresh = site_wire(published.settings)
        systems = systems_of(published, host, registry, fresh)
        old, before = work.systems, wire
        work.systems, wire = systems, fresh
        await old.close()
        await before.close()

    bounds = DeskSettings.of("ticketing", ENRICHED, host.slot, settings.limits)
    store = SqlDeskStore(host.store_url, "ticketing")
    told = traced_work(work, host.spans, host.clock, "ticketing")
    runner = DeskRunner(bounds, told, store, host.connection, host.clock, host.metrics)
    host.ready_when(lambda: runner.ready)
    host.on_change(changed)
    try:
        await runner.run(host.stop)
    finally:
        await work.systems.close()
        await wire.close()
