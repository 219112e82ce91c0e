"""10,000 events a minute of one storm, for three minutes: how many notices leave in any minute, and whether the outcome
of each event leads to one of them.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from andon.core.event import Event
from andon.core.outcome import Delivered, Merged, OutcomeRecord
from andon.kafka.topics import OUTCOMES
from tests.bench.figures import report
from tests.bench.open_loop import appended
from tests.bench.outcomes import at_end, read
from tests.bench.plant import Plant, event, kafka, robots
from tests.bench.vendor import Vendor

PER_MINUTE = int(os.environ.get("BENCH_RATE", "10000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "180"))
OVER, PERIOD_S = 200, 60.0
SUBJECTS = 300
SERVICES = ("enrichment", "routing", "egress")
_DIGEST = re.compile(r"【合并 (\d+) 条】")


@dataclass(frozen=True)
class Told:
    """Of `events`: the notices, the most of them in any period, how many events they tell, and how many events have an
    outcome that leads to no notice."""

    events: int
    notices: int
    most: int
    told: int
    lost: int


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        found = run(Path(name), PER_MINUTE * SECONDS // 60, PER_MINUTE / 60, OVER, PERIOD_S)
    report("storm_events", [found.events], "events")
    report("storm_notices", [found.notices], "notices")
    report("storm_notices_in_a_minute_max", [found.most], "notices", f"<= {OVER}")
    report("storm_events_told", [found.told], "events", f"{found.events}")
    report("storm_events_lost", [found.lost], "events", "0")


def run(folder: Path, count: int, rate: float, over: int, period_s: float) -> Told:
    """So many events of one storm, `rate` a second, for one group of which `over` in a period are told one by one."""
    with ExitStack() as stack:
        link = stack.enter_context(kafka(folder))
        vendor = Vendor("wecom", folder, "andon.dev.wecom", "--limit", "0", "--keys", "r0")
        storm = f"limits: {{storm: {{over: {over}/{round(period_s * 1000)}ms, by: [line, code]}}}}\n"
        plant = Plant(folder, link, storm + robots(1, vendor.port, merge="{over: 100000/s}"))
        stack.callback(plant.stop)
        vendor.start(plant)
        plant.prepare()
        for service in SERVICES:
            plant.start(service)
        plant.wait_ready()
        made = at_end(link, OUTCOMES)
        asyncio.run(appended(link, [_of_a_storm(n) for n in range(count)], rate))
        ended = [msgspec.json.decode(one.value, type=OutcomeRecord) for one in read(made, count)]
        time.sleep(1.0)
        seen = list(vendor.seen())
    times = sorted(line["at"] for line in seen)
    most = max(sum(1 for at in times if begin <= at < begin + period_s) for begin in times)
    told = sum(int(found[1]) if (found := _DIGEST.search(line["content"])) else 1 for line in seen)
    return Told(count, len(seen), most, told, _lost(ended))


def _of_a_storm(number: int) -> Event:
    one = event(number, SUBJECTS)
    return msgspec.structs.replace(one, labels=one.labels | {"line": "L1", "code": "E-1", "to": "r0"})


def _lost(ended: list[OutcomeRecord]) -> int:
    """Events whose outcome, over those it names, does not lead to a notice."""
    of = {one.delivery: one.outcome for one in ended}
    ends: Counter[bool] = Counter()
    for last in of.values():
        while isinstance(last, Merged) and last.into in of:
            last = of[last.into]
        ends[isinstance(last, Delivered)] += 1
    return ends[False] + len(ended) - len(of)
