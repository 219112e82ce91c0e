"""20,000 distinct webhook deliveries over 200 receivers: the egress desk beside a bare aiohttp loop, by turns.

The deliveries wait in Kafka and the stages do not run, so that the desk is measured: intents and results in its store,
signatures, real calls. Every receiver has an address of its own, and with it a queue, a limit domain and a breaker;
behind all is one server, which verifies each signature. Then the same once more with one receiver that never answers;
of a backlog the p99 says how long the others' deliveries took to leave, and a steady load how long one takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from andon.core.cloudevents import STRUCTURED
from andon.core.event import Event
from andon.egress.events import content, parted
from andon.kafka.topics import DELIVERIES, EVENTS, OUTCOMES
from andon.web.webhooks import headers
from tests.bench.bare_http import Prepared, bare_calls
from tests.bench.figures import ratio, report
from tests.bench.open_loop import appended
from tests.bench.outcomes import at_end, per_s, read
from tests.bench.plant import Plant, by_label, event, fill, kafka
from tests.bench.vendor import Vendor
from tests.rig.timing import p99

EACH = int(os.environ.get("BENCH_DELIVERIES", "20000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
HOOKS = 200
DEAD = 7
RATE, SECONDS = 300, int(os.environ.get("BENCH_SECONDS", "20"))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STAGES = ("enrichment", "routing")
CLOUD = {"Content-Type": STRUCTURED}


def bench() -> None:
    with ExitStack() as stack:
        name = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="andon-bench-")))
        os.environ |= {"BENCH_SECRET": SECRET, "BENCH_STORE": f"sqlite:///{name}/none"}
        link = stack.enter_context(kafka(name))
        vendor = Vendor("hooks", name, "andon.dev.webhook", "--secret-env", "BENCH_SECRET")
        plant = Plant(name, link, _config(vendor.url) + "store: {url: env:BENCH_STORE}\n")
        stack.callback(plant.stop)
        vendor.start(plant)
        plant.prepare()
        Webhooks(plant, vendor).measure()


class Webhooks:
    """The measurements, one after the other, on one plant. Each run has a new store and events of its own."""

    def __init__(self, plant: Plant, vendor: Vendor) -> None:
        self._plant = plant
        self._vendor = vendor
        self._next = 0
        self._memory: list[float] = []

    def measure(self) -> None:
        ours, bare, others = [], [], []
        for run in range(RUNS):
            bare.append(asyncio.run(self._bare(run)))
            rate, took = self._backlog(0)
            ours.append(rate)
            others.append(took)
        report("webhook_deliveries_per_s", ours, "1/s")
        report("bare_webhooks_per_s", bare, "1/s")
        ratio("webhooks_ratio", ours, bare, ">= 0.5")
        report("webhooks_rss_mb_egress", [max(self._memory)], "MB", "<= 150")
        usual = self._steady()
        self._vendor.fail(kind="hang", key=f"/h{DEAD}")
        _, took = self._backlog(EACH // HOOKS)
        beside = self._steady()
        self._vendor.well()
        report("webhooks_backlog_p99_s", others, "s")
        report("webhooks_backlog_p99_s_beside_a_dead_one", [took], "s")
        report("webhooks_backlog_p99_dead_ratio", [took / sorted(others)[len(others) // 2]], "ratio", "<= 2")
        report("webhooks_steady_p99_s", [usual], "s")
        report("webhooks_steady_p99_s_beside_a_dead_one", [beside], "s")
        report("webhooks_steady_p99_dead_ratio", [beside / usual], "ratio", "<= 2")
        report("webhooks_rss_mb_egress_beside_a_dead_one", [max(self._memory)], "MB", "<= 150")

    async def _bare(self, run: int) -> float:
        now = int(time.time())
        calls = [_call(self._vendor.url, event(number, HOOKS), f"bare-{run}-{number}", now) for number in range(EACH)]
        return await bare_calls(calls, EACH, lambda status, _body: status == 200)

    def _backlog(self, held: int) -> tuple[float, float]:
        """Deliveries per second of a desk that finds all of them in Kafka, and the p99 of how long after the first of
        them one arrived. `held` are for the receiver that does not answer."""
        plant, start = self._plant, self._next
        self._next += EACH
        os.environ["BENCH_STORE"] = f"sqlite:///{plant.folder}/store-{start}"
        waiting, ended = at_end(plant.link, DELIVERIES), at_end(plant.link, OUTCOMES)
        self._begin(*STAGES)
        asyncio.run(fill(plant.link, EVENTS, EACH, start=start))
        read(waiting, EACH)
        self._end(*STAGES)
        mark = self._vendor.size()
        self._begin("egress")
        came = read(ended, EACH - held)
        self._end("egress")
        times = {one: at for one, at in self._arrived(mark).items() if start <= int(one.partition("-")[2])}
        assert len(times) == EACH - held, f"{len(times)} of {EACH - held} arrived"
        first = min(times.values())
        return per_s(came), p99(at - first for at in times.values())

    def _steady(self) -> float:
        """The p99 from the append of an event to its arrival, at a load the path carries easily; of the living."""
        start, count = self._next, RATE * SECONDS
        self._next += count
        os.environ["BENCH_STORE"] = f"sqlite:///{self._plant.folder}/store-{start}"
        mark = self._vendor.size()
        self._begin(*STAGES, "egress")
        events = [event(number) for number in range(start, start + count)]
        due = asyncio.run(appended(self._plant.link, events, RATE))
        living = {one.id for one in events if one.labels["to"] != f"r{DEAD}"}
        until = time.monotonic() + 60
        while not living <= (arrived := self._arrived(mark)).keys() and time.monotonic() < until:
            time.sleep(1.0)
        self._end(*STAGES, "egress")
        assert living <= arrived.keys(), f"{len(living - arrived.keys())} did not arrive"
        return p99(arrived[one] - due[one] for one in living)

    def _begin(self, *services: str) -> None:
        for service in services:
            self._plant.start(service)
        self._plant.wait_ready()

    def _end(self, *services: str) -> None:
        if "egress" in services:
            self._memory.append(self._plant.peak_rss_mb("egress"))
        for service in services:
            self._plant.end(service)

    def _arrived(self, mark: int) -> dict[str, float]:
        """When each event first arrived, by its id."""
        first: dict[str, float] = {}
        for line in self._vendor.seen(mark):
            first.setdefault(json.loads(line["body"])["id"], line["at"])
        return first


def _config(url: str) -> str:
    os.environ |= {f"BENCH_HOOK_{n}": f"{url}/h{n}" for n in range(HOOKS)}
    hook = "secrets: [env:BENCH_SECRET], allow: [127.0.0.1]"
    return by_label([f"{{kind: webhook, url: env:BENCH_HOOK_{n}, {hook}}}" for n in range(HOOKS)], "merge: none")


def _call(url: str, one: Event, identity: str, now: int) -> Prepared:
    """What the channel would send for this event, but for its id."""
    body = parted(content(one))[0].encode()
    return Prepared(f"{url}/h{one.data['n'] % HOOKS}", {**CLOUD, **headers([SECRET], identity, now, body)}, body)
