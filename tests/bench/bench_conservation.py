"""Whether the sum is right at the end: 20,000 events for 50 robots and 2,000 members while their vendors fail.

Real Kafka, real services, the door; answers come late, connections break after the body was read, vendors say 45009 and
proxies show pages. Blocks last a second, at the stand-ins and in the limits that are configured. The verdict is that of
`tests.rig.conservation` over the topics and the stand-ins' own records. The seed repeats the faults.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from andon.core.event import Event
from andon.kafka.codecs import encode
from tests.bench.corp import AGENT, CORP, SECRET, member
from tests.bench.figures import report
from tests.bench.generator import packed, rate
from tests.bench.plant import VENDORS_LIMITS, Plant, event, kafka
from tests.bench.vendor import Vendor
from tests.bench.weather import Weather
from tests.rig.conservation import Books, Sight, balance, over, sights
from tests.rig.plantfile import TEMPLATE
from tests.rig.ports import free_port
from tests.rig.topics import DELIVERIES, OUTCOMES, Topics
from tests.rig.verdict import Verdict

SERVICES = ("enrichment", "routing", "egress")
BLOCK_S = 1.0
ROBOT, MEMBER, CALLS = 20, 30, 400
QUIET, GONE = "quiet", "gone"


@dataclass(frozen=True)
class Size:
    """`each` members make a team; `blocked` says whether the vendor shuts the app out once, for which it is left alone
    for a minute. Faults begin anew for `faulty_s` seconds at most."""

    events: int = int(os.environ.get("BENCH_EVENTS", "20000"))
    robots: int = 50
    members: int = 2_000
    each: int = 20
    blocked: bool = True
    faulty_s: float = 60.0
    within_s: float = 600.0
    seed: int = int(os.environ.get("BENCH_SEED", "1"))

    @property
    def teams(self) -> int:
        return self.members // self.each


def bench() -> None:
    size = Size()
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        began = time.monotonic()
        verdict = run(Path(name), size)
        for figure, value in verdict.figures.items():
            report(f"conservation_{figure}", [value], "", {"lost": "0", "waiting": "0"}.get(figure, ""))
        report("conservation_violations", [len(verdict.violations)], "", "0")
        report("conservation_s", [time.monotonic() - began], "s")
    for sentence in verdict.violations[:20]:
        print(f"  {sentence}")
    assert not verdict.violations, f"{len(verdict.violations)} violations"


def run(folder: Path, size: Size) -> Verdict:
    """One run in this folder."""
    with ExitStack() as stack:
        link = stack.enter_context(kafka(folder))
        keys = ",".join(f"r{n}" for n in range(size.robots))
        robots = Vendor(
            "robots", folder, "andon.dev.wecom", "--limit", f"{ROBOT}", "--period", f"{BLOCK_S}", "--keys", keys
        )
        rules = f'{{"member": [[{MEMBER}, {BLOCK_S}]], "corp": [[{CALLS}, {BLOCK_S}]]}}'
        app = Vendor("app", folder, "tests.bench.corp", "--members", f"{size.members}", "--rules", rules)
        plant = Plant(folder, link, _config(size, robots.url, app.url))
        (plant.config / "templates" / "probe.j2").write_text(TEMPLATE, encoding="utf-8")
        stack.callback(plant.stop)
        for vendor in (robots, app):
            vendor.start(plant)
        plant.prepare()
        door = free_port()
        for service in SERVICES:
            plant.start(service)
        plant.start("ingress", "--listen", f"127.0.0.1:{door}")
        plant.wait_ready()
        topics = Topics(link.bootstrap)
        stack.callback(topics.close)
        events = [_event(number, size) for number in range(size.events)]
        with Weather(robots, app, size.seed, blocked=size.blocked) as weather:
            asyncio.run(rate(door, packed("/v1/events:batch", [encode(one) for one in events], 100), 4))
            _drained(topics, size.events, size.faulty_s)
            weather.clear()
            _drained(topics, size.events, size.within_s)
        verdict = _judged({one.id for one in events}, topics, robots, app)
        verdict.figures |= weather.counted
        return verdict


def _drained(topics: Topics, events: int, within_s: float) -> None:
    """Returns when every event has ended, or the time is over: the balance says then what waits."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        topics.more()
        if len(topics.records[OUTCOMES]) >= len(topics.records[DELIVERIES]):  # else it need not be looked at closely
            books = Books.of(topics)
            known = {one.event for one in books.made.values()} | books.passed.keys()
            if len(known) >= events and books.ended.keys() >= books.made.keys():
                return
        time.sleep(2.0)


def _judged(accepted: set[str], topics: Topics, robots: Vendor, app: Vendor) -> Verdict:
    """The balance, and what only the vendors know: whether a limit was broken, and whether anything went in silence."""
    topics.more()
    groups, people = list(sights(robots.seen(), "key")), list(sights(app.seen(), "member"))
    verdict = balance(accepted, Books.of(topics), [*groups, *people])
    most = {"a robot": _over(groups, ROBOT), "a member": _over(people, MEMBER)}
    verdict.expect(not any(most.values()), f"calls over a limit: {most}")
    refused: Counter[str] = Counter()
    for one in robots.counts().values():
        refused.update(one["refused"])
    told = app.counts()
    refused.update(told["refused"])
    verdict.expect(not refused["45009"], f"the vendors threw back {refused['45009']} calls as too many")
    silent = told["discarded"] + told["cut"]
    verdict.expect(not silent, f"{told['discarded']} messages were discarded in silence, and {told['cut']} cut")
    verdict.figures |= {"over_limit": sum(most.values()), "thrown_back": refused["45009"], "in_silence": silent}
    return verdict


def _over(seen: list[Sight], limit: int) -> int:
    times: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        times[one.who].append(one.at)
    return sum(over(some, limit, BLOCK_S) for some in times.values())


def _event(number: int, size: Size) -> Event:
    """Every second one is for a team, the others for a robot, some for both; some are muted, some have a robot that is
    no more."""
    labels = {"to": f"t{number % size.teams}" if number % 2 else f"r{number // 2 % size.robots}"}
    if number % 20 == 0:
        labels["also"] = f"t{number // 20 % size.teams}"
    if number % 101 == 100:
        labels = {"to": QUIET}
    if number % 211 == 210:
        labels = {"to": GONE}
    one = event(number)
    return msgspec.structs.replace(one, labels=one.labels | labels)


def _config(size: Size, robots: str, app: str) -> str:
    """A second's limit is counted over a tenth more, as a minute's is over two seconds more."""
    os.environ |= {f"BENCH_ROBOT_{n}": f"r{n}" for n in range(size.robots)}
    os.environ |= {"BENCH_TOKEN": "bench", "BENCH_GONE": "unknown", "BENCH_CORP": CORP, "BENCH_SECRET": SECRET}
    robot = f"limit: {ROBOT}/1100ms, block: {BLOCK_S}s, base_url: '{robots}'"
    limits = f"per_member: [{MEMBER}/1100ms], per_corp: [{CALLS}/1100ms], base_url: '{app}'"
    named = f"corp_id: env:BENCH_CORP, agent_id: {AGENT}, secret: env:BENCH_SECRET"
    lines = [
        "version: 1",
        VENDORS_LIMITS.strip(),
        "sources: {bench: {kind: http, token: env:BENCH_TOKEN}}",
        "calendar: {time_intervals: {always: [{times: ['00:00-24:00']}]}}",
        "channels:",
        f"  app: {{kind: wecom_app, {named}, {limits}}}",
        f"  {GONE}: {{kind: wecom_robot, keys: [env:BENCH_GONE], {robot}}}",
        *(f"  r{n}: {{kind: wecom_robot, keys: [env:BENCH_ROBOT_{n}], {robot}}}" for n in range(size.robots)),
        "receivers:",
        f"  {GONE}: {{channel: {GONE}, template: probe, merge: none}}",
    ]
    lines += [f"  r{n}: {{channel: r{n}, template: probe, merge: {_merge(n)}}}" for n in range(size.robots)]
    for n in range(size.teams):
        lines += [f"  t{n}: {{channel: app, to: [{_team(n, size)}], template: probe, merge: {_merge(n)}}}"]
    names = [*(f"r{n}" for n in range(size.robots)), *(f"t{n}" for n in range(size.teams)), GONE]
    lines += ["route:", "  receiver: r0", "  routes:"]
    lines += [f"    - {{matchers: ['to=\"{QUIET}\"'], receiver: r0, mute_time_intervals: [always]}}"]
    lines += [f"    - {{matchers: ['also=\"{one}\"'], receiver: {one}, continue: true}}" for one in names]
    lines += [f"    - {{matchers: ['to=\"{one}\"'], receiver: {one}}}" for one in names]
    return "\n".join(lines) + "\n"


def _team(number: int, size: Size) -> str:
    return ", ".join(map(member, range(number * size.each, (number + 1) * size.each)))


def _merge(number: int) -> str:
    """Every fifth receiver gathers."""
    return "none" if number % 5 else "{over: 5/1100ms}"
