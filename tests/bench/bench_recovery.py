"""From `kill -9` of a service's process, started again at once, to the first record it writes again, under load.

A record is what the service is there for: a 202 of the door, a record in the sink's topic of a stage, a call of egress
at the receiver. Members are static, so that nobody waits for the end of the killed one's session.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import report
from tests.rig.client import Load, wait_for
from tests.rig.plant import Plant
from tests.rig.topics import DELIVERIES, ENRICHED

KILLS = int(os.environ.get("BENCH_KILLS", "20"))
RATE = 60.0
WITHIN_S = 60.0


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, Plant(Path(name) / "plant") as plant:
        plant.up()
        chance = random.Random(1)
        with plant.load("bench", chance, rate=RATE) as load:
            for service in ("ingress", "enrichment", "routing", "egress"):
                first = _first(service, plant, load)
                took = [_kill(plant, service, first, chance) for _ in range(KILLS)]
                report(f"recovery_s_{service}", took, "s", "<= 2")
                report(f"recovery_worst_s_{service}", [max(took)], "s")


def _kill(plant: Plant, service: str, first: Callable[[float], float | None], chance: random.Random) -> float:
    """Seconds from a kill to the first record of the process that follows."""
    plant.begin()  # the witnesses need not read again what was before
    now = time.time()
    assert wait_for(lambda: first(now) is not None, WITHIN_S, every_s=0.05), f"{service} does nothing"
    time.sleep(chance.uniform(0.3, 1.0))
    killed = plant.kill(service)
    plant.start(service)
    begun = time.time()
    assert wait_for(lambda: first(begun) is not None, WITHIN_S, every_s=0.05), f"{service} did not come back"
    at = first(begun)
    plant.wait_ready(service)
    return (at or begun) - killed


def _first(service: str, plant: Plant, load: Load) -> Callable[[float], float | None]:
    """When the service wrote its first record after a given time, None while it has not."""
    if service == "ingress":
        return lambda since: min((s.accepted for s in load.sent[-2_000:] if (s.accepted or 0) > since), default=None)
    if service == "egress":
        return lambda since: min((one.at for one in plant.record().effects if one.at > since), default=None)
    topic = ENRICHED if service == "enrichment" else DELIVERIES

    def stored(since: float) -> float | None:
        plant.topics().more()
        return min((one.at for one in plant.topics().records[topic] if one.at > since), default=None)

    return stored
