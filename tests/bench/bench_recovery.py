"""From `kill -9` of a service's process, started again at once, to the first record it writes again, under load.

A record is what the service is there for: a 202 of the door, a record in the sink's topic of a stage, a call of egress
at the receiver. Members are static, so that nobody waits for the end of the killed one's session. The processor time
beside it tells what of that is a busy machine.
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
                took, used = zip(*(_kill(plant, service, first, chance) for _ in range(KILLS)), strict=True)
                report(f"recovery_s_{service}", list(took), "s", "<= 2")
                report(f"recovery_worst_s_{service}", [max(took)], "s")
                report(f"recovery_cpu_s_{service}", list(used), "s")


def _kill(
    plant: Plant, service: str, first: Callable[[float], float | None], chance: random.Random
) -> tuple[float, float]:
    """Seconds from a kill to the first record of the process that follows, and how many of a core it took for that."""
    plant.begin()  # the witnesses need not read again what was before
    now = time.time()
    assert wait_for(lambda: first(now) is not None, WITHIN_S, every_s=0.05), f"{service} does nothing"
    time.sleep(chance.uniform(0.3, 1.0))
    killed = plant.kill(service)
    plant.start(service)
    begun = time.time()
    assert wait_for(lambda: first(begun) is not None, WITHIN_S, every_s=0.05), f"{service} did not come back"
    used = _cpu_s(plant.pid(service))
    at = first(begun)
    plant.wait_ready(service)
    return (at or begun) - killed, used


def _cpu_s(pid: int) -> float:
    """What a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _first(service: str, plant: Plant, load: Load) -> Callable[[float], float | None]:
    """When the service wrote its first record after a given time, None while it has not."""

    def calls() -> list[tuple[float, int]]:
        """With the process they came from: what the killed one had sent, the sink may read after its end."""
        return [(one.at, one.pid) for one in plant.record().effects]

    if service == "ingress":
        return lambda since: min((at for s in load.sent[-2_000:] if (at := s.accepted or 0.0) > since), default=None)
    if service == "egress":
        return lambda since: min((at for at, pid in calls() if at > since and pid == plant.pid(service)), default=None)
    topic = ENRICHED if service == "enrichment" else DELIVERIES

    def stored(since: float) -> float | None:
        plant.topics().more()
        return min((one.at for one in plant.topics().records[topic] if one.at > since), default=None)

    return stored
