"""Wires the routing service."""

from __future__ import annotations

from typing import cast

from andon.config.published import Published
from andon.core.delivery import Delivery
from andon.core.ports import ChannelConfig
from andon.kafka.topics import DELIVERIES, ENRICHED
from andon.routing.router import Router, RoutingStage
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.stage import StageRunner, StageSettings

GROUP = "andon.channels"


def router_of(published: Published, registry: Registry) -> Router:
    """The router of a configuration version. Names each receiver's limit domain; needs no secret for it."""
    settings = published.settings
    domains = {
        name: cast("ChannelConfig", registry.config(GROUP, settings.channels[receiver.channel])).limit_domain()
        for name, receiver in settings.receivers.items()
    }
    return Router(settings, published.version, domains)


async def run(host: Host) -> None:
    """Runs routing until the host stops."""
    registry, settings = Registry(), host.published.settings
    stage = RoutingStage(router_of(host.published, registry))

    async def changed(published: Published) -> None:
        stage.router = router_of(published, registry)

    runner: StageRunner[Delivery] = StageRunner(
        StageSettings("routing", ENRICHED, DELIVERIES, _domain, host.slot, settings.limits.window),
        lambda: stage,
        host.connection,
        host.clock,
        host.metrics,
        lambda: stage.router.version,
    )
    host.ready_when(lambda: runner.assigned)
    host.on_change(changed)
    await runner.run(host.stop)


def _domain(delivery: Delivery) -> str:
    return delivery.domain
