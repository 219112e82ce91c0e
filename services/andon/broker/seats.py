"""Where the nodes of a cluster listen: decided once, and kept beside them, for each node has to know the others."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from andon.broker import ports
from andon.broker.errors import BrokerError
from andon.broker.layout import Layout

SIZE = 3
CONTROLLER_ABOVE = 1000  # the controller's port is searched from this far above the broker's


@dataclass(frozen=True)
class Seat:
    """Where one node listens: its broker at `port`, its controller at `controller`."""

    node: int
    port: int
    controller: int
    host: str = ports.LOOPBACK

    @property
    def address(self) -> str:
        """Where clients find its broker."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Plan:
    """A cluster as its directory has it: its id and the seats of its nodes, in the order of their numbers."""

    data: Path
    cluster: str
    seats: tuple[Seat, ...]

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, whether they run or not."""
        return ",".join(seat.address for seat in self.seats)

    def seat(self, node: int) -> Seat:
        """Where a node sits. Raises BrokerError for one that the cluster does not have."""
        for seat in self.seats:
            if seat.node == node:
                return seat
        raise BrokerError(f"There is no node {node}: the cluster in {self.data} has the nodes 1 to {len(self.seats)}.")

    def layout(self, node: int) -> Layout:
        """Where a node keeps what."""
        return Layout(self.data / f"node-{node}")


def file(data: Path) -> Path:
    """What says that a directory is a cluster's."""
    return data / "cluster.json"


def read(data: Path) -> Plan | None:
    """The cluster of a directory; None when it has none. Raises BrokerError when it cannot be understood."""
    data = data.absolute()
    try:
        found = json.loads(file(data).read_bytes())
        return Plan(data, found["cluster"], tuple(Seat(**seat) for seat in found["seats"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError) as problem:
        raise BrokerError(f"{file(data)} does not say where the nodes are: restore it from a backup.") from problem


def write(plan: Plan) -> None:
    """Keeps the cluster of a directory."""
    aside = file(plan.data).with_suffix(".new")
    text = {"cluster": plan.cluster, "seats": [asdict(seat) for seat in plan.seats]}
    aside.write_text(json.dumps(text, indent=2), encoding="utf-8")
    aside.replace(file(plan.data))


def free(stack: ExitStack, port: int, hosts: Sequence[str], *, strict: bool) -> tuple[Seat, ...]:
    """A seat at each of the `hosts`, on free ports from `port` upwards, reserved until `stack` is closed.

    With `strict` the brokers' ports are `port` and those right above it. Raises PortError.
    """
    seats: list[Seat] = []
    for number, host in enumerate(hosts, 1):
        wanted = seats[-1].port + 1 if seats else port
        ours = stack.enter_context(ports.reserved(wanted, strict=strict))
        seats.append(Seat(number, ours, stack.enter_context(ports.reserved(above(ours))), host))
    return tuple(seats)


def above(port: int) -> int:
    """Where the search for a controller's port begins."""
    highest = port + CONTROLLER_ABOVE + ports.SEARCHED
    return port + CONTROLLER_ABOVE if highest < 65_536 else port - CONTROLLER_ABOVE
