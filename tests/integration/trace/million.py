"""Prints what `andon trace` takes with a million events in the topics: `python -m tests.integration.trace.million`.

Not part of `make test`: writing four million records takes a few minutes. The stores are not at hand, so everything
is found in the topics; that is the slowest way. DIR (default: a new one) is used again when it was filled before.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from andon import broker
from andon.cli.commands.check import checked
from andon.kafka.connection import Connection
from andon.runtime.bootstrap import prepare
from tests.integration.trace.fill import Filler, configuration

EVENTS = 1_000_000
CHUNK = 20_000


def main(folder: Path, events: int = EVENTS) -> None:
    """Fills a node and traces eleven events, from the first to the last, each with a command of its own."""
    os.environ.update(TRACE_TOKEN="t", TRACE_A="a", TRACE_B="b")
    link = Connection(broker.start(folder / "kafka", port=28_990).bootstrap)
    try:
        known = folder / "ids.json"
        if not known.exists():
            known.write_text(json.dumps(fill(folder, link, events)))
        measure(folder, link, json.loads(known.read_text()))
    finally:
        broker.stop(folder / "kafka")


def fill(folder: Path, link: Connection, events: int) -> list[str]:
    """Eleven ids, spread over all that was written."""
    asyncio.run(prepare(checked(configuration(folder)), link.bootstrap))
    filler, ids = Filler(link), []
    began = time.monotonic()
    for first in range(0, events, CHUNK):
        chunk = filler.chunk(first, CHUNK)
        ids.append(chunk[len(chunk) // 2].id)
    print(f"{events:,} events written in {time.monotonic() - began:.0f} s")
    step = max(1, (len(ids) - 1) // 10)
    return ids[::step]


def measure(folder: Path, link: Connection, ids: list[str]) -> None:
    argv = [sys.executable, "-m", "andon.cli.main", "trace", "--json", "--bootstrap", link.bootstrap]
    argv += ["--config", str(folder / "andon.yaml"), "--data", str(folder / "nothing")]
    took = []
    for one in ids:
        began = time.monotonic()
        done = subprocess.run([*argv, one], capture_output=True, check=True)
        took.append(time.monotonic() - began)
        found = json.loads(done.stdout)
        assert [each["state"] for each in found["deliveries"]] == ["delivered"], found
        print(f"{took[-1]:.3f} s, inside {found['search']['seconds']:.3f} s, {found['search']['read']:,} records read")
    print(f"trace_s median {statistics.median(took):.3f}, most {max(took):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="andon-trace-")))
