"""`andon whatif`: recorded events through two sets of rules, in memory and from a real Kafka, with 50 and 1,000 routes.

A quarter of the routes asks a pattern, a tenth a value; the new rules have other words in a tenth of them. In memory it
is what one event costs: its bytes are decoded, decided about twice and compared. From Kafka it is the whole command, as
it is typed, with everything it does before and after.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from andon.config.settings import Settings
from andon.core.event import Event, Position
from andon.kafka.codecs import Json, encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.topics import ENRICHED
from andon.routing.router import Router
from andon.routing.whatif import WhatIf
from tests.bench.figures import report
from tests.bench.plant import Plant, event, kafka

RUNS = 3
BARS = {50: 50_000, 1_000: 12_000}
IN_MEMORY = 100_000
RECORDED = int(os.environ.get("BENCH_WHATIF_EVENTS", "400000"))


def bench() -> None:
    for routes, bar in BARS.items():
        values = [encode(one) for one in recorded(IN_MEMORY, routes)]
        runs = [in_memory(values, routes) for _ in range(RUNS)]
        report(f"whatif_memory_{routes}_routes_events_per_s", runs, "1/s", f">= {bar}")
    for routes, bar in BARS.items():
        with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
            plant = Plant(Path(name), link, rules(routes))
            plant.prepare()
            asyncio.run(fill(link, RECORDED, routes))
            (Path(name) / "new.yaml").write_text(rules(routes, other=True), encoding="utf-8")
            runs = [typed(Path(name), plant, link) for _ in range(RUNS)]
            report(f"whatif_kafka_{routes}_routes_events_per_s", runs, "1/s", f">= {bar}")


def recorded(count: int, routes: int) -> Iterator[Event]:
    """Events as enrichment writes them, spread over the routes."""
    began = datetime.now(UTC) - timedelta(hours=1)
    for number in range(count):
        at = round((began.timestamp() + number / 100) * 1000)
        labels = {"state": "raise", "severity": ("minor", "major", "critical")[number % 3]}
        labels |= {"line": f"L{number * 7 % routes}", "code": f"E-{number % 40}"}
        one = event(number)
        one = msgspec.structs.replace(one, labels=labels, facts={"machine": {"leader": f"p{number % 300}"}})
        yield msgspec.structs.replace(one, origin=(Position("andon.events", number % 12, number, at),))


def rules(routes: int, *, other: bool = False) -> str:
    """As many routes, told apart by `line`, for fifty receivers."""
    lines = []
    for number in range(routes):
        line = number + routes if other and number % 10 == 0 else number
        more = (
            ", 'code=~\"E-1.*|E-2.*\"'" if number % 4 == 0 else ", 'data.temperature > 70'" if number % 10 == 1 else ""
        )
        lines.append(f"    - {{matchers: ['line=\"L{line}\"'{more}], receiver: r{number % 50}}}")
    served = [f"  r{number}: {{channel: app, to: [p{number}, q{number}]}}" for number in range(49)]
    return "\n".join(
        [
            "version: 1",
            "channels: {app: {kind: wecom_app, corp_id: env:C, agent_id: 7, secret: env:S}}",
            "receivers:",
            *served,
            '  r49: {channel: app, to: ["fact:machine.leader"]}',
            "route:",
            "  receiver: r0",
            "  routes:",
            *lines,
            "",
        ]
    )


def in_memory(values: list[bytes], routes: int) -> float:
    """Events a second, decoded and compared."""
    old, new = (router(rules(routes, other=other), version) for other, version in ((False, 1), (True, 0)))
    compared, decode = WhatIf(), Json(Event).decode
    began = time.perf_counter()
    for value in values:
        compared.take(decode(value), old, new)
    took = time.perf_counter() - began
    if compared.difference().different == 0:
        raise RuntimeError("the rules differ, and the events did not show it")
    return len(values) / took


def router(text: str, version: int) -> Router:
    from andon.config.document import parse

    settings = Settings.model_validate(parse(text.encode()).data)
    return Router(settings, version, dict.fromkeys(settings.receivers, "d"))


async def fill(link: Connection, count: int, routes: int) -> None:
    publisher = Publisher(link, "bench-fill", cap=200_000)
    publisher.start()
    batch: list[Outgoing] = []
    for one in recorded(count, routes):
        batch.append(Outgoing(ENRICHED, one.subject.encode(), encode(one)))
        if len(batch) == 5_000:
            await publisher.append(batch)
            batch = []
    await publisher.append(batch)
    await asyncio.to_thread(publisher.close)


def typed(folder: Path, plant: Plant, link: Connection) -> float:
    """Events a second of the whole command."""
    argv = ["whatif", "--routes", str(folder / "new.yaml"), "--from", "1d", "--json", "--bootstrap", link.bootstrap]
    argv += ["--config", str(plant.config), "--data", str(folder)]
    began = time.perf_counter()
    answer = subprocess.run([sys.executable, "-m", "andon.cli.main", *argv], capture_output=True, check=True)
    took = time.perf_counter() - began
    told = json.loads(answer.stdout)
    if told["events"] != RECORDED:
        raise RuntimeError(f"{told['events']} of {RECORDED} events were compared")
    return RECORDED / took
