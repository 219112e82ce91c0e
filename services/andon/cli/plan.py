"""What `andon up` is going to run, and where: ports, addresses and programs, decided before anything starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from andon import broker
from andon.broker.ports import reserved
from andon.cli.check import checked
from andon.cli.kafka import EmbeddedKafka
from andon.config.settings import Settings
from andon.runtime.clock import SystemClock
from andon.runtime.command import Command
from andon.runtime.probe import answers
from andon.runtime.supervisor import Program

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.dev.demo import Demo

KAFKA, METRICS = 8792, 8701
# Stopped from the door on: what is inside still gets through while the services behind it leave.
SERVICES = ("ticketing", "egress", "routing", "enrichment", "ingress")
_METRICS_ORDER = ("ingress", "enrichment", "routing", "egress", "ticketing")


@dataclass(frozen=True)
class Plan:
    """Everything `andon up` needs to know. `programs` stand in starting order and are stopped in reverse."""

    data: Path
    loaded: Loaded
    bootstrap: str
    kafka: EmbeddedKafka | None
    services: tuple[str, ...]
    programs: tuple[Program, ...]
    addresses: Mapping[str, str]
    demo: Demo | None = None


def make(config: Path | None, data: Path, *, run_for: float | None, stack: ExitStack) -> Plan:
    """Decides everything; without a `config` it is the demo. Free ports stay reserved until `stack` is closed.

    Raises config.mistakes.Invalid and BrokerError.
    """
    demo = None
    if config is None:
        from andon.dev.demo import Demo

        demo = Demo(data / "demo", lambda preferred: stack.enter_context(reserved(preferred)))
        config = demo.derive()
        os.environ.update(demo.secrets())
    loaded = checked(config)
    settings = loaded.settings
    kafka, bootstrap = None, settings.kafka.bootstrap
    programs: list[Program] = []
    if bootstrap == "embedded":
        kafka = _embedded(data / (settings.kafka.data or "kafka"), stack)
        bootstrap = f"127.0.0.1:{kafka.port}"
        programs.append(kafka.program())
    if demo:
        programs += demo.stand_ins(settings, data / "logs")
    listen = free_address(settings.listen.address, stack)
    services = tuple(name for name in SERVICES if name != "ticketing" or settings.ticket_systems)
    metrics = _metrics_ports(services, stack)
    common = ("--bootstrap", bootstrap, "--config", str(config), "--data", str(data))
    for name in services:
        more = ("--listen", listen) if name == "ingress" else ()
        programs.append(service(name, metrics[name], (*common, *more), data / "logs", listen))
    if demo:
        programs.append(demo.plant(settings, door(settings, listen), run_for, data / "logs", SystemClock()))
    addresses = {"door": door(settings, listen), "kafka": bootstrap, **(demo.addresses() if demo else {})}
    return Plan(data, loaded, bootstrap, kafka, services, tuple(programs), addresses, demo)


def service(name: str, port: int, options: Sequence[str], log_dir: Path, listen: str) -> Program:
    """One of our services in its own process, ready when its /readyz says so."""
    argv = [sys.executable, "-m", "andon.cli.main", "run", name, "--slot", "0", "--metrics-port", str(port), *options]
    ports = {"door": _port(listen), "metrics": port} if name == "ingress" else {"metrics": port}
    log = log_dir / f"{name}.log"
    # The longest call of a desk takes 15 s; it may end.
    return Program(name, Command(argv, log), log, ready=answers(port), stop_timeout=20.0, ports=ports)


def free_address(address: str, stack: ExitStack) -> str:
    """The address of the configuration, or with the next free port above its own."""
    host, _, port = address.rpartition(":")
    return f"{host}:{stack.enter_context(reserved(int(port)))}"


def door(settings: Settings, listen: str) -> str:
    """The door's address for people on this machine."""
    scheme = "https" if settings.listen.cert else "http"
    host, _, port = listen.rpartition(":")
    return f"{scheme}://{'127.0.0.1' if host in ('0.0.0.0', '', '[::]') else host}:{port}"  # noqa: S104 - a comparison


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _embedded(data: Path, stack: ExitStack) -> EmbeddedKafka:
    """At the port of the node that runs on `data`, else a free one."""
    running = broker.status(data)
    return EmbeddedKafka(data, running.port if running else stack.enter_context(reserved(KAFKA)))


def _metrics_ports(services: Sequence[str], stack: ExitStack) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name in (name for name in _METRICS_ORDER if name in services):
        ports[name] = stack.enter_context(reserved(max(ports.values(), default=METRICS - 1) + 1))
    return ports
