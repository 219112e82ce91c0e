"""The Kafka of this box, whether it is one node or a cluster of three."""

from pathlib import Path

from andon.broker import cluster, launch, node, seats
from andon.broker.layout import Layout


def is_cluster(data: Path) -> bool:
    """Whether the directory `data` belongs to a cluster."""
    return seats.read(data) is not None


def bootstrap(data: Path) -> str | None:
    """Where clients find the Kafka that runs on `data`: all nodes of a cluster, also those that do not run just now.
    None when nothing runs."""
    if plan := seats.read(data):
        return plan.bootstrap if cluster.pids(data) else None
    found = node.status(data)
    return found.bootstrap if found else None


def pids(data: Path) -> tuple[int, ...]:
    """The processes of the nodes that run on `data`."""
    if is_cluster(data):
        return tuple(cluster.pids(data).values())
    found = launch.alive(Layout(data.absolute()))
    return (found.pid,) if found else ()


def is_running(data: Path) -> bool:
    """Whether every node on `data` that was started here runs; cheaper than `status`, and without asking them."""
    return cluster.is_running(data) if is_cluster(data) else node.is_running(data)


def last_words(data: Path, since: float) -> str:
    """Why a node on `data` that was started `since` then may have ended: its last error, else where to look."""
    plan = seats.read(data)
    every = [plan.layout(seat.node) for seat in plan.seats] if plan else [Layout(data)]
    layouts = [layout for layout in every if not launch.alive(layout)] or every
    errors = [error for layout in layouts if (error := launch.last_error(layout, since))]
    logs = ", ".join(str(layout.logs / "kafka-0.log") for layout in layouts)
    return errors[-1] if errors else f"ended (its log: {logs})"


def stop(data: Path, *, timeout_s: float = 20) -> bool:
    """Stops what runs on `data`, as `node.stop` does; returns whether anything ran."""
    return bool(cluster.stop(data, timeout_s=timeout_s)) if is_cluster(data) else node.stop(data, timeout_s=timeout_s)


def reset(data: Path) -> None:
    """Deletes all topics, offsets and logs on `data`. Raises BrokerError while a node runs."""
    if is_cluster(data):
        cluster.reset(data)
    else:
        node.reset(data)
