"""What a node that was killed left behind, and how the next one gets over it.

A killed broker stays registered until its session is over. A node that starts meanwhile leads its partitions on the
strength of that registration, loads the transactions that had not all their marks yet, and cannot write these, because
it does not listen before it is registered itself. When the session then ends, no partition has a leader, Kafka (4.4,
`TransactionMarkerChannelManager`) takes them for deleted, and calls the transactions complete: the marks are never
written, and nobody who reads what is committed gets past that place again (seen at every fourth kill in a commit). So
the registration is ended first, by the controller alone.

In a cluster another replica leads when the session ends, so one node of three simply starts again. When too few are
left to decide anything, as after a power cut, those that were killed would all be fenced at once and nobody would lead:
then their controllers run alone first, as that of the single node does.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from andon.broker import ports, process, properties, storage
from andon.broker.jvm import Runtime
from andon.broker.launch import spawn
from andon.broker.layout import Layout
from andon.broker.seats import Seat

CLEAN = ".kafka_cleanshutdown"
SESSION_MS = 300
ACTIVE_S = 30.0
FENCED_S = 2.0
KEPT_S = 0.6
# What the controller's log says: the version is pinned.
_ACTIVE, _FENCED = "Performing controller activation", "Fencing broker "


def crashed(layout: Layout) -> bool:
    """Whether the last node on this directory ended without putting things in order."""
    return layout.record.exists() and storage.is_formatted(layout) and not (layout.topics / CLEAN).exists()


def clear(layout: Layout) -> None:
    """Removes what only a running node should have."""
    (layout.topics / ".lock").unlink(missing_ok=True)
    for log_lock in layout.logs.glob("*.lck"):
        # Java's log would go on in a file with another name.
        log_lock.unlink(missing_ok=True)
    if layout.temporary.exists():
        shutil.rmtree(layout.temporary)


@dataclass(frozen=True)
class Node:
    """A node that is about to start."""

    layout: Layout
    seat: Seat
    runtime: Runtime

    @property
    def log(self) -> Path:
        return self.layout.logs / "kafka-0.log"


def end_registration(
    layout: Layout, runtime: Runtime, options: Sequence[str], *, port: int, tie_to_parent: bool
) -> None:
    """Runs the controller alone, on `port` or above, until it has fenced the broker that was killed, and stops it.

    Without success the node still starts, once the old session is over.
    """
    with ports.reserved(port) as ours:
        node = Node(layout, Seat(1, ours, ours), runtime)
        end_registrations([node], options, tie_to_parent=tie_to_parent)


def end_registrations(
    nodes: Sequence[Node],
    options: Sequence[str],
    cluster: Sequence[Seat] = (),
    others: Sequence[Layout] = (),
    *,
    tie_to_parent: bool,
) -> None:
    """The same for all nodes of a cluster that do not run. A node that does, of `others`, may be the one that decides,
    and has a session of its own length."""
    session_ms = properties.SESSION_MS if others else SESSION_MS
    places = {log: _size(log) for log in (*(node.log for node in nodes), *(o.logs / "kafka-0.log" for o in others))}
    crashed_ones = {node.seat.node for node in nodes if crashed(node.layout)}
    begun: list[tuple[int, str]] = []
    try:
        for node in nodes:
            text = properties.controller_properties(node.layout, node.seat, cluster, session_ms=session_ms)
            # One that cannot even begin is no reason not to wait for those that can decide without it.
            with suppress(OSError):
                pid = spawn(node.layout, node.runtime, options, text, tie_to_parent=tie_to_parent)
                begun.append((pid, process.started(pid) or "ended at once"))
        deciding = len(cluster) // 2 + 1 - len(others)
        if _fenced(begun, deciding, crashed_ones, places, session_ms / 1_000):
            _kept([node.layout for node in nodes])
    finally:
        for pid, start in begun:
            process.tell(pid, start)
        for pid, start in begun:
            process.end(pid, start, timeout_s=10)
    for node in nodes:
        with suppress(OSError):  # its start says so
            clear(node.layout)


def _fenced(
    begun: Sequence[tuple[int, str]],
    deciding: int,
    crashed_ones: set[int],
    places: Mapping[Path, int],
    session_s: float,
) -> bool:
    """Whether a controller says so of any; not when fewer than the `deciding` are left, nor when they have had the time
    and found nothing to do."""
    deadline = time.monotonic() + ACTIVE_S
    active = False
    told: set[int] = set()
    while sum(process.started(pid) == start for pid, start in begun) >= deciding and time.monotonic() < deadline:
        said = "".join(_since(log, place) for log, place in places.items())
        found = {node for node in crashed_ones if f"{_FENCED}{node} " in said}
        if found == crashed_ones:
            return True
        if found != told or (not active and _ACTIVE in said):
            active, told = True, found
            deadline = time.monotonic() + session_s + FENCED_S  # others may have been fenced already
        time.sleep(0.02)
    return bool(told)


def _kept(layouts: Sequence[Layout]) -> None:
    """Waits until what the controller has just decided stands in its log, to which it appends a little later: one that
    is stopped before forgets it."""
    size = _metadata_bytes(layouts)
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < KEPT_S or (_metadata_bytes(layouts) == size and waited < 5 * KEPT_S):
        time.sleep(0.02)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _metadata_bytes(layouts: Sequence[Layout]) -> int:
    metadata = [layout.topics / "__cluster_metadata-0" for layout in layouts]
    return sum(part.stat().st_size for folder in metadata for part in folder.glob("*.log"))


def _since(log: Path, place: int) -> str:
    """What was written to a log after it was `place` bytes long; a shorter one was begun anew."""
    try:
        with log.open("rb") as file:
            file.seek(place if log.stat().st_size >= place else 0)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
