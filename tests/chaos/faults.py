"""Every fault by its name, and what plant it needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from tests.chaos import processes, receivers, storage
from tests.chaos.round import Round
from tests.rig.plant import Plant


class Fault(NamedTuple):
    """How it is injected; `limits` are those of a plant of its own, None for the common one.

    A soak wants `times` as many injections of it as of the others.
    """

    inject: Callable[[Round], None]
    limits: Mapping[str, int] | None = None
    times: int = 1


FAULTS = {
    "F01": Fault(processes.f01_kill_ingress),
    "F02": Fault(processes.f02_kill_stages),
    "F03": Fault(processes.f03_kill_egress),
    "F12": Fault(storage.store_full),
    "F13": Fault(receivers.f13_f14_slow_sinks),
    "F22": Fault(storage.f22_poison),
    "twice": Fault(processes.twice_in_the_log),
    "slot-egress": Fault(partial(processes.same_slot, service="egress")),
    "slot-routing": Fault(partial(processes.same_slot, service="routing")),
    "zombie": Fault(processes.zombie_desk),
    "kafka": Fault(storage.kafka_killed),
    "configuration": Fault(storage.configuration),
    "backlog": Fault(receivers.backlog, {"backlog": 1_000}),
}


def inject(name: str, plant: Plant, number: int, seed: int) -> Round:
    """One round of a fault in a running plant; the same seed and number give the same timing."""
    plant.begin()
    run = Round(plant, random.Random(f"{name}/{seed}/{number}"), f"{name}-{seed}-{number}")
    FAULTS[name].inject(run)
    return run
