"""Peak memory with 1,000,000 events of backlog and a blocked channel; windows and queues never over their caps."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import urllib.request
from pathlib import Path

from andon.kafka.topics import EVENTS
from tests.bench.figures import report
from tests.bench.plant import Plant, fill, kafka, robots
from tests.rig.ports import free_port

COUNT = int(os.environ.get("BENCH_BACKLOG", "1000000"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "120"))
KEYS = 200
SERVICES = ("enrichment", "routing", "egress")
CAPS = {"andon_window_in_flight": 1_000.0, "andon_queue_depth": 500.0}


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        vendor = free_port()  # nothing listens there: every channel is blocked
        plant = Plant(Path(name), link, robots(KEYS, vendor))
        try:
            plant.prepare()
            asyncio.run(fill(link, EVENTS, COUNT))
            for service in SERVICES:
                plant.start(service)
            plant.wait_ready()
            highest = _watch(plant)
            for service in SERVICES:
                report(f"rss_mb_{service}", [plant.peak_rss_mb(service)], "MB", "<= 150")
            for figure, cap in CAPS.items():
                report(f"{figure}_max", [highest[figure]], "records", f"<= {cap:g}")
        finally:
            plant.stop()


def _watch(plant: Plant) -> dict[str, float]:
    """The highest value of each capped metric over the whole time."""
    highest = dict.fromkeys(CAPS, 0.0)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for port in plant.ports.values():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                for line in answer.read().decode().splitlines():
                    figure = line.partition("{")[0]
                    if figure in highest:
                        highest[figure] = max(highest[figure], float(line.rpartition(" ")[2]))
        time.sleep(0.25)
    return highest
