"""The egress desk on PostgreSQL beside the same desk on SQLite: deliveries wait in Kafka, 200 receivers, real calls.

Each run has a new store; both servers of data write through to the same disk before a commit returns.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES
from tests.bench.figures import ratio, report
from tests.bench.outcomes import at_end, per_s, read
from tests.bench.plant import Plant, fill, kafka, robots
from tests.rig.ports import free_port
from tests.rig.postgres import Postgres

EACH = int(os.environ.get("BENCH_DELIVERIES", "8000"))
RUNS = 3
KEYS = 200


def bench() -> None:
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="andon-bench-"))
        link = stack.enter_context(kafka(Path(name)))
        server = stack.enter_context(Postgres(durable=True))
        port = free_port()
        plant = Plant(Path(name), link, robots(KEYS, port) + "store: {url: env:BENCH_STORE}\n")
        stack.callback(plant.stop)
        keys = ",".join(f"r{n}" for n in range(KEYS))
        standin = ["-m", "andon.dev.wecom", "--port", str(port), "--record", f"{name}/record.jsonl"]
        plant.spawn("wecom", [*standin, "--limit", "0", "--keys", keys])
        os.environ["BENCH_STORE"] = f"sqlite:///{name}/none"
        plant.prepare()
        for service in ("enrichment", "routing"):
            plant.start(service)
        plant.wait_ready()
        sqlite, postgres = [], []
        for run in range(RUNS):
            sqlite.append(_once(plant, 2 * run, f"sqlite:///{name}/store-{run}"))
            with server.database() as database:
                postgres.append(_once(plant, 2 * run + 1, server.url(database)))
        report("desk_postgresql_per_s", postgres, "1/s")
        report("desk_sqlite_per_s", sqlite, "1/s")
        ratio("store_ratio", postgres, sqlite, ">= 0.6")


def _once(plant: Plant, run: int, store: str) -> float:
    """Deliveries per second of an egress desk on this store, from the first to the last outcome."""
    waiting, ended = at_end(plant.link, DELIVERIES), at_end(plant.link, OUTCOMES)
    asyncio.run(fill(plant.link, EVENTS, EACH, start=run * EACH))
    read(waiting, EACH)
    os.environ["BENCH_STORE"] = store
    plant.start("egress")
    came = read(ended, EACH)
    plant.end("egress")
    return per_s(came)
