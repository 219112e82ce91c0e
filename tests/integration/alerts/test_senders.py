"""The real Prometheus and the real Alertmanager of Debian in front of the door: what they tell becomes events."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from andon.core.event import Event
from andon.runtime import launch
from tests.component.ingress.stand import standing
from tests.rig.packages import missing
from tests.rig.ports import free_port

pytestmark = pytest.mark.long
WITHIN_S = 60.0
T = TypeVar("T")

PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - authorization: {{credentials: scrape}}
      static_configs: [{{targets: ["127.0.0.1:{door}"]}}]
"""
RULES = """
groups:
  - name: g
    rules:
      - {{alert: Down, expr: 'vector(1) > {bound}', labels: {{severity: critical, instance: m7}}}}
"""
ALERTMANAGER = """
route: {{receiver: andon, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}}
receivers:
  - name: andon
    webhook_configs:
      - url: http://127.0.0.1:{door}/v1/alertmanager
        http_config: {{authorization: {{credentials: scrape}}}}
"""


def needed(program: str, package: str) -> None:
    if reason := missing(program, package):
        pytest.skip(reason)


@asynccontextmanager
async def running(folder: Path, *words: str) -> AsyncIterator[None]:
    """A program that lives as long as the block, and no longer than this process."""
    with (folder / "log").open("wb") as log:
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        process = await asyncio.create_subprocess_exec(*launcher, *words, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def until(told: Callable[[], T | None]) -> T:
    """What it gives once it gives something."""
    async with asyncio.timeout(WITHIN_S):
        while (found := told()) is None:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.1)
    return found


def first(events: Sequence[Event], name: str, value: str) -> Event | None:
    return next((one for one in events if one.labels[name] == value), None)


async def done(folder: Path, *words: str) -> int:
    process = await asyncio.create_subprocess_exec(*words, cwd=folder)
    return await process.wait()


def test_prometheus_raises_and_clears_with_the_door_in_place_of_alertmanager(tmp_path: Path) -> None:
    needed("prometheus", "prometheus")

    async def run() -> None:
        async with standing(tmp_path) as stand:
            (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(door=stand.port), encoding="utf-8")
            (tmp_path / "rules.yml").write_text(RULES.format(bound=0), encoding="utf-8")
            url = f"http://127.0.0.1:{free_port()}"
            address = (f"--web.listen-address={url.removeprefix('http://')}", "--web.enable-lifecycle")
            # What it had to say before it found the door it says again after this time only, a minute by default.
            again = "--rules.alert.resend-delay=1s"
            words = ("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", *address, again)
            async with running(tmp_path, *words):
                raised = await until(lambda: first(stand.log.events, "state", "raise"))
                assert (raised.labels["alertname"], raised.subject) == ("Down", "m7")
                (tmp_path / "rules.yml").write_text(RULES.format(bound=2), encoding="utf-8")
                assert (await stand.client.post(f"{url}/-/reload")).status_code == 200
                cleared = await until(lambda: first(stand.log.events, "state", "clear"))
                assert cleared.labels == {**raised.labels, "state": "clear"}
                assert len(stand.log.events) == 2, "what it repeats is no other event"

    asyncio.run(run())


def test_alertmanager_tells_what_amtool_adds(tmp_path: Path) -> None:
    needed("amtool", "prometheus-alertmanager")

    async def run() -> None:
        async with standing(tmp_path) as stand:
            (tmp_path / "am.yml").write_text(ALERTMANAGER.format(door=stand.port), encoding="utf-8")
            url = f"http://127.0.0.1:{free_port()}"
            words = ("prometheus-alertmanager", "--config.file=am.yml", "--storage.path=data")
            address = (f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=")
            async with running(tmp_path, *words, *address):
                add = ("amtool", f"--alertmanager.url={url}", "alert", "add", "Hot", "severity=major", "instance=m8")
                async with asyncio.timeout(WITHIN_S):
                    while await done(tmp_path, *add):  # noqa: ASYNC110 - it answers when it is ready
                        await asyncio.sleep(0.2)
                told = await until(lambda: first(stand.log.events, "alertname", "Hot"))
                assert (told.subject, told.labels["severity"], told.labels["state"]) == ("m8", "major", "raise")

    asyncio.run(run())


def test_who_told_prometheusalert_only_changes_the_host(tmp_path: Path) -> None:
    needed("amtool", "prometheus-alertmanager")

    async def run() -> None:
        async with standing(tmp_path) as stand:
            asked = "/prometheusalert?type=wx&tpl=prometheus-wx&wxurl=http://127.0.0.1:1/send?key=k"
            there = ALERTMANAGER.replace("/v1/alertmanager", asked)
            (tmp_path / "am.yml").write_text(there.format(door=stand.port), encoding="utf-8")
            url = f"http://127.0.0.1:{free_port()}"
            words = ("prometheus-alertmanager", "--config.file=am.yml", "--storage.path=data")
            address = (f"--web.listen-address={url.removeprefix('http://')}", "--cluster.listen-address=")
            async with running(tmp_path, *words, *address):
                add = ("amtool", f"--alertmanager.url={url}", "alert", "add", "Hot", "instance=m8")
                async with asyncio.timeout(WITHIN_S):
                    while await done(tmp_path, *add):  # noqa: ASYNC110 - it answers when it is ready
                        await asyncio.sleep(0.2)
                told = await until(lambda: first(stand.log.events, "alertname", "Hot"))
                assert told.labels["prometheusalert_tpl"] == "prometheus-wx"

    asyncio.run(run())


def test_amtool_takes_the_door_for_an_alertmanager_to_add_to(tmp_path: Path) -> None:
    """It has no way to show a token but a file of its own."""
    needed("amtool", "prometheus-alertmanager")

    async def run() -> None:
        async with standing(tmp_path) as stand:
            (tmp_path / "http.yml").write_text("authorization: {credentials: scrape}\n", encoding="utf-8")
            door = f"--alertmanager.url=http://127.0.0.1:{stand.port}"
            add = ("amtool", door, "--http.config.file=http.yml", "alert", "add", "Hot", "instance=m8")
            assert await done(tmp_path, *add) == 0
            (event,) = stand.log.events
            assert (event.labels["alertname"], event.subject) == ("Hot", "m8")

    asyncio.run(run())
