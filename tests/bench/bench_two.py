"""Two processes of the routing stage against one, on 12 partitions, by turns.

Timed by the broker, from the first to the last record they committed. The processes have their shares of the partitions
before the first event is there, and are frozen until the last one is: neither a rebalance nor the filling is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
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
from andon.kafka.members import Members
from andon.kafka.reader import BEGINNING, TopicReader
from tests.bench.bench_stage import PARTITIONS
from tests.bench.figures import ratio, report
from tests.bench.plant import Plant, fill, kafka, robots

RUNS = 5
EVENTS = 30_000
BAR = ">= 0.95"


def bench() -> None:
    most = max(2, os.cpu_count() or 2)
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        plant = Plant(Path(name), link, robots(50, 1))
        plant.prepare()
        rates: dict[int, list[float]] = {1: [], 2: [], **({most: []} if most > 2 else {})}
        for run in range(RUNS + 1):
            for count, taken in rates.items():
                rate = _timed(link, f"{count}-{run}", count, plant.config)
                if run:  # the first round warms the broker up
                    taken.append(rate)
        report("one_stage_process_events_per_s", rates[1], "1/s")
        report("two_stage_processes_events_per_s", rates[2], "1/s")
        ratio("two_processes_ratio", rates[2], rates[1], BAR)
        if most > 2:  # by process it scales only where there are cores
            ratio(f"{most}_processes_ratio", rates[most], rates[1], "")


def _timed(link: Connection, name: str, count: int, config: Path) -> float:
    source, sink, service = f"in-{name}", f"out-{name}", f"bench{name}"
    admin = AdminClient(link.client())
    for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in (source, sink)]).values():
        future.result()
    cluster = Cluster(link)
    while cluster.partitions().get(source) != PARTITIONS:
        time.sleep(0.05)
    cluster.set_offsets(service, {Home(source, p): 0 for p in range(PARTITIONS)})
    argv = [sys.executable, "-m", "tests.bench.stage_process", link.bootstrap, source, sink, service, str(config)]
    processes = [subprocess.Popen([*argv, str(slot)]) for slot in range(count)]
    try:
        _balanced(link, service, count)
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        asyncio.run(fill(link, source, EVENTS))
        for process in processes:
            process.send_signal(signal.SIGCONT)
        return EVENTS / _span_s(link, sink)
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in processes:
            process.wait(30)


def _balanced(link: Connection, service: str, count: int) -> None:
    """Waits until each process has its share."""
    members, until = Members(link), time.monotonic() + 60
    while sorted(len(one.partitions) for one in members.of(service)) != [PARTITIONS // count] * count:
        if time.monotonic() > until:
            raise TimeoutError(f"{count} processes did not share the partitions")
        time.sleep(0.2)


def _span_s(link: Connection, sink: str) -> float:
    reader = TopicReader(link, {Home(sink, p): BEGINNING for p in range(PARTITIONS)})
    times: list[int] = []
    until = time.monotonic() + 180
    while len(times) < EVENTS and time.monotonic() < until:
        times.extend(record.at for record in reader.poll(5_000))
    reader.close()
    if len(times) != EVENTS:
        raise RuntimeError(f"{len(times)} of {EVENTS} events came out")
    return (max(times) - min(times)) / 1000
