"""Launches one node and knows it again: the record in `broker.json`, readiness, and what a failed start says."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import dropwhile
from pathlib import Path

from andon.broker import ports, process, properties, storage, wire
from andon.broker.errors import BrokerError, PortError
from andon.broker.jars import kafka_version
from andon.broker.jvm import Runtime
from andon.broker.layout import Layout
from andon.broker.locks import locked_now, wait_on
from andon.broker.seats import Seat, above

READY_S = 60.0
ATTEMPTS = 3
_AGAIN_S = 0.1
# In the log: the version is pinned.
_LOADS = "[LogLoader partition="
# A controller that has only just begun to decide refuses to register itself, asks again, and all is well.
_HARMLESS = ("registerController: event failed with NotControllerException", "apiKey=CONTROLLER_REGISTRATION,")


@dataclass(frozen=True)
class Record:
    """What `broker.json` says about the process that runs on a directory."""

    pid: int
    started: str
    port: int
    controller_port: int
    data: str
    version: str
    java: str
    since: float
    host: str = ports.LOOPBACK

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"


def alive(layout: Layout) -> Record | None:
    """The recorded process of a directory, if it still runs and is the very process that was recorded. Of one that
    cannot be read, as on a broken disk, there is none: Kafka ends there too."""
    try:
        record = Record(**json.loads(layout.record.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    ours = process.started(record.pid) == record.started and str(layout.server) in process.command_line(record.pid)
    return replace(record, data=str(layout.data)) if ours else None


def launch(
    layout: Layout,
    runtime: Runtime,
    options: Sequence[str] = (),
    *,
    port: int,
    strict: bool = False,
    tie_to_parent: bool = False,
    go_on: Callable[[], None] = wait_on,
) -> Record:
    """Starts a node on formatted storage and returns when it is ready. Raises BrokerError when it never is, and ends it
    then, as when `go_on` raises."""
    for attempt in range(1, ATTEMPTS + 1):
        with ports.reserved(port, strict=strict) as ours, ports.reserved(above(ours)) as controller:
            record = begin(layout, runtime, options, Seat(1, ours, controller), tie_to_parent=tie_to_parent)
            try:
                wait(layout, record, go_on=go_on)
            except BaseException as problem:
                process.end(record.pid, record.started, timeout_s=5)
                if not isinstance(problem, PortError) or strict or attempt == ATTEMPTS:
                    raise
                # Another program took the port between our look and Kafka's; the next look sees that.
            else:
                return record
    raise AssertionError


@contextmanager
def ending(lock: Path, running: Callable[[], Iterable[Record]]) -> Iterator[AbstractSet[str]]:
    """Holds the lock of a start for a stop; the directories of what it had to tell to end before. Who starts a node
    holds it for as long as that reads its logs, and gives up when the node ends."""
    told: set[str] = set()
    while True:
        with locked_now(lock) as ours:
            if ours:
                yield told
                return
        for record in running():
            process.tell(record.pid, record.started)
            told.add(record.data)
        time.sleep(_AGAIN_S)


def begin(
    layout: Layout,
    runtime: Runtime,
    options: Sequence[str],
    seat: Seat,
    cluster: Sequence[Seat] = (),
    *,
    tie_to_parent: bool,
) -> Record:
    """Starts a node on formatted storage, records it, and does not wait for it. Raises OSError."""
    text = properties.server_properties(layout, seat, cluster)
    pid = spawn(layout, runtime, options, text, tie_to_parent=tie_to_parent)
    record = Record(
        pid=pid,
        started=process.started(pid) or "ended at once",
        port=seat.port,
        controller_port=seat.controller,
        data=str(layout.data),
        version=kafka_version(),
        java=str(runtime.java.path),
        since=time.time(),
        host=seat.host,
    )
    aside = layout.record.with_suffix(".new")
    try:
        aside.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
        aside.replace(layout.record)
    except OSError:
        process.end(pid, record.started, timeout_s=5)  # nobody would know it again
        raise
    return record


def spawn(layout: Layout, runtime: Runtime, options: Sequence[str], text: str, *, tie_to_parent: bool) -> int:
    """Starts Kafka with the configuration `text`; its process id."""
    for directory in (layout.topics, layout.logs, layout.temporary):
        directory.mkdir(parents=True, exist_ok=True)
    layout.server.write_text(text, encoding="ascii")
    layout.logging.write_text(properties.logging_properties(layout), encoding="ascii")
    layout.console.unlink(missing_ok=True)
    command = runtime.command(layout, ["kafka.Kafka", str(layout.server)], options)
    return process.spawn(command, output=layout.console, tie_to_parent=tie_to_parent)


def wait(layout: Layout, record: Record, within_s: float = READY_S, *, go_on: Callable[[], None] = wait_on) -> None:
    """Returns when the node answers; until then calls `go_on`, which may raise. Raises PortError or BrokerError when it
    ends instead or takes too long, which it does not while it reads its logs: after a crash those may be many
    gigabytes, and it would have to begin again."""
    deadline = time.monotonic() + within_s
    cluster = storage.cluster_id(layout)
    while not wire.ready(record.host, record.port, cluster):
        go_on()
        if process.started(record.pid) != record.started:
            raise _failed(layout, record)
        if time.monotonic() > deadline:
            if not _loads(layout, within_s):
                raise BrokerError(
                    f"Kafka did not get ready within {within_s:.0f} s: its log in {layout.logs} says why."
                )
            deadline = time.monotonic() + within_s
        time.sleep(0.02)


def _loads(layout: Layout, lately_s: float) -> bool:
    """Whether a node has told lately of a log that it reads; it does of each one."""
    since = time.time() - lately_s
    told = (line.partition(" ")[0] for line in _tail(layout.logs / "kafka-0.log") if _LOADS in line)
    return any((_time(when) or 0.0) >= since for when in told)


def _failed(layout: Layout, record: Record) -> BrokerError:
    said = last_complaint(layout, record.since)
    if "already in use" in said:
        return PortError(f"Port {record.port} or {record.controller_port} was taken by another program: start again.")
    return BrokerError(f"Kafka ended while it started, its log in {layout.logs} says: {said}")


def last_error(layout: Layout, since: float) -> str | None:
    """The last error that a node has logged `since` then, or what its Java runtime ended with; None when there is
    neither, as after a kill."""
    found = None
    for line in _tail(layout.logs / "kafka-0.log"):
        when, _, rest = line.partition(" ")
        if rest.startswith("SEVERE ") and (at := _time(when)) is not None and at >= since:
            found = line
    errors = [line for line in _tail(layout.console) if "Error" in line]
    return found or (errors[-1] if errors else None)


def _time(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
    except ValueError:
        return None


def _tail(file: Path) -> list[str]:
    """The last lines of a log but for what is harmless, of a trace those that say what was thrown, not where; none when
    it is not there."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 65_536))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    harmless = False
    for line in lines:
        if _time(line.partition(" ")[0]) is not None:  # else it is of a trace
            harmless = any(text in line for text in _HARMLESS)
        if not (harmless or line.lstrip().startswith("at ")):
            found.append(line)
    return found


def last_complaint(layout: Layout, since: float) -> str:
    """The last error in the logs of a node that was started `since` then and ended by itself, as one line."""
    logged = dropwhile(lambda line: (_time(line.partition(" ")[0]) or 0.0) < since, _tail(layout.logs / "kafka-0.log"))
    lines = [*logged, *_tail(layout.console)]
    complaints = [line for line in lines if "Exception" in line or "Error" in line or " SEVERE " in line]
    return (complaints or lines or ["nothing"])[-1].strip()
