"""What `andon up` is going to run, and where: ports, addresses and programs, decided before anything starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from andon import broker
from andon.broker import seats
from andon.broker.ports import reserved
from andon.cli.commands.check import checked
from andon.cli.running import runfile
from andon.cli.running.absent import absent
from andon.cli.running.kafka import EmbeddedKafka
from andon.cli.running.processes import SERVICES, left, program_name
from andon.config.settings import Listen, Settings
from andon.runtime.clock import SystemClock
from andon.runtime.command import Command
from andon.runtime.health import CannotListen
from andon.runtime.probe import answers
from andon.runtime.supervisor import Program

if TYPE_CHECKING:
    from andon.config.load import Loaded
    from andon.dev.demo import Demo

KAFKA, METRICS = 8792, 8701
# Stopped from the door on: what is inside still gets through while the services behind it leave.
STARTED = tuple(reversed(SERVICES))


class Unfit(Exception):  # noqa: N818 - a decision about what was asked for, told to a person
    """So many processes of a service make no sense with this configuration."""

    exit_code = 2


class OfAnother(Exception):  # noqa: N818 - a decision about what was asked for, told to a person
    """The data directory is that of another configuration, over whose rules and open work this one would come."""

    exit_code = 2


@dataclass(frozen=True)
class Plan:
    """Everything `andon up` needs to know. `programs` stand in starting order and are stopped in reverse; `services`
    names those that are ours, `left` the slots of each service that the last `andon up` here ran and this one doesn't.
    A run that `ends` by itself says then what it came to. `notes` are to be told at the start.
    """

    data: Path
    loaded: Loaded
    bootstrap: str
    kafka: EmbeddedKafka | None
    services: tuple[str, ...]
    programs: tuple[Program, ...]
    addresses: Mapping[str, str]
    demo: Demo | None = None
    left: Mapping[str, Sequence[int]] = field(default_factory=dict)
    ends: bool = False
    notes: Sequence[str] = ()


def make(
    config: Path | None,
    data: Path,
    *,
    run_for: float | None,
    stack: ExitStack,
    processes: Mapping[str, int] = {},
    over_another: bool = False,
) -> Plan:
    """Decides everything; without a `config` it is the demo. Free ports stay reserved until `stack` is closed.
    `processes` says how many of a service there are to be, one unless it says otherwise. `over_another`: also where
    the last run on `data` was of another file.

    Raises config.mistakes.Invalid, Unfit, OfAnother, CannotListen and BrokerError.
    """
    demo = None
    if config is None:
        from andon.dev.demo import Demo

        demo = Demo(data / "demo", lambda preferred: stack.enter_context(reserved(preferred)))
        config = demo.config
    if not over_another:
        _require_own(data, config)
    if demo:
        demo.derive()
        os.environ.update(demo.secrets())
    loaded = checked(config)
    settings = loaded.settings
    names = tuple(filter(settings.employs, STARTED))
    _require_fit(processes, names, settings)
    first = free_address(settings.listen.address, stack) if demo else _address(settings.listen, stack)
    kafka, bootstrap = None, settings.kafka.bootstrap
    programs: list[Program] = []
    if bootstrap == "embedded":
        kafka = _embedded(data / (settings.kafka.data or "kafka"), stack)
        bootstrap = kafka.bootstrap
        programs.append(kafka.program())
    if demo:
        programs += demo.stand_ins(settings, data / "logs")
    slots = {name: range(processes.get(name, 1)) for name in names}
    metrics = _metrics_ports(slots, stack)
    # Each door has an address of its own, upwards from the first.
    listen = {slot: free_address(first, stack) if slot else first for slot in slots["ingress"]}
    common = ("--bootstrap", bootstrap, "--config", str(config), "--data", str(data))
    services = [
        service(name, slot, metrics[name, slot], common, data / "logs", listen[slot] if name == "ingress" else None)
        for name in names
        for slot in slots[name]
    ]
    programs += services
    doors = {program_name("door", slot): door(settings, address) for slot, address in listen.items()}
    if demo:
        programs.append(demo.plant(settings, doors["door"], run_for, data / "logs", SystemClock()))
    ours = tuple(program.name for program in services)
    last = runfile.read(data, "programs")
    return Plan(
        data,
        loaded,
        bootstrap,
        kafka,
        services=ours,
        programs=tuple(programs),
        addresses={**doors, "kafka": bootstrap, **(demo.addresses() if demo else {})},
        demo=demo,
        left=left((program["name"] for program in last["programs"]) if last else (), ours),
        ends=run_for is not None,
        notes=(*_moved(settings.listen.address, first), *absent(settings)),
    )


def _require_own(data: Path, config: Path) -> None:
    """Raises OfAnother. A file that is gone was renamed or moved."""
    last = runfile.read(data, "config")
    if last is None:
        return
    before = Path(last["config"])
    if before.exists() and before.resolve() != config.resolve():
        raise OfAnother(
            f"{data} is the data of {before}; give --data another directory for {config}, or --yes to publish it over "
            "that one's rules and open work"
        )


def _require_fit(processes: Mapping[str, int], names: Sequence[str], settings: Settings) -> None:
    """Raises Unfit."""
    for name, count in processes.items():
        if name not in names:
            raise Unfit("there is nothing for ticketing to do: the configuration has no episodes")
        if name != "ingress" and count > settings.kafka.partitions:
            raise Unfit(
                f"{count} processes of {name} are more than the {settings.kafka.partitions} partitions they would "
                "share (kafka.partitions)"
            )


def service(
    name: str, slot: int, port: int, options: Sequence[str], log_dir: Path, listen: str | None = None
) -> Program:
    """One process of a service of ours, ready when its /readyz says so."""
    called = program_name(name, slot)
    argv = [sys.executable, "-m", "andon.cli.main", "run", name, "--slot", str(slot), "--metrics-port", str(port)]
    argv += [*options, *(("--listen", listen) if listen else ())]
    ports = {"door": _port(listen), "metrics": port} if listen else {"metrics": port}
    log = log_dir / f"{called}.log"
    # The longest call of a desk takes 15 s; it may end.
    return Program(called, Command(argv, log), log, ready=answers(port), stop_timeout=20.0, ports=ports)


def _address(listen: Listen, stack: ExitStack) -> str:
    """Where the door is to be: a default moves to a free port, but one that somebody wrote down is where others look
    for it. Raises CannotListen."""
    if "address" not in listen.model_fields_set:
        return free_address(listen.address, stack)
    try:
        stack.enter_context(reserved(_port(listen.address), strict=True))
    except broker.PortError as problem:
        raise CannotListen(f"cannot listen on {listen.address} (listen.address): {problem}") from None
    return listen.address


def _moved(wanted: str, found: str) -> tuple[str, ...]:
    return () if wanted == found else (f"{_port(wanted)} is taken; the door is at {_port(found)}",)


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
    """At the port of the node that runs on `data`, else a free one; the nodes of a cluster have theirs."""
    if cluster := seats.read(data):
        return EmbeddedKafka(data, cluster.seats[0].port, cluster.bootstrap)
    running = broker.status(data)
    return EmbeddedKafka(data, running.port if running else stack.enter_context(reserved(KAFKA)))


def _metrics_ports(slots: Mapping[str, range], stack: ExitStack) -> dict[tuple[str, int], int]:
    ports: dict[tuple[str, int], int] = {}
    for name in (name for name in SERVICES if name in slots):
        for slot in slots[name]:
            ports[name, slot] = stack.enter_context(reserved(max(ports.values(), default=METRICS - 1) + 1))
    return ports
