"""A system to measure: an embedded Kafka, services as processes, a stand-in; and events to feed it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from andon import broker
from andon.cli.commands.check import checked
from andon.core.event import Event
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.runtime.bootstrap import prepare
from tests.rig.ports import free_port

TEMPLATE = "{{ event.id }} {{ event.subject }} {{ labels.severity }} {{ data.code }}: {{ data.message }}"

VENDORS_LIMITS = "limits: {per_person: none}\n"
"""What andon.yaml says where vendors' limits are measured: not those of what a person can read."""


def event(number: int, subjects: int = 500) -> Event:
    """About 430 bytes of JSON, one of `subjects` machines, for receiver `number % 200`."""
    return Event(
        id=f"e-{number}",
        source="bench",
        type="mes.fault.raised",
        subject=f"line-{number % 50}/M-{number % subjects:04}",
        time=datetime.now(UTC),
        data={"code": f"E-{number % 40}", "message": "spindle over temperature " * 4, "temperature": 71.5, "n": number},
        labels={"state": "raise", "severity": "major", "line": f"L{number % 50}", "to": f"r{number % 200}"},
    )


@contextmanager
def kafka(data: Path) -> Iterator[Connection]:
    """A real node of its own."""
    running = broker.start(data / "kafka", port=free_port(), tie_to_parent=True)
    try:
        yield Connection(running.bootstrap)
    finally:
        broker.stop(data / "kafka")


async def fill(link: Connection, topic: str, count: int, start: int = 0) -> None:
    """Writes events `start` … into a topic, keyed by subject."""
    publisher = Publisher(link, "bench-fill", cap=200_000)
    publisher.start()
    for first in range(start, start + count, 5_000):
        last = min(first + 5_000, start + count)
        batch = [event(n) for n in range(first, last)]
        await publisher.append([Outgoing(topic, one.subject.encode(), encode(one)) for one in batch])
    await asyncio.to_thread(publisher.close)


class Processes:
    """Programs that run in a folder, each with a log there. Everything is stopped by its process id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, argv: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen([sys.executable, *argv], stdout=log, stderr=log, env=os.environ.copy())
        log.close()

    def peak_rss_mb(self, name: str) -> float:
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def end(self, name: str, within_s: float = 30.0) -> None:
        """Ends one of them."""
        process = self.processes.pop(name)
        process.terminate()
        _gone(process, within_s)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            _gone(process, 20)


class Plant(Processes):
    """Services as processes, and the configuration they are given."""

    def __init__(self, folder: Path, link: Connection, config: str) -> None:
        super().__init__(folder)
        self.link = link
        self.config = folder / "config"
        self.config.mkdir(parents=True, exist_ok=True)
        (self.config / "andon.yaml").write_text(config, encoding="utf-8")
        (self.config / "templates").mkdir(exist_ok=True)
        (self.config / "templates" / "bench.j2").write_text(TEMPLATE, encoding="utf-8")
        self.ports: dict[str, int] = {}

    def prepare(self) -> None:
        asyncio.run(prepare(checked(self.config), self.link.bootstrap))

    def start(self, service: str, *more: str) -> None:
        port = self.ports[service] = free_port()
        argv = ["-m", "andon.cli.main", "run", service, "--bootstrap", self.link.bootstrap, "--metrics-port", str(port)]
        argv += ["--config", str(self.config), "--data", str(self.folder), *more]
        self.spawn(service, argv)

    def wait_ready(self, within: float = 60.0) -> None:
        until = time.monotonic() + within
        for service, port in self.ports.items():
            while not _answers(f"http://127.0.0.1:{port}/readyz"):
                if time.monotonic() > until:
                    raise TimeoutError(f"{service} is not ready: {(self.folder / f'{service}.log').read_text()[-500:]}")
                time.sleep(0.05)

    def end(self, name: str, within_s: float = 30.0) -> None:
        self.ports.pop(name, None)
        super().end(name, within_s)


def _gone(process: subprocess.Popen[bytes], within_s: float) -> None:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def robots(count: int, standin: int, *, merge: str = "none", rate: str = "100000/s") -> str:
    """A configuration with `count` receivers, one robot each; label `to` names the receiver."""
    for n in range(count):
        os.environ[f"BENCH_ROBOT_{n}"] = f"r{n}"
    robot = f"limit: {rate}, base_url: 'http://127.0.0.1:{standin}'"
    channels = [f"{{kind: wecom_robot, keys: [env:BENCH_ROBOT_{n}], {robot}}}" for n in range(count)]
    return by_label(channels, f"template: bench, merge: {merge}")


def by_label(given: Sequence[str], receiver: str, **more: Mapping[str, str]) -> str:
    """A configuration with a receiver `r<n>` for each channel that is given; label `to` names the receiver.

    `more` are further `channels` and `receivers` by name, as they stand in YAML.
    """
    os.environ["BENCH_TOKEN"] = "bench"
    named = {**{f"c{n}": channel for n, channel in enumerate(given)}, **more.get("channels", {})}
    served = {**{f"r{n}": f"{{channel: c{n}, {receiver}}}" for n in range(len(given))}, **more.get("receivers", {})}
    first, *others = served
    routes = [f"    - {{matchers: ['to=\"{one}\"'], receiver: {one}}}" for one in others]
    return "\n".join(
        [
            "version: 1",
            "sources: {bench: {kind: http, token: env:BENCH_TOKEN}}",
            "channels:",
            *(f"  {name}: {channel}" for name, channel in named.items()),
            "receivers:",
            *(f"  {name}: {one}" for name, one in served.items()),
            "route:",
            f"  receiver: {first}",
            *(["  routes:", *routes] if routes else []),
            "",
        ]
    )
