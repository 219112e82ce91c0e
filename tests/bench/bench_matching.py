"""How long matching takes: from an event to its routes, in trees of 10 to 10,000 routes of seven shapes.

Patterns have a cache, whose misses are timed apart: what it costs to meet a text of a label for the first time.
"""

from __future__ import annotations

import time
from statistics import median, quantiles

from andon.core.event import Event
from andon.routing.tree import Node, compile_tree
from tests.bench.figures import report
from tests.bench.routes import SHAPES, events
from tests.unit.routing.events import settings

SIZES = (10, 100, 1_000, 10_000)
EVENTS, RUNS, BAR_US = 3_000, 5, 20.0


def bench() -> None:
    rows = []
    for shape, routes in SHAPES.items():
        row = [shape]
        for size in SIZES:
            root = compile_tree(settings({"receiver": "r0", "routes": routes(size)}).route, {})
            given = events(shape, size, EVENTS)
            first = [_microseconds(root, one) for one in given]
            runs = [[_microseconds(root, one) for one in given] for _ in range(RUNS)]
            row.append(f"{median(map(median, runs)):.1f} ({quantiles(runs[0], n=100)[98]:.1f}; {max(first):.0f})")
            if size == 1_000:
                report(f"matching_us_{size}_{shape}", [median(run) for run in runs], "us", f"<= {BAR_US:g}")
        rows.append(row)
    print("| median us (p99; the first of a kind) | " + " | ".join(f"{size:,} routes" for size in SIZES) + " |")
    print("|---" * (len(SIZES) + 1) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def _microseconds(root: Node, given: Event) -> float:
    found: list[Node] = []
    begin = time.perf_counter_ns()
    root.collect(given, found)
    return (time.perf_counter_ns() - begin) / 1_000
