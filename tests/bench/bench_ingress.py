"""The door: HTTP accept → Kafka's ack → 202, one worker, 64 connections, idempotency on."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path

from tests.bench.figures import ratio, report
from tests.bench.generator import rate, requests
from tests.bench.plant import Plant, kafka, robots
from tests.rig.ports import free_port

RUNS = 5
SINGLES = 8_000
BATCHED = 30_000


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        door, bare = free_port(), free_port()
        plant = Plant(Path(name), link, robots(1, free_port()) + "limits: {backlog: 100000000}\n")
        try:
            plant.prepare()
            plant.start("ingress", "--listen", f"127.0.0.1:{door}")
            plant.spawn("bare", ["-m", "tests.bench.bare_ingress", link.bootstrap, "andon.actions", str(bare)])
            plant.wait_ready()
            _compare(door, bare)
        finally:
            plant.stop()


def _compare(door: int, bare: int) -> None:
    figures: dict[str, list[float]] = {"single": [], "bare_single": [], "batch": [], "bare_batch": []}
    for run in range(RUNS + 1):
        for batch, count, mine, other in ((1, SINGLES, "single", "bare_single"), (100, BATCHED, "batch", "bare_batch")):
            path = "/v1/events" if batch == 1 else "/v1/events:batch"
            prepared = requests(path, (run * 2 + (batch > 1)) * 1_000_000, count, batch)
            gc.disable()
            theirs = asyncio.run(rate(bare, prepared)) * batch
            ours = asyncio.run(rate(door, prepared)) * batch
            gc.enable()
            if run:  # the first round warms both up
                figures[mine].append(ours)
                figures[other].append(theirs)
    report("ingress_single_per_s", figures["single"], "1/s")
    report("bare_ingress_per_s", figures["bare_single"], "1/s")
    ratio("ingress_single_ratio", figures["single"], figures["bare_single"], ">= 0.7")
    report("ingress_batch_events_per_s", figures["batch"], "1/s")
    report("bare_batch_events_per_s", figures["bare_batch"], "1/s")
    ratio("ingress_batch_ratio", figures["batch"], figures["bare_batch"], ">= 0.6")
