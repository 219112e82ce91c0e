"""The whole path: events in andon.events → outcome, 200 receivers, 64 calls in flight, ledger on."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from andon.kafka.connection import Connection
from andon.kafka.topics import EVENTS, OUTCOMES
from tests.bench.bare_http import bare_http
from tests.bench.figures import ratio, report
from tests.bench.outcomes import at_end, per_s, read
from tests.bench.plant import Plant, fill, kafka, robots
from tests.rig.ports import free_port

EVENTS_EACH = 12_000
RUNS = 3
KEYS = 200


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        port = free_port()
        plant = Plant(Path(name), link, robots(KEYS, port))
        try:
            keys = ",".join(f"r{n}" for n in range(KEYS))
            standin = ["-m", "andon.dev.wecom", "--port", str(port), "--record", f"{name}/record.jsonl"]
            plant.spawn("wecom", [*standin, "--limit", "0", "--keys", keys])
            plant.prepare()
            for service in ("enrichment", "routing", "egress"):
                plant.start(service)
            plant.wait_ready()
            ours, bare = [], []
            for run in range(RUNS):
                bare.append(asyncio.run(bare_http(f"http://127.0.0.1:{port}", KEYS, EVENTS_EACH, "x" * 200)))
                ours.append(_once(link, run))
            report("path_deliveries_per_s", ours, "1/s")
            report("bare_http_per_s", bare, "1/s")
            ratio("path_ratio", ours, bare, ">= 0.5")
        finally:
            plant.stop()


def _once(link: Connection, run: int) -> float:
    """Deliveries per second from the first to the last outcome of a backlog."""
    reader = at_end(link, OUTCOMES)
    began = time.perf_counter()
    asyncio.run(fill(link, EVENTS, EVENTS_EACH, start=run * EVENTS_EACH))
    print(f"  filled in {time.perf_counter() - began:.1f} s", flush=True)
    return per_s(read(reader, EVENTS_EACH, 120))
