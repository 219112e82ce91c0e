"""A plant of real processes: Kafka, the sink and services, each to be killed, frozen and started again by name."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from andon import broker
from andon.config.load import load
from andon.runtime import launch
from andon.runtime.bootstrap import prepare
from tests.rig import sink as program
from tests.rig.client import Load, wait_for
from tests.rig.consistency import Anomaly
from tests.rig.hops import anomalies
from tests.rig.memory import Memory
from tests.rig.plantfile import ALL_ROBOTS, CALLED, CORP, ROBOTS, ROTATING, TEMPLATE, plantfile
from tests.rig.ports import free_port
from tests.rig.record import Record
from tests.rig.steering import Steering
from tests.rig.topics import Place, Topics, ends
from tests.rig.vendor import Calls, Wecom
from tests.rig.verdict import Case, Verdict, judge
from tests.rig.watch import Leases, Store, Watch, get, look_at, stopped

SERVICES = ("routing", "enrichment", "egress", "ingress")
TOKEN = "a-token-for-chaos"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
READY_S = 60.0
MARKS_S = 10.0
STOPS_S = 20.0
_MAIN = "andon.cli.main"


class PlantBroken(AssertionError):  # noqa: N818 - a finding about the rig
    """The rig itself could not do what a test asked for."""


class Plant:
    """Everything below `home`. Enter it to start Kafka, the sink and the topics; `up` starts services.

    Processes are tied to the thread that enters: whatever becomes of the test, none is left.
    """

    def __init__(self, home: Path, **limits: int) -> None:
        self.home = home
        self.ports: dict[str, int] = {}
        self.record_file = home / "sink.jsonl"
        self.config = home / "config" / "andon.yaml"
        self.bootstrap = ""
        self._limits = limits
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.killed: dict[int, float] = {}
        self._spans: dict[int, list[tuple[float, float]]] = {}
        self._topics: Topics | None = None
        self.since: dict[Place, int] = {}
        self._began = 0.0
        self._mark = 0
        self._watch = Watch(lambda: {n: at for n, at in self.ports.items() if n.startswith(SERVICES)})
        self._leases = Leases(lambda: self.store)
        self._memory = Memory(lambda: [(n, p.pid) for n, p in list(self._processes.items()) if n.startswith(SERVICES)])
        called = {"CHAOS_CALL": TOKEN, "CHAOS_AES": AES_KEY}
        self._environment = {**os.environ, **called, "CHAOS_TOKEN": TOKEN, "PYTHONFAULTHANDLER": "1"} | {
            f"CHAOS_{name}": f"key-{name}" for name in ALL_ROBOTS
        }

    # ---- life

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.ports["kafka"] = free_port()
        self.kafka_up()
        self.ports["sink"] = free_port()
        self.sink = Steering(self.ports["sink"])
        self._spawn("sink", [sys.executable, program.__file__, str(self.ports["sink"]), str(self.record_file)])
        self.ports["door"] = free_port()
        self.write_config()
        self.publish()
        self._watch.start()
        self._leases.start()
        self._memory.start()
        self.sink.now()

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._leases.close()
        self._memory.close()
        if self._topics:
            self._topics.close()
        for name in list(self._processes):
            self._kill(name)
        broker.stop(self.home / "kafka", timeout_s=5)

    def write_config(self, text: str | None = None) -> None:
        """Writes the plant's configuration, or another in its place."""
        folder = self.config.parent
        (folder / "templates").mkdir(parents=True, exist_ok=True)
        (folder / "templates" / "probe.j2").write_text(TEMPLATE, encoding="utf-8")
        for name in ROTATING:
            if not (folder / name).exists():
                (folder / name).write_text(f"{name}-0", encoding="utf-8")
        text = text or plantfile(self.ports["sink"], self.ports["door"], self._limits, folder)
        self.config.write_text(text, encoding="utf-8")

    def publish(self) -> int:
        """Publishes the configuration as it is on disk; the version in force."""
        os.environ |= {name: self._environment[name] for name in self._environment if name.startswith("CHAOS_")}
        loaded = load(self.config)
        if loaded.mistakes:
            raise PlantBroken(str(loaded.mistakes[0]))
        return asyncio.run(prepare(loaded, self.bootstrap)).version

    def command(self, *words: str) -> Any:
        """What a command of Andon answers."""
        argv = [*words, "--json", "--bootstrap", self.bootstrap, "--config", str(self.config)]
        done = subprocess.run(
            [sys.executable, "-m", _MAIN, *argv], env=self._environment, capture_output=True, text=True
        )
        if done.returncode:
            raise PlantBroken(f"andon {words[0]}: {done.stderr or done.stdout}")
        return json.loads(done.stdout)

    # ---- processes

    def kafka_up(self) -> None:
        """Starts the node, also after a kill; returns when it answers."""
        running = broker.start(
            self.home / "kafka", port=self.ports["kafka"], strict_port=True, tie_to_parent=True, heap_mb=384
        )
        self.bootstrap = running.bootstrap

    def kafka_kill(self) -> None:
        found = broker.status(self.home / "kafka")
        if found is None:
            raise PlantBroken("Kafka does not run")
        os.kill(found.pid, signal.SIGKILL)
        wait_for(lambda: not broker.is_running(self.home / "kafka"), 10)

    def _spawn(self, name: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        tied = (sys.executable, "-I", "-S", launch.__file__, str(os.getpid()))
        with (self.home / "logs" / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(
                [*tied, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self._environment,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def start(self, service: str, slot: int = 0, name: str | None = None) -> str:
        """Starts a service and returns its name, `egress` or `egress-1`, without waiting for it."""
        name = name or (service if slot == 0 else f"{service}-{slot}")
        port = self._port(name)
        argv = [sys.executable, "-m", _MAIN, "run", service, "--slot", str(slot), "--bootstrap", self.bootstrap]
        argv += ["--config", str(self.config), "--data", str(self.home), "--metrics-port", str(port)]
        if service == "ingress":
            argv += ["--listen", self.door_of(slot)]
        self._spawn(name, argv)
        return name

    def _port(self, name: str) -> int:
        """The port that goes with this name, always the same."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def up(self, *services: str) -> None:
        """Starts services, all by default, and returns when they are ready."""
        names = [self.start(service) for service in services or SERVICES]
        for name in names:
            self.wait_ready(name)

    def ready(self, name: str) -> bool:
        return get(self.ports[name], "/readyz")[0] == 200

    def wait_ready(self, name: str, within_s: float = READY_S) -> None:
        process = self._processes[name]
        if not wait_for(lambda: self.ready(name) or process.poll() is not None, within_s) or process.poll() is not None:
            raise PlantBroken(f"{name} is not ready (exit {process.poll()}): {self.log(name)[-1500:]}")

    def names(self) -> list[str]:
        """The processes there are, ended ones included."""
        return list(self._processes)

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def kill(self, name: str) -> float:
        """kill -9; when it was done."""
        pid = self.pid(name)
        at = self._kill(name)
        self._look(name, pid)
        return at

    def _kill(self, name: str) -> float:
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        at = self.killed[process.pid] = time.time()
        process.wait()
        return at

    def _look(self, name: str, ended: int | None = None) -> None:
        """Looks into the store after a desk wrote its last; it tells what `ended` stored, if no other desk is there."""
        if name.startswith("egress"):
            others = (one for other, one in self._processes.items() if other.startswith("egress") and other != name)
            alone = all(one.poll() is not None for one in others)
            look_at(self.store, self._leases.closed, ended if alone else None, self._began)

    def _over(self, name: str) -> bool:
        """Whether a process has ended by itself."""
        process = self._processes[name]
        if process.poll() is None:
            return False
        self._look(name, process.pid)
        return True

    def freeze(self, name: str) -> float:
        os.kill(self.pid(name), signal.SIGSTOP)
        if not wait_for(lambda: stopped(self.pid(name)), STOPS_S, every_s=0.001):
            raise PlantBroken(f"{name} does not stand still")
        at = time.time()
        self._spans[self.pid(name)] = [*self._spans.get(self.pid(name), []), (at, float("inf"))]
        self._look(name)
        return at

    def thaw(self, name: str) -> float:
        at = time.time()
        began = self._spans[self.pid(name)].pop()[0]
        self._spans[self.pid(name)].append((began, at))
        os.kill(self.pid(name), signal.SIGCONT)
        return at

    def exit_code(self, name: str, within_s: float = 60.0) -> int | None:
        """How a process ended by itself; None when it still runs."""
        try:
            code = self._processes[name].wait(within_s)
        except subprocess.TimeoutExpired:
            return None
        self._look(name, self.pid(name))
        return code

    def terminate(self, name: str, within_s: float = 30.0) -> int | None:
        """SIGTERM; the exit code."""
        self._processes[name].terminate()
        code = self.exit_code(name, within_s)
        if code is not None:
            self._processes.pop(name)
        return code

    def adopt(self, old: str, new: str) -> None:
        """Goes on calling a process by another name."""
        self._processes[new] = self._processes.pop(old)
        self.ports[new] = self.ports.pop(old)

    def forget(self, name: str) -> None:
        """Drops an ended process."""
        self._processes.pop(name)

    def log(self, name: str) -> str:
        return (self.home / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    # ---- the witness

    def record(self) -> Record:
        frozen = [(pid, *span) for pid, spans in self._spans.items() for span in spans]
        return Record(self.record_file, frozen, list(self._leases.moves), self._leases.closed, self._mark)

    def begin(self) -> None:
        """From here on the witnesses look at what is new only: what was before has been judged, and no fault of an
        earlier round may spoil this one's figures."""
        if self._topics:
            self._topics.close()
        self._topics = None
        self.since = ends(self.bootstrap)
        self._began = time.time()
        self._mark = self.record_file.stat().st_size if self.record_file.exists() else 0
        self._watch.forget()
        self._memory.forget()
        self.topics().more()

    def peak_mb(self) -> dict[str, float]:
        """The most memory that each service has held since `begin`."""
        return dict(self._memory.peak())

    @property
    def door(self) -> str:
        return self.door_of(0)

    def door_of(self, slot: int) -> str:
        """The address of one of several doors."""
        port = self._port(f"door-{slot}" if slot else "door")
        return f"127.0.0.1:{port}"

    @property
    def store(self) -> Store:
        """The egress desk's database."""
        return self.home / "store" / "egress.sqlite"

    def topics(self) -> Topics:
        """The witness's reader, which keeps what it has read."""
        if self._topics is None:
            self._topics = Topics(self.bootstrap, self.since)
        return self._topics

    def load(
        self, prefix: str, rng: random.Random, receivers: Sequence[str] = ROBOTS, door: int = 0, **more: Any
    ) -> Load:
        return Load(self.door_of(door), TOKEN, prefix, receivers, seed=rng.randrange(1 << 30), **more)

    def calls(self, prefix: str, rng: random.Random, rate: float) -> Calls:
        """Callbacks for the receiver of what no route takes."""
        wecom = Wecom(CALLED, TOKEN, AES_KEY, CORP)
        return Calls(self.door_of(0), wecom, prefix, ROBOTS[0], rate=rate, seed=rng.randrange(1 << 30))

    def case(self, prefix: str, sent: Sequence[Any]) -> Case:
        self.topics().more()
        return Case(prefix, sent, self.topics(), self.record())

    def drained(self, prefix: str, sent: Sequence[Any], within_s: float = 90.0) -> bool:
        """Waits until everything sent has an outcome."""
        return wait_for(lambda: not self.case(prefix, sent).open(), within_s, every_s=0.3)

    def verdict(self, prefix: str, sent: Sequence[Any], within_s: float = 90.0) -> Verdict:
        """Waits for the end of everything, reads once more all that came since `begin`, and judges."""
        self.drained(prefix, sent, within_s)
        fresh = Topics(self.bootstrap, self.since)
        strange: list[Anomaly] = []

        def at_rest() -> bool:
            """The marks of a decided transaction are written one after the other."""
            fresh.more()
            strange[:] = anomalies(self.topics(), fresh, self.since, sent)
            return not any(one.kind == "torn" for one in strange)

        try:
            whole = fresh.more()
            wait_for(at_rest, MARKS_S, every_s=0.5)
            found = judge(Case(prefix, sent, fresh, self.record()), self._watch.highest())
        finally:
            fresh.close()
        found.expect(whole, "the topics could not be read to their end")
        found.violations += [f"{one.kind}: {one.sentence}" for one in strange]
        return found

    def revive(self) -> list[str]:
        """Starts services that ended by themselves again, as the supervisor would, and names them."""
        ended = [name for name in SERVICES if name in self._processes and self._over(name)]
        for name in ended:
            self.start(name)
        return ended

    def mend(self) -> None:
        """Brings a plant back in order that the round before left broken: a sink that answers, every service up."""
        self.sink.well()
        if not broker.is_running(self.home / "kafka"):
            self.kafka_up()
        for name in SERVICES:
            if name not in self._processes or self._over(name):
                self.start(name)
        for name in SERVICES:
            self.wait_ready(name)
