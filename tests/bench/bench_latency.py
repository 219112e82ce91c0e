"""An open loop at 500 events/s: from the scheduled send time to the stand-in's receipt, through every service.

The schedule does not wait for answers, so a slow system cannot hide its slowness; how late the generator itself was is
reported beside it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import aiohttp

from andon.kafka.codecs import encode
from tests.bench.figures import report
from tests.bench.plant import Plant, event, kafka, robots
from tests.rig.ports import free_port

RATE = 500
SECONDS = 20
WARM = 5
KEYS = 200


def bench() -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name, kafka(Path(name)) as link:
        vendor, door = free_port(), free_port()
        plant = Plant(Path(name), link, robots(KEYS, vendor))
        try:
            record = Path(name) / "record.jsonl"
            standin = ["-m", "andon.dev.wecom", "--port", str(vendor), "--record", str(record), "--limit", "0"]
            plant.spawn("wecom", [*standin, "--keys", ",".join(f"r{n}" for n in range(KEYS))])
            plant.prepare()
            for service in ("enrichment", "routing", "egress"):
                plant.start(service)
            plant.start("ingress", "--listen", f"127.0.0.1:{door}")
            plant.wait_ready()
            scheduled, lags = asyncio.run(_send(door))
            _report(record, scheduled, lags)
        finally:
            plant.stop()


async def _send(door: int) -> tuple[dict[str, float], list[float]]:
    scheduled: dict[str, float] = {}
    lags: list[float] = []
    tasks: set[asyncio.Task[None]] = set()
    headers = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def post(body: bytes) -> None:
            async with session.post(f"http://127.0.0.1:{door}/v1/events", data=body) as answer:
                assert answer.status == 202, await answer.text()

        began = time.time() + 0.5
        for n in range(RATE * (SECONDS + WARM)):
            due = began + n / RATE
            if (wait := due - time.time()) > 0:
                await asyncio.sleep(wait)
            one = event(n)
            if n >= RATE * WARM:
                scheduled[one.id] = due
                lags.append((time.time() - due) * 1000)
            task = asyncio.create_task(post(encode(one)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
    return scheduled, lags


def _report(record: Path, scheduled: dict[str, float], lags: list[float]) -> None:
    until = time.monotonic() + 60
    while True:
        seen: dict[str, float] = {}
        for line in record.read_text(encoding="utf-8").splitlines():
            call = json.loads(line)
            seen.setdefault(call["content"].split(" ", 1)[0], call["at"])
        if scheduled.keys() <= seen.keys() or time.monotonic() > until:
            break
        time.sleep(0.2)
    missing = scheduled.keys() - seen.keys()
    assert not missing, f"{len(missing)} events did not arrive"
    latencies = sorted((seen[key] - due) * 1000 for key, due in scheduled.items())
    lags.sort()
    report("path_latency_ms_p50", [latencies[len(latencies) // 2]], "ms", "<= 150")
    report("path_latency_ms_p99", [latencies[int(len(latencies) * 0.99)]], "ms", "<= 400")
    report("generator_lag_ms_p99", [lags[int(len(lags) * 0.99)]], "ms")
