"""Urgent notices while one fan-out to 100,000 members follows the other, all through one application within its limits.

Each urgent notice is for one member on duty, who is among the many as well. Measured from when it was due in
`andon.events` until it stands in the stand-in's record. The stand-in has the vendor's true limits and discards in
silence what is beyond them; nothing may be.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figures import report
from tests.bench.office import Office
from tests.bench.open_loop import appended
from tests.bench.plant import Plant, kafka
from tests.rig.timing import p99

GROUPS = int(os.environ.get("BENCH_GROUPS", "100"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
URGENT, EVERY_S = 2.0, 10.0
WITHIN_S = 120.0


def bench() -> None:
    with ExitStack() as stack:
        name = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="andon-bench-")))
        link = stack.enter_context(kafka(name))
        office = Office(name, GROUPS, "{}")
        plant = Plant(name, link, office.config())
        stack.callback(plant.stop)
        office.open(plant)
        urgent, fanned = asyncio.run(_load(plant, office))
        _report(office, urgent, fanned)


async def _load(plant: Plant, office: Office) -> tuple[dict[str, float], dict[str, float]]:
    """When each urgent notice, and each fan-out, was due."""
    pressing = [office.urgent(number) for number in range(int(SECONDS * URGENT))]
    many = [office.fan_out(10_000 + number) for number in range(int(SECONDS / EVERY_S))]
    urgent, fanned = await asyncio.gather(
        appended(plant.link, pressing, URGENT), appended(plant.link, many, 1 / EVERY_S)
    )
    return urgent, fanned


def _report(office: Office, urgent: dict[str, float], fanned: dict[str, float]) -> None:
    wanted = len(fanned) * office.members + len(urgent)
    until = time.monotonic() + WITHIN_S
    while (told := office.vendor.counts())["seen"] < wanted and time.monotonic() < until:
        time.sleep(0.5)
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for line in office.vendor.seen():
        number = line["content"].split(" ", 1)[0]
        first.setdefault(number, line["at"])
        last[number] = line["at"]
    missing = urgent.keys() - first.keys()
    assert not missing, f"{len(missing)} urgent notices did not arrive"
    spans = [(due, last[one]) for one, due in fanned.items() if one in last]
    beside = [first[one] - due for one, due in urgent.items() if any(begin <= due <= end for begin, end in spans)]
    assert beside, "no urgent notice met a fan-out"
    report("fanout_urgent_s_p50", [sorted(beside)[len(beside) // 2]], "s")
    report("fanout_urgent_s_p99", [p99(beside)], "s", "<= 5")
    report("fanout_urgent_s_worst", [max(beside)], "s")
    report("fanout_urgent_beside", [len(beside)], "notices")
    report("fanout_beside_s", [end - begin for begin, end in spans], "s")
    report("fanout_urgent_unseen", [wanted - told["seen"]], "messages", "0")
    report("fanout_urgent_in_silence", [told["discarded"] + told["cut"]], "messages", "0")
    report("fanout_urgent_refused", [sum(told["refused"].values())], "calls", "0")
