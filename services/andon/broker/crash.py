"""What a node that was killed left behind, and how the next one gets over it.

A killed broker stays registered until its session is over. A node that starts meanwhile leads its partitions on the
strength of that registration, loads the transactions that had not all their marks yet, and cannot write these, because
it does not listen before it is registered itself. When the session then ends, no partition has a leader, Kafka (4.4,
`TransactionMarkerChannelManager`) takes them for deleted, and calls the transactions complete: the marks are never
written, and nobody who reads what is committed gets past that place again (seen at every fourth kill in a commit). So
the registration is ended first, by the controller alone.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from andon.broker import ports, process, properties, storage
from andon.broker.jvm import Runtime
from andon.broker.launch import spawn
from andon.broker.layout import Layout

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


def end_registration(
    layout: Layout, runtime: Runtime, options: Sequence[str], *, port: int, tie_to_parent: bool
) -> None:
    """Runs the controller alone, on `port` or above, until it has fenced the broker that was killed, and stops it.

    Without success the node still starts, once the old session is over.
    """
    log = layout.logs / "kafka-0.log"
    before = log.stat().st_size if log.exists() else 0
    with ports.reserved(port) as ours:
        text = properties.controller_properties(layout, controller_port=ours, session_ms=SESSION_MS)
        pid = spawn(layout, runtime, options, text, tie_to_parent=tie_to_parent)
        start = process.started(pid) or "ended at once"
        try:
            if _fenced(pid, start, log, before):
                _kept(layout)
        finally:
            process.end(pid, start, timeout_s=10)
    clear(layout)


def _fenced(pid: int, start: str, log: Path, before: int) -> bool:
    """Whether the controller says so; not when it ends before, nor when it has had the time and found nothing to do."""
    deadline = time.monotonic() + ACTIVE_S
    active = False
    while process.started(pid) == start and time.monotonic() < deadline:
        said = _since(log, before)
        if _FENCED in said:
            return True
        if not active and _ACTIVE in said:
            active, deadline = True, time.monotonic() + FENCED_S  # it may have been fenced already
        time.sleep(0.02)
    return False


def _kept(layout: Layout) -> None:
    """Waits until what the controller has just decided stands in its log, to which it appends a little later: one that
    is stopped before forgets it."""
    size = _metadata_bytes(layout)
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < KEPT_S or (_metadata_bytes(layout) == size and waited < 5 * KEPT_S):
        time.sleep(0.02)


def _metadata_bytes(layout: Layout) -> int:
    return sum(part.stat().st_size for part in (layout.topics / "__cluster_metadata-0").glob("*.log"))


def _since(log: Path, place: int) -> str:
    """What was written to a log after it was `place` bytes long; a shorter one was begun anew."""
    try:
        with log.open("rb") as file:
            file.seek(place if log.stat().st_size >= place else 0)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
