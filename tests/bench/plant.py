"""A system to measure: an embedded Kafka, services as processes, a stand-in; and events to feed it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from andon import broker
from andon.cli.check import checked
from andon.core.event import Event
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.runtime.bootstrap import prepare
from tests.rig.ports import free_port

TEMPLATE = "{{ event.id }} {{ event.subject }} {{ labels.severity }} {{ data.code }}: {{ data.message }}"


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


class Plant:
    """Services as processes. Everything is stopped by its process id."""

    def __init__(self, folder: Path, link: Connection, config: str) -> None:
        self.folder = folder
        self.link = link
        self.config = folder / "config"
        self.config.mkdir(parents=True, exist_ok=True)
        (self.config / "andon.yaml").write_text(config, encoding="utf-8")
        (self.config / "templates").mkdir(exist_ok=True)
        (self.config / "templates" / "bench.j2").write_text(TEMPLATE, encoding="utf-8")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self._stack = ExitStack()

    def prepare(self) -> None:
        asyncio.run(prepare(checked(self.config), self.link.bootstrap))

    def start(self, service: str, *more: str) -> None:
        port = self.ports[service] = free_port()
        argv = ["-m", "andon.cli.main", "run", service, "--bootstrap", self.link.bootstrap, "--metrics-port", str(port)]
        argv += ["--config", str(self.config), "--data", str(self.folder), *more]
        self.spawn(service, argv)

    def spawn(self, name: str, argv: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen([sys.executable, *argv], stdout=log, stderr=log, env=os.environ.copy())
        log.close()

    def wait_ready(self, within: float = 60.0) -> None:
        until = time.monotonic() + within
        for service, port in self.ports.items():
            while not _answers(f"http://127.0.0.1:{port}/readyz"):
                if time.monotonic() > until:
                    raise TimeoutError(f"{service} is not ready: {(self.folder / f'{service}.log').read_text()[-500:]}")
                time.sleep(0.05)

    def peak_rss_mb(self, service: str) -> float:
        status = Path(f"/proc/{self.processes[service].pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
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
    os.environ["BENCH_TOKEN"] = "bench"
    channels = "\n".join(
        f"  c{n}: {{kind: wecom_robot, keys: [env:BENCH_ROBOT_{n}], limit: {rate}, base_url: 'http://127.0.0.1:{standin}'}}"
        for n in range(count)
    )
    receivers = "\n".join(f"  r{n}: {{channel: c{n}, template: bench, merge: {merge}}}" for n in range(count))
    routes = (
        ""
        if count == 1
        else "  routes:\n" + "\n".join(f"    - {{matchers: ['to=\"r{n}\"'], receiver: r{n}}}" for n in range(1, count))
    )
    return f"""version: 1
sources:
  bench: {{kind: http, token: env:BENCH_TOKEN}}
channels:
{channels}
receivers:
{receivers}
route:
  receiver: r0
{routes}
"""
