"""Wires the egress service."""

from __future__ import annotations

import asyncio

from andon.config.published import Published
from andon.egress.desk import EgressWork
from andon.egress.inhibition import Causes
from andon.egress.quotas import QuotaWatch
from andon.egress.receivers import Receivers
from andon.kafka.topics import ACTIVE, DELIVERIES
from andon.runtime.compacted import Compacted
from andon.runtime.desk.runner import DeskRunner, DeskSettings
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.tracing import traced_work
from andon.store.desk import SqlDeskStore
from andon.web.wire import HttpWire, site_wire


async def run(host: Host) -> None:
    """Runs egress until the host stops."""
    registry, settings = Registry(), host.published.settings
    store = SqlDeskStore(host.store_url, "egress")
    vault = store.vault()

    def served(published: Published, wire: HttpWire) -> Receivers:
        return Receivers(published, registry, wire, host.clock, host.connection, vault)

    wire = site_wire(settings)
    causes = Causes()
    work = EgressWork(served(host.published, wire), host.metrics, causes)
    active = _followed(host, causes) if settings.inhibit_rules else None

    async def changed(published: Published) -> None:
        nonlocal active, wire
        fresh = site_wire(published.settings)
        receivers = served(published, fresh)
        old, before = work.receivers, wire
        if published.settings.inhibit_rules and active is None:
            active = _followed(host, causes)
        work.receivers, wire = receivers, fresh
        runner.reconsider()
        await old.close()
        await before.close()

    bounds = DeskSettings.of("egress", DELIVERIES, host.slot, settings.limits)
    told = traced_work(work, host.spans, host.clock, "egress")
    watch = QuotaWatch(lambda: host.published.settings.watch.quota_left)
    runner = DeskRunner(bounds, told, store, host.connection, host.clock, host.metrics, watch)
    host.ready_when(lambda: runner.ready)
    host.on_change(changed)
    try:
        await runner.run(host.stop)
    finally:
        if active is not None:
            await asyncio.to_thread(active.close)
        await work.receivers.close()
        await wire.close()


def _followed(host: Host, causes: Causes) -> Compacted:
    """Keeps the causes as the ticketing desk tells them."""

    def read() -> None:
        causes.known = True

    return Compacted(host.connection, ACTIVE, causes.take, read)
