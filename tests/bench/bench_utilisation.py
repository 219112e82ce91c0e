"""Ten minutes at the vendor's limit, by real clocks: how much of what is legal each robot, and each member, gets.

A robot may be called 20 times a minute and a member be told 30 times a minute; more than that waits for each at all
times. What is counted is the record of the stand-ins, which refuse, or discard in silence, what is beyond. The share is
that of whole periods: from a robot's first call to that of its last full twenty.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import msgspec

from andon.core.event import Event
from andon.kafka.topics import OUTCOMES
from tests.bench.corp import AGENT, CORP, SECRET, member
from tests.bench.figures import report
from tests.bench.open_loop import appended
from tests.bench.outcomes import at_end
from tests.bench.plant import VENDORS_LIMITS, Plant, by_label, event, kafka
from tests.bench.vendor import Vendor
from tests.rig.conservation import over

MINUTES = float(os.environ.get("BENCH_MINUTES", "10"))
ROBOTS, MEMBERS = 20, 10
TO_ROBOT, TO_MEMBER, MINUTE_S = 20, 30, 60.0
TURN_S = 30.0
SERVICES = ("enrichment", "routing", "egress")
FAST = 5_000.0
DAY = '{"per_account": 0}'  # so few members would use up their day


def bench() -> None:
    with ExitStack() as stack:
        name = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="andon-bench-")))
        link = stack.enter_context(kafka(name))
        robots = Vendor("robots", name, "andon.dev.wecom", "--keys", ",".join(f"r{n}" for n in range(ROBOTS)))
        app = Vendor("app", name, "tests.bench.corp", "--members", str(MEMBERS), "--rules", DAY)
        plant = Plant(name, link, _config(robots.url, app.url))
        stack.callback(plant.stop)
        for vendor in (robots, app):
            vendor.start(plant)
        plant.prepare()
        for service in SERVICES:
            plant.start(service)
        plant.wait_ready()
        ended = at_end(link, OUTCOMES)
        kinds: Counter[str] = Counter()
        until = time.monotonic() + MINUTES * MINUTE_S
        numbers = count()
        asyncio.run(appended(link, _events(numbers, 3.0), FAST))
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(TURN_S, left))
            asyncio.run(appended(link, _events(numbers, TURN_S / MINUTE_S), FAST))
            kinds.update(msgspec.json.decode(one.value)["outcome"]["outcome"] for one in ended.poll(10_000))
        ended.close()
        _report("robot", "key", robots, TO_ROBOT, ROBOTS)
        _report("member", "member", app, TO_MEMBER, MEMBERS)
        told = app.counts()
        thrown = [sum(sum(one["refused"].values()) for one in robots.counts().values()), sum(told["refused"].values())]
        report("utilisation_thrown_back", [float(sum(thrown))], "calls", "0")
        report("utilisation_in_silence", [told["discarded"] + told["cut"]], "messages", "0")
        report("utilisation_not_delivered", [float(kinds.total() - kinds["delivered"])], "outcomes", "0")


def _events(numbers: count[int], minutes: float) -> list[Event]:
    """What each robot and each member may get in so many minutes."""
    wanted = [(f"r{n}", TO_ROBOT) for n in range(ROBOTS)] + [(f"m{n}", TO_MEMBER) for n in range(MEMBERS)]
    found = []
    for to, a_minute in wanted:
        for _ in range(round(a_minute * minutes)):
            one = event(next(numbers))
            found.append(msgspec.structs.replace(one, labels=one.labels | {"to": to}))
    return found


def _report(what: str, who: str, vendor: Vendor, limit: int, wanted: int) -> None:
    times: dict[str, list[float]] = defaultdict(list)
    for line in vendor.seen():
        times[line[who]].append(line["at"])
    assert len(times) == wanted, f"{len(times)} of {wanted} were called"
    shares = [_share(some, limit) for some in times.values()]
    whole = [sum(at < some[0] + MINUTES * MINUTE_S for at in some) / (limit * MINUTES) for some in times.values()]
    report(f"utilisation_{what}_worst", [min(shares)], "ratio", ">= 0.95")
    report(f"utilisation_{what}", shares, "ratio", ">= 0.95")
    report(f"utilisation_{what}_of_the_whole_time", whole, "ratio")
    report(
        f"utilisation_{what}_over", [float(sum(over(some, limit, MINUTE_S) for some in times.values()))], "calls", "0"
    )


def _share(times: Sequence[float], limit: int) -> float:
    """The rate of whole periods, as a share of the legal one."""
    full = (len(times) - 1) // limit * limit
    assert full, f"only {len(times)} calls: the time was too short"
    return full / (times[full] - times[0]) / (limit / MINUTE_S)


def _config(robots: str, app: str) -> str:
    os.environ |= {f"BENCH_ROBOT_{n}": f"r{n}" for n in range(ROBOTS)} | {"BENCH_CORP": CORP, "BENCH_SECRET": SECRET}
    channels = [f"{{kind: wecom_robot, keys: [env:BENCH_ROBOT_{n}], base_url: '{robots}'}}" for n in range(ROBOTS)]
    corp = f"corp_id: env:BENCH_CORP, agent_id: {AGENT}, secret: env:BENCH_SECRET, base_url: '{app}'"
    alone = "template: bench, merge: none"
    people = {f"m{n}": f"{{channel: app, to: [{member(n)}], {alone}}}" for n in range(MEMBERS)}
    return VENDORS_LIMITS + by_label(
        channels, alone, channels={"app": f"{{kind: wecom_app, {corp}}}"}, receivers=people
    )
