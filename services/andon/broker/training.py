"""The training run that makes a start-up archive: `python -m andon.broker.training JAVA HEAP_MB`."""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from andon.broker import archive, disk, download, java, ports, process, storage, wire
from andon.broker.errors import BrokerError
from andon.broker.jvm import Runtime
from andon.broker.launch import Record, alive, launch
from andon.broker.layout import Layout
from andon.broker.locks import locked_now

PORT = 18_792
WRITING_S = 180.0  # at the lowest priority, beside services that use all of the processor
SCRATCH = "training-"


def train(runtime: Runtime) -> bool:
    """Runs a node of its own in a scratch directory and keeps the archive that Java writes when it ends.

    Returns whether an archive is there now. One training runs at a time; a second one leaves at once. Raises
    BrokerError when the node does not start.
    """
    kept = archive.path_for(runtime)
    with locked_now(archive.place() / ".lock") as ours:
        if not ours or kept.exists() or disk.disk_full(archive.place()):
            return kept.exists()
        for left in archive.place().glob(f"{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=archive.place(), prefix=SCRATCH) as scratch:
            layout = Layout(Path(scratch))
            written = layout.data / kept.name
            try:
                _run(layout, runtime, written)
                if written.exists():
                    written.replace(kept)
                    archive.prune()
                else:
                    archive.give_up(runtime)
            finally:
                if left_running := alive(layout):
                    process.end(left_running.pid, left_running.started, timeout_s=0)
    return kept.exists()


def _run(layout: Layout, runtime: Runtime, written: Path) -> None:
    storage.format_storage(layout, runtime)
    options = archive.training_options(runtime, written)
    record = launch(layout, runtime, options, port=PORT, tie_to_parent=True)
    wire.create_topic(ports.LOOPBACK, record.port, "training")
    os.kill(record.pid, signal.SIGTERM)
    _until_ended(record)


def _until_ended(record: Record) -> None:
    deadline = time.monotonic() + WRITING_S
    while process.started(record.pid) == record.started and time.monotonic() < deadline:
        time.sleep(0.1)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(143)


def main(arguments: list[str]) -> int:
    """The process that `archive.train_in_background` starts."""
    signal.signal(signal.SIGTERM, _leave)
    os.nice(19)
    found = java.inspect(Path(arguments[0]))
    if found is None:
        return 1
    try:
        return 0 if train(Runtime(found, download.fetch(), int(arguments[1]))) else 1
    except (BrokerError, OSError) as problem:
        sys.stderr.write(f"no start-up archive was made: {problem}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
