"""A single node of Kafka on one box: start, stop, status, reset."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from andon.broker import archive, crash, disk, download, java, process, seats, storage, wire
from andon.broker.download import Progress
from andon.broker.errors import BrokerError, PortError
from andon.broker.jvm import Runtime
from andon.broker.launch import Record, alive, ending, launch, wait
from andon.broker.layout import Layout
from andon.broker.locks import locked, wait_on
from andon.broker.writer import refuse_second_writer


@dataclass(frozen=True)
class Running:
    """A broker that answers."""

    bootstrap: str
    pid: int
    data: Path


@dataclass(frozen=True)
class Status:
    """A broker as `andon broker status` shows it. Sizes in bytes, uptime in seconds, `disk_used` from 0 to 1."""

    bootstrap: str
    pid: int
    port: int
    data: Path
    version: str
    java: str
    ready: bool
    uptime_s: float
    topics_bytes: int
    logs_bytes: int
    disk_used: float


def start(
    data: Path,
    *,
    port: int = 8792,
    strict_port: bool = False,
    tie_to_parent: bool = False,
    heap_mb: int = 512,
    progress: Progress | None = None,
    go_on: Callable[[], None] = wait_on,
) -> Running:
    """Starts a Kafka node on the directory `data` and returns when a topic can be created.

    What the node needs is fetched first, and `progress` is told of it. A node that runs on `data` already is returned
    as it is. The port is `port` or the next free one above it; with `strict_port` a taken one is an error. The node
    goes on after this process has ended, unless `tie_to_parent`: then it stops when the calling *thread* ends (Linux
    only). What was acknowledged survives kill -9 of the node; a power cut may take the last seconds. `go_on` is called
    again and again while the node, or who else starts one here, is waited for; where it raises, what was started here
    is ended.

    Raises BrokerError, with one sentence that says what to do.
    """
    layout = Layout(data.absolute())
    storage.refuse_comma(data)
    if seats.read(data):
        raise BrokerError(f"{data} has a cluster of three nodes: start it with --nodes 3, or choose another --data.")
    try:
        with locked(layout.lock, go_on):
            if (record := alive(layout)) and _goes_on(layout, record, go_on):
                return running(record)
            refuse_second_writer(layout)
            crash.clear(layout)
            disk.refuse_when_full(layout.data)
            runtime = Runtime(java.find(), download.fetch(progress=progress, go_on=go_on), heap_mb)
            storage.format_storage(layout, runtime)
            if crash.crashed(layout):
                options = archive.options(runtime)
                crash.end_registration(layout, runtime, options, port=seats.above(port), tie_to_parent=tie_to_parent)
            how = {"strict": strict_port, "tie_to_parent": tie_to_parent}
            record = _launched(layout, runtime, port, go_on, **how)
            archive.train_in_background(runtime, tie_to_parent=tie_to_parent)
            return running(record)
    except OSError as problem:
        raise BrokerError(f"The broker's directory {layout.data} cannot be used ({problem}).") from problem


def stop(data: Path, *, timeout_s: float = 20) -> bool:
    """Stops the node on `data`, by SIGTERM and after `timeout_s` by SIGKILL; returns whether one was running. One that
    is just being started is ended, and its start with it.

    Raises BrokerError when a Kafka that was not started here runs on `data`, or when the node can't be ended.
    """
    layout = Layout(data.absolute())
    if not layout.data.is_dir():
        return False
    with ending(layout.lock, lambda: filter(None, [alive(layout)])) as told:
        record = alive(layout)
        if record:
            process.end(record.pid, record.started, timeout_s=timeout_s)
            if process.started(record.pid) == record.started:
                raise BrokerError(f"The broker (process {record.pid}) does not end: end it yourself and try again.")
        refuse_second_writer(layout)
        crash.clear(layout)
        if not crash.crashed(layout):
            layout.record.unlink(missing_ok=True)
        return bool(record or told)


def status(data: Path) -> Status | None:
    """The node that runs on `data`, or None."""
    layout = Layout(data.absolute())
    record = alive(layout)
    if record is None:
        return None
    return Status(
        bootstrap=running(record).bootstrap,
        pid=record.pid,
        port=record.port,
        data=layout.data,
        version=record.version,
        java=record.java,
        ready=wire.ready(record.host, record.port, storage.cluster_id(layout)),
        uptime_s=max(0.0, time.time() - record.since),
        topics_bytes=disk.size_of(layout.topics),
        logs_bytes=disk.size_of(layout.logs),
        disk_used=disk.used_share(layout.data),
    )


def is_running(data: Path) -> bool:
    """Whether a node that was started here runs on `data`; cheaper than `status`, and without asking the node."""
    return alive(Layout(data.absolute())) is not None


def reset(data: Path) -> None:
    """Deletes all topics, offsets and logs of the node on `data`. Raises BrokerError while it runs."""
    layout = Layout(data.absolute())
    if not layout.data.is_dir():
        return
    try:
        with locked(layout.lock):
            if record := alive(layout):
                raise BrokerError(f"The broker on {data} runs (process {record.pid}): stop it before the reset.")
            refuse_second_writer(layout)
            storage.erase(layout)
    except OSError as problem:
        raise BrokerError(f"The broker's directory {layout.data} cannot be deleted ({problem}).") from problem


def running(record: Record) -> Running:
    """What is told of a node that runs."""
    return Running(record.address, record.pid, Path(record.data))


def _goes_on(layout: Layout, record: Record, go_on: Callable[[], None]) -> bool:
    """Whether a node that somebody else has started answers; False when it ends: it had been told to before."""
    try:
        wait(layout, record, go_on=go_on)
    except BrokerError:
        if process.started(record.pid) == record.started:
            raise
        return False
    return True


def _launched(
    layout: Layout, runtime: Runtime, port: int, go_on: Callable[[], None], *, strict: bool, tie_to_parent: bool
) -> Record:
    options = archive.options(runtime)
    try:
        return launch(layout, runtime, options, port=port, strict=strict, tie_to_parent=tie_to_parent, go_on=go_on)
    except PortError:
        raise
    except BrokerError:
        if not options:
            raise
        # An archive must never be what keeps Kafka from starting: one more try without it says whether it was.
        record = launch(layout, runtime, port=port, strict=strict, tie_to_parent=tie_to_parent, go_on=go_on)
        archive.discard(runtime)
        return record
