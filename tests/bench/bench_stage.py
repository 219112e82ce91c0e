"""The exactly-once routing stage with a 50-route tree, one delivery per event, beside the bare loop.

Both run in processes of their own and are timed by the broker: from the first to the last record they committed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.topics import ENRICHED
from tests.bench.figures import ratio, report
from tests.bench.plant import Plant, fill, kafka, robots

RUNS = 5
EVENTS = 60_000
PARTITIONS = 12


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        plant = Plant(Path(name), link, robots(50, 1))
        plant.prepare()
        asyncio.run(fill(link, ENRICHED, EVENTS))
        ours, bare = [], []
        for run in range(RUNS + 1):
            theirs = timed(link, ENRICHED, f"bare-{run}", ["tests.bench.bare_stage"], [f"bare-{run}", str(EVENTS)])
            Cluster(link).seed_offsets(f"bench{run}", ENRICHED)
            mine = timed(
                link, ENRICHED, f"ours-{run}", ["tests.bench.stage_process"], [f"bench{run}", str(plant.config)]
            )
            if run:  # the first round warms the broker up
                bare.append(theirs)
                ours.append(mine)
        report("stage_events_per_s", ours, "1/s")
        report("bare_stage_events_per_s", bare, "1/s")
        ratio("stage_ratio", ours, bare, ">= 0.7")


def timed(link: Connection, source: str, sink: str, module: list[str], more: list[str]) -> float:
    """Events a second from the first to the last record that the process commits to a new topic."""
    admin = AdminClient(link.client())
    for future in admin.create_topics([NewTopic(sink, PARTITIONS, 1)]).values():
        future.result()
    reader = TopicReader(link, {Home(sink, p): BEGINNING for p in range(PARTITIONS)})
    process = subprocess.Popen([sys.executable, "-m", *module, link.bootstrap, source, sink, *more])
    times: list[int] = []
    until = time.monotonic() + 180
    while len(times) < EVENTS and time.monotonic() < until:
        times.extend(record.at for record in reader.poll(5_000))
    process.terminate()
    process.wait(30)
    reader.close()
    if len(times) != EVENTS:
        raise RuntimeError(f"{len(times)} of {EVENTS} events came out")
    return EVENTS / ((max(times) - min(times)) / 1000)
