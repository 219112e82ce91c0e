"""The demo: a plant with faults, a stand-in of WeCom and a real issue tracker around a configuration that is shipped.

The configuration is `deploy/config/demo`. What runs is a copy in the data directory in which the ports are those that
were free; an edit of the original takes effect while the demo runs. Secrets are made once, at random, and kept beside
the data, so that the next run goes on with it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from andon.config.plugs import Plug
from andon.config.settings import Settings
from andon.core.ports import Clock
from andon.dev.data import create_machines
from andon.runtime.command import Child, Command
from andon.runtime.probe import answers
from andon.runtime.supervisor import Program

WECOM, TRACKER = 8720, 8730
_IN_PACKAGE = Path(__file__).parent / "config"  # in a wheel only
_IN_CHECKOUT = Path(__file__).parents[3] / "deploy" / "config" / "demo"
_PLANT_CLEARS = 25.0  # seconds: told to stop, it still clears what is open
_NAMES = re.compile(r"\benv:(\w+)")


class Demo:
    """Everything of one demo below `home`. `free_port` gives a port or the next free one above it."""

    def __init__(self, home: Path, free_port: Callable[[int], int], source: Path | None = None) -> None:
        self.source = source or (_IN_PACKAGE if _IN_PACKAGE.is_dir() else _IN_CHECKOUT)
        self.sent = home / "sent.jsonl"
        self.record = home / "wecom.jsonl"
        self._home = home
        self._ports = {WECOM: free_port(WECOM), TRACKER: free_port(TRACKER)}

    @property
    def config(self) -> Path:
        """The copy of andon.yaml that runs."""
        return self._home / "config" / "andon.yaml"

    def derive(self) -> Path:
        """Brings the copy of the configuration up to date; files that are equal are not touched. Raises OSError.

        Beside it lies the database that stands for the MES.
        """
        for file in sorted(self.source.rglob("*")):
            if file.is_file():
                content = file.read_bytes()
                if file.name == "andon.yaml":
                    content = self._moved(content)
                _put(self.config.parent / file.relative_to(self.source), content)
        create_machines(self.config.parent / "machines.sqlite")
        return self.config

    def secrets(self) -> dict[str, str]:
        """A value for every secret that the configuration names as `env:NAME`, the same at every run."""
        path = self._home / "secrets.json"
        kept: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
        missing = set(_NAMES.findall(self.config.read_text(encoding="utf-8"))) - kept.keys()
        if missing:
            kept |= {name: _secret() for name in sorted(missing)}
            _put(path, json.dumps(kept, indent=1).encode(), mode=0o600)
        return kept

    def addresses(self) -> dict[str, str]:
        """What a person can look at."""
        return {"tracker": f"http://127.0.0.1:{self._ports[TRACKER]}/tracker/"}

    def stand_ins(self, settings: Settings, logs: Path) -> tuple[Program, ...]:
        """The vendor and the tracker."""
        robots = [os.environ[name] for plug in _of_kind(settings.channels, "wecom_robot") for name in names(plug)]
        wecom, tracker = self._ports[WECOM], self._ports[TRACKER]
        limits = ("--limit", "20", "--period", "60")
        vendor = ("--port", str(wecom), "--record", str(self.record), *limits, "--keys", ",".join(robots))
        password = next(name for plug in _of_kind(settings.ticket_systems, "roundup") for name in names(plug))
        issues = ("--home", str(self._home / "tracker"), "--port", str(tracker), "--password-env", password)
        return (
            _program("wecom", vendor, logs, ready=(wecom, "/_record")),
            _program("tracker", issues, logs, ready=(tracker, "/tracker/")),
        )

    def plant(self, settings: Settings, door: str, run_for: float | None, logs: Path, clock: Clock) -> Program:
        """The machines. They run for ever, or for `run_for` seconds, a start after a crash included."""
        token = next(name for plug in _of_kind(settings.sources, "http") for name in names(plug))
        options = ("--url", door, "--token-env", token, "--sent", str(self.sent))
        endless = _program("plant", options, logs, after=("ingress", "wecom"), stop_timeout=_PLANT_CLEARS)
        if run_for is None:
            return endless
        end: float | None = None

        async def spawn() -> Child:
            nonlocal end
            end = clock.now() + run_for if end is None else end
            left = max(end - clock.now(), 1.0)
            return await Command([*_argv("plant", options), "--for", f"{left:.1f}"], endless.log)()

        return replace(endless, spawn=spawn, once=True)

    def _moved(self, content: bytes) -> bytes:
        for preferred, port in self._ports.items():
            content = content.replace(b"127.0.0.1:%d" % preferred, b"127.0.0.1:%d" % port)
        return content


def names(plug: Plug) -> Sequence[str]:
    """The environment variables a plug-in's own keys name, in order."""
    return [name for text in _texts(plug.options) for name in _NAMES.findall(text)]


def _of_kind(plugs: Mapping[str, Plug], kind: str) -> Iterator[Plug]:
    return (plug for plug in plugs.values() if plug.kind == kind)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in _texts(inner))
    elif isinstance(value, list | tuple):
        yield from (text for inner in value for text in _texts(inner))


def _program(
    name: str,
    options: Sequence[str],
    logs: Path,
    *,
    ready: tuple[int, str] | None = None,
    after: tuple[str, ...] = (),
    stop_timeout: float = 5.0,
) -> Program:
    log = logs / f"{name}.log"
    ports = {name: ready[0]} if ready else {}
    ask = answers(*ready) if ready else None
    spawn = Command(_argv(name, options), log)
    return Program(name, spawn, log, ready=ask, after=after, stop_timeout=stop_timeout, ports=ports)


def _argv(name: str, options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", f"andon.dev.{name}", *options]


def _secret() -> str:
    """128 random bits in the form of a robot key, which never begins with a dash."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def _put(path: Path, content: bytes, mode: int = 0o644) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
    aside.replace(path)
