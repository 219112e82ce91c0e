"""The egress desk on PostgreSQL beside the same desk on SQLite: deliveries wait in Kafka, 200 receivers, real calls.

Each run has a new store; both servers of data write through to the same disk before a commit returns.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.reader import END, TopicReader
from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES
from tests.bench.figures import ratio, report
from tests.bench.plant import Plant, fill, free_port, kafka, robots
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
    waiting, ended = _at_end(plant.link, DELIVERIES), _at_end(plant.link, OUTCOMES)
    asyncio.run(fill(plant.link, EVENTS, EACH, start=run * EACH))
    _read(waiting)
    os.environ["BENCH_STORE"] = store
    plant.start("egress")
    times = _read(ended)
    process = plant.processes.pop("egress")
    process.terminate()
    process.wait(30)
    return len(times) / ((max(times) - min(times)) / 1000)


def _at_end(link: Connection, topic: str) -> TopicReader:
    reader = TopicReader(link, {Home(topic, p): END for p in range(Cluster(link).partitions()[topic])})
    while not reader.at_end:
        reader.poll()
    return reader


def _read(reader: TopicReader) -> list[int]:
    """When the next `EACH` records were written."""
    times: list[int] = []
    until = time.monotonic() + 180
    while len(times) < EACH and time.monotonic() < until:
        times.extend(record.at for record in reader.poll())
    reader.close()
    if len(times) < EACH:
        raise RuntimeError(f"{len(times)} of {EACH} came")
    return times
