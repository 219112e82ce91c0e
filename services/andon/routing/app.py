"""Wires the routing service."""

from __future__ import annotations

from andon.config.published import Published
from andon.core.delivery import Delivery
from andon.kafka.topics import DELIVERIES, ENRICHED
from andon.routing.published import router_of
from andon.routing.router import RoutingStage
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.stage import StageRunner, StageSettings
from andon.runtime.tracing import traced_stage


async def run(host: Host) -> None:
    """Runs routing until the host stops."""
    registry, settings = Registry(), host.published.settings
    stage = RoutingStage(router_of(host.published, registry), host.metrics.remarked)
    told = traced_stage(stage, host.spans, host.clock, "route")

    async def changed(published: Published) -> None:
        stage.router = router_of(published, registry)

    runner: StageRunner[Delivery] = StageRunner(
        StageSettings("routing", ENRICHED, DELIVERIES, _domain, host.slot, settings.limits.window),
        lambda: told,
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
