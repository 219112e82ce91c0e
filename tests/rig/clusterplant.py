"""A plant on three nodes of Kafka, each to be killed, frozen, cut off and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from andon import broker
from tests.rig import network
from tests.rig.client import wait_for
from tests.rig.network import NODES, Network
from tests.rig.packages import missing_file
from tests.rig.plant import Plant, PlantBroken
from tests.rig.topics import EVENTS

FAKETIME = "*/faketime/libfaketimeMT.so.1"
HEAP_MB = 192
WHOLE_S = 120.0


def no_other_clock() -> str | None:
    """Why no node can be shown another time; None when one can."""
    return missing_file(FAKETIME, "libfaketime")


class ClusterPlant(Plant):
    """In namespaces of their own where root allows; elsewhere `signals` says why the nodes share this machine's network
    and faults of the network are signals. With `disk_mb` all nodes share a disk of that size (root only)."""

    def __init__(self, home: Path, disk_mb: int = 0, **limits: int) -> None:
        super().__init__(home, **limits)
        self.network: Network | None = None
        self.signals = network.unavailable()
        self.kafka = home / "kafka"
        self._disk_mb = disk_mb
        self._stack = ExitStack()
        self._frozen: set[int] = set()
        self._ahead: dict[int, int] = {}

    def _start(self) -> None:
        if self.signals:
            print(f"the nodes share one network, its faults are signals: {self.signals}")
        else:
            self.network = self._stack.enter_context(Network())
        if self._disk_mb:
            self.kafka.mkdir(parents=True)
            size = f"size={self._disk_mb}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "andon", self.kafka], check=True)
            self._stack.callback(lambda: subprocess.run(["umount", "-l", self.kafka], check=False))
        super()._start()

    def __exit__(self, *details: object) -> None:
        self.thaw_nodes()
        try:
            if broker.is_cluster(self.kafka):
                self.nodes_kill()
            super().__exit__(*details)
        finally:
            self._stack.close()

    # ---- nodes

    def kafka_up(self) -> None:
        """Starts what does not run of the three; returns when all answer."""
        self.node_up(None)

    def node_up(self, node: int | None) -> None:
        """Starts one node, or all for None. Raises BrokerError for one that cannot be started, though others were."""
        started = partial(broker.cluster.start, hosts=self.network.hosts) if self.network else broker.cluster.start
        port = None if broker.is_cluster(self.kafka) else self.ports["kafka"]
        found = started(self.kafka, only=node, port=port, tie_to_parent=True, heap_mb=HEAP_MB, within=self._within())
        self.bootstrap = found.bootstrap
        if found.absent:
            raise broker.BrokerError(" ".join(found.absent.values()))

    def _within(self) -> dict[int, tuple[str, ...]]:
        places: dict[int, tuple[str, ...]] = {node: self.network.within[node] if self.network else () for node in NODES}
        for node, ahead_s in self._ahead.items():
            if not ahead_s:
                continue
            library = next(Path("/usr/lib").glob(FAKETIME))
            # Its clock for durations is false too: with a true one (libfaketime 0.9.10) no node came up in minutes.
            false = (f"LD_PRELOAD={library}", f"FAKETIME=+{ahead_s}s")
            places[node] = (*places[node], "/usr/bin/env", *false)
        return places

    def set_clock(self, node: int, ahead_s: int) -> None:
        """Starts a node again, with a clock that is so much ahead (by libfaketime) or, for 0, with this machine's; it
        leads then what it is to lead."""
        self._ahead[node] = ahead_s
        self.nodes_kill([node])
        self.node_up(node)
        self.whole()
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        def leads() -> bool:
            client.elect_leaders(ElectionType.PREFERRED).result(WHOLE_S)
            return node in self.leaders().values()

        # Who elects may not have heard yet that the node's copies are complete.
        if not wait_for(leads, WHOLE_S, every_s=1.0):
            raise PlantBroken(f"node {node} is not given what it is to lead: {self.leaders()}")

    def kafka_kill(self) -> None:
        self.nodes_kill()

    def nodes_kill(self, nodes: Iterable[int] = NODES) -> float:
        """kill -9 of some nodes at once; when it was done."""
        found = broker.cluster.pids(self.kafka)
        pids = [found[node] for node in nodes if node in found]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        at = time.time()
        wait_for(lambda: not set(pids) & set(broker.pids(self.kafka)), 10)
        return at

    def nodes_freeze(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            os.kill(broker.cluster.pids(self.kafka)[node], signal.SIGSTOP)
            self._frozen.add(node)

    def thaw_nodes(self) -> None:
        for node in self._frozen:
            with suppress(ProcessLookupError, KeyError):
                os.kill(broker.cluster.pids(self.kafka)[node], signal.SIGCONT)
        self._frozen.clear()

    def leaders(self, topic: str = EVENTS, ask: int | None = None) -> dict[int, int]:
        """Partition → node that leads it, as the cluster says, or the node `ask` alone."""
        bootstrap = self.bootstrap if ask is None else self.bootstrap.split(",")[ask - 1]
        found = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(topic, timeout=20)
        return {number: place.leader for number, place in found.topics[topic].partitions.items()}

    def whole(self, within_s: float = WHOLE_S) -> float:
        """Waits until every copy of every partition is complete; the seconds that took."""
        began = time.monotonic()
        if not wait_for(self._is_whole, within_s, every_s=0.2):
            raise PlantBroken(f"copies are missing: {broker.cluster.status(self.kafka)}")
        return time.monotonic() - began

    def _is_whole(self) -> bool:
        shares = [one.share for one in broker.cluster.status(self.kafka)]
        return all(share.copies and share.copies == share.in_sync for share in shares)

    def mend(self) -> None:
        self.thaw_nodes()
        if self.network:
            self.network.heal()
        super().mend()
        self.whole()

    def running(self) -> set[int]:
        """The nodes that run."""
        return set(broker.cluster.pids(self.kafka))

    def refusal(self) -> str:
        """What a start says that fails."""
        try:
            self.kafka_up()
        except broker.BrokerError as problem:
            return str(problem)
        return ""

    # ---- its disk

    def segments(self, node: int, topic: str) -> list[Path]:
        """The files that hold a topic's records on a node, the last segment of each partition."""
        folders = (self.kafka / f"node-{node}" / "topics").glob(f"{topic}-*")
        return [max(folder.glob("*.log")) for folder in sorted(folders)]

    @property
    def ballast(self) -> Path:
        """What fills the disk of the nodes."""
        return self.kafka / "ballast"

    def fill(self) -> None:
        """Leaves not a byte of the disk of the nodes."""
        with self.ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)

    def free(self) -> None:
        self.ballast.unlink(missing_ok=True)

    def disk_used(self) -> float:
        usage = shutil.disk_usage(self.kafka)
        return usage.used / usage.total
