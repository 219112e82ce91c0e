"""Every fault by its name, and what plant it needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from tests.chaos import brokers, clients, groups, members, processes, receivers, replies, storage, transactions
from tests.chaos.plants import Need
from tests.chaos.round import Round
from tests.rig import clusterplant, network
from tests.rig.clusterplant import ClusterPlant
from tests.rig.plant import Plant


class Fault(NamedTuple):
    """How it is injected; `limits` are those of a plant of its own, None for the common one of its `kind`.

    A soak wants `times` as many injections of it as of the others. `lacks` says why it cannot be injected on this
    machine; None where it can.
    """

    inject: Callable[[Round], None]
    limits: Mapping[str, int] | None = None
    times: int = 1
    kind: type[Plant] = Plant
    lacks: Callable[[], str | None] = lambda: None

    @property
    def need(self) -> Need:
        """The plant it is injected into."""
        return self.kind, self.limits


FAULTS = {
    "F01": Fault(processes.f01_kill_ingress),
    "F02": Fault(processes.f02_kill_stages),
    "F03": Fault(processes.f03_kill_egress),
    "F04": Fault(transactions.f04_frozen_stages),
    "F05": Fault(members.f05_rolling_restart, times=2),
    "F06": Fault(brokers.f06_leader_killed, kind=ClusterPlant),
    "F07": Fault(brokers.f07_leader_cut_off, kind=ClusterPlant),
    "F08": Fault(brokers.f08_two_of_three_down, kind=ClusterPlant),
    "F09": Fault(transactions.f09_late_commits, times=10),
    "F10": Fault(brokers.f10_lossy_link, kind=ClusterPlant, lacks=network.unavailable),
    "F11": Fault(brokers.f11_disk_full, {"disk_mb": brokers.DISK_MB}, kind=ClusterPlant, lacks=network.unavailable),
    "F12": Fault(storage.store_full),
    "F13": Fault(receivers.f13_f14_slow_sinks),
    "F15": Fault(replies.f15_reset),
    "F16": Fault(replies.f16_throttled),
    "F16-45009": Fault(replies.f16_errcode_45009),
    "F18": Fault(replies.f18_no_answer),
    "F19": Fault(clients.f19_repeats),
    "F22": Fault(storage.f22_poison),
    "groups": Fault(groups.open_groups),
    "F23": Fault(members.f23_rebalance_storm, times=2),
    "F24": Fault(transactions.f24_open_transactions),
    "F26": Fault(clients.f26_rotation),
    "F29": Fault(brokers.f29_power_cut, kind=ClusterPlant),
    "clocks": Fault(brokers.clocks_apart, kind=ClusterPlant, lacks=clusterplant.no_other_clock),
    "offsets": Fault(members.lost_offsets),
    "twice": Fault(processes.twice_in_the_log),
    "slot-egress": Fault(partial(processes.same_slot, service="egress")),
    "slot-routing": Fault(partial(processes.same_slot, service="routing")),
    "zombie": Fault(processes.zombie_desk),
    "kafka": Fault(storage.kafka_killed),
    "configuration": Fault(storage.configuration),
    "backlog": Fault(receivers.backlog, {"backlog": 1_000}),
    "F21": Fault(clients.f21_burst, {"backlog": 1_000}),
}


def inject(name: str, plant: Plant, number: int, seed: int, *, wanted: int = 0) -> Round:
    """One round of a fault in a running plant; the same seed and number give the same timing. In a soak, which still
    wants so many injections, a round carries more of them than in a test."""
    plant.begin()
    run = Round(plant, random.Random(f"{name}/{seed}/{number}"), f"{name}-{seed}-{number}", wanted=wanted)
    FAULTS[name].inject(run)
    return run
