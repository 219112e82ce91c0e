"""One event for 100,000 members through a WeCom application whose limits are lifted: 100 deliveries, 100 calls.

From the append of the event to `andon.events` until the last member's message stands in the stand-in's record.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from andon.kafka.topics import DELIVERIES
from tests.bench.figures import report
from tests.bench.office import GROUP, Office
from tests.bench.open_loop import appended
from tests.bench.outcomes import at_end, read
from tests.bench.plant import Plant, kafka

RUNS = int(os.environ.get("BENCH_RUNS", "3"))
GROUPS = int(os.environ.get("BENCH_GROUPS", "100"))
LIFTED = '{"member": [], "corp": [], "per_account": 0}'
NO_LIMITS = ", per_member: [1000000/s], per_corp: [1000000/s]"
WITHIN_S = 120.0


@dataclass
class Fanned:
    """One figure for each event: seconds, calls, deliveries with 1,000 recipients; and what egress held at most."""

    took: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)
    memory: float = 0.0


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        found = run(Path(name), GROUPS, RUNS)
    report("fanout_s", found.took, "s", "<= 10")
    report("fanout_worst_s", [max(found.took)], "s", "<= 10")
    report("fanout_calls", found.calls, "calls", f"<= {GROUPS * 110 // 100}")
    report(f"fanout_deliveries_of_{GROUP}", found.deliveries, "deliveries", f"{GROUPS}")
    report("fanout_rss_mb_egress", [found.memory], "MB")


def run(folder: Path, groups: int, events: int) -> Fanned:
    """So many events, one after the other, for a corp of `groups` thousand members. Raises AssertionError unless each
    member sees each event once."""
    found = Fanned()
    with ExitStack() as stack:
        link = stack.enter_context(kafka(folder))
        office = Office(folder, groups, LIFTED, NO_LIMITS)
        plant = Plant(folder, link, office.config())
        stack.callback(plant.stop)
        office.open(plant)
        for number in range(events):
            made = at_end(link, DELIVERIES)
            before = office.vendor.counts()["accepted"]
            found.took.append(_once(plant, office, number))
            found.calls.append(float(office.vendor.counts()["accepted"] - before))
            sizes = [len(json.loads(one.value)["recipients"]) for one in read(made, groups)]
            found.deliveries.append(float(sizes.count(GROUP)))
        found.memory = plant.peak_rss_mb("egress")
    return found


def _once(plant: Plant, office: Office, number: int) -> float:
    """Seconds until everybody has seen it, each of them once."""
    vendor = office.vendor
    mark, before = vendor.size(), vendor.counts()["seen"]
    one = office.fan_out(number)
    due = asyncio.run(appended(plant.link, [one], 1))
    until = time.monotonic() + WITHIN_S
    while vendor.counts()["seen"] - before < office.members:
        assert time.monotonic() < until, f"{vendor.counts()['seen'] - before} of {office.members} saw it in time"
        time.sleep(0.1)
    seen = [line for line in vendor.seen(mark) if line["content"].startswith(one.id)]
    people = Counter(line["member"] for line in seen)
    assert len(seen) == len(people) == office.members, f"{len(people)} people, {len(seen)} messages"
    return float(max(line["at"] for line in seen) - due[one.id])
