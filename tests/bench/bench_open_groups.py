"""100,000 groups open at one time: what the egress process holds while each waits for its `group_wait`, and when all
have spoken and each remembers until its `repeat_interval` what it told. Every one of them must be seen, once.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from andon.core.event import Event
from andon.kafka.codecs import encode
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS
from tests.bench.figures import report
from tests.bench.plant import Plant, event, kafka, robots
from tests.bench.vendor import Vendor

GROUPS = int(os.environ.get("BENCH_GROUPS", "100000"))
KEYS = 200
SERVICES = ("enrichment", "routing", "egress")
WAIT_S = float(os.environ.get("BENCH_WAIT", "180"))
WITHIN_S = 900.0


@dataclass(frozen=True)
class Held:
    """How many groups were open at one time, and what egress held then, when all had spoken, and at most (MB)."""

    groups: int
    waiting: float
    told: float
    most: float


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        found = run(Path(name), GROUPS, WAIT_S)
    report("open_groups", [found.groups], "groups", f"{GROUPS}")
    report("open_groups_rss_mb_waiting", [found.waiting], "MB", "<= 300")
    report("open_groups_rss_mb_told", [found.told], "MB", "<= 300")
    report("open_groups_rss_mb_peak", [found.most], "MB", "<= 300")


def run(folder: Path, groups: int, wait_s: float) -> Held:
    """So many groups of 200 receivers, each of one event. Raises AssertionError unless each is seen once."""
    with ExitStack() as stack:
        link = stack.enter_context(kafka(folder))
        keys = ",".join(f"r{n}" for n in range(KEYS))
        vendor = Vendor("wecom", folder, "andon.dev.wecom", "--limit", "0", "--keys", keys)
        plant = Plant(folder, link, _config(vendor.port, wait_s))
        stack.callback(plant.stop)
        vendor.start(plant)
        plant.prepare()
        for service in SERVICES:
            plant.start(service)
        plant.wait_ready()
        asyncio.run(_fill(plant, groups))
        opened = _until(lambda: _open(plant), groups, wait_s)
        waiting = _rss_mb(plant)
        _until(lambda: sum(1 for _ in vendor.seen()), groups, WITHIN_S)
        time.sleep(2.0)
        seen = Counter(line["content"].partition(" ")[0] for line in vendor.seen())
        assert len(seen) == groups, f"{len(seen)} of {groups} were seen"
        assert max(seen.values()) == 1, f"{seen.most_common(1)} came more than once"
        return Held(opened, waiting, _rss_mb(plant), plant.peak_rss_mb("egress"))


def _config(port: int, wait_s: float) -> str:
    pace = ("group_by: [subject]", f"group_wait: {wait_s:g}s", "group_interval: 5m", "repeat_interval: 2h")
    route = "".join(f"  {line}\n" for line in pace)
    limits = "limits: {per_person: none, queue: 1000, backlog: 200000}\n"
    return limits + robots(KEYS, port, merge="{over: 100000/s}").replace("route:\n", f"route:\n{route}")


async def _fill(plant: Plant, groups: int) -> None:
    publisher = Publisher(plant.link, "bench-fill", cap=200_000)
    publisher.start()
    for first in range(0, groups, 5_000):
        batch = [_of_its_own(n) for n in range(first, min(first + 5_000, groups))]
        await publisher.append([Outgoing(EVENTS, one.subject.encode(), encode(one)) for one in batch])
    await asyncio.to_thread(publisher.close)


def _of_its_own(number: int) -> Event:
    """An event that makes a group."""
    return msgspec.structs.replace(event(number), subject=f"line-{number % 50}/M-{number:06}")


def _open(plant: Plant) -> int:
    """Open deliveries of egress: each channel has one queue here."""
    with urllib.request.urlopen(f"http://127.0.0.1:{plant.ports['egress']}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("andon_queue_depth{")))


def _until(reached: Callable[[], int], wanted: int, within_s: float) -> int:
    """The last count, once it is as high as wanted or the time is over."""
    until = time.monotonic() + within_s
    while (found := reached()) < wanted and time.monotonic() < until:
        time.sleep(1.0)
    return found


def _rss_mb(plant: Plant) -> float:
    status = Path(f"/proc/{plant.processes['egress'].pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
