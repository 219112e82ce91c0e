"""Wires the egress service."""

from __future__ import annotations

from andon.config.published import Published
from andon.config.settings import proxy_of
from andon.core.ports import Way
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.kafka.topics import DELIVERIES
from andon.runtime.desk.runner import DeskRunner, DeskSettings
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.tracing import traced_work
from andon.store.desk import SqlDeskStore
from andon.web.wire import HttpWire


async def run(host: Host) -> None:
    """Runs egress until the host stops."""
    registry, settings = Registry(), host.published.settings
    wire = HttpWire(Way(proxy=proxy_of(settings.site.proxy)))
    store = SqlDeskStore(host.store_url, "egress")
    given = (registry, wire, host.clock, host.connection, store.vault())
    work = EgressWork(Receivers(host.published, *given), host.metrics)

    async def changed(published: Published) -> None:
        old, work.receivers = work.receivers, Receivers(published, *given)
        await old.close()

    bounds = DeskSettings(
        service="egress",
        topic=DELIVERIES,
        slot=host.slot,
        window=settings.limits.window,
        backlog=settings.limits.backlog,
        room=settings.limits.in_flight,
    )
    told = traced_work(work, host.spans, host.clock, "egress")
    runner = DeskRunner(bounds, told, store, host.connection, host.clock, host.metrics)
    host.ready_when(lambda: runner.assigned)
    host.on_change(changed)
    try:
        await runner.run(host.stop)
    finally:
        await work.receivers.close()
        await wire.close()
