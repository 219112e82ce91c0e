"""`andon up` in a process of its own, watched through what it tells: run.json, its exit code, its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.rig.client import wait_for
from tests.rig.watch import pid_gone

RUNNING_S = 120.0


class Up:
    """One `andon up` on the data directory `data`."""

    def __init__(self, data: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.pids: set[int] = set()
        data.parent.mkdir(parents=True, exist_ok=True)
        self.output = data.parent / f"{data.name}-{time.monotonic_ns()}.out"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "andon.cli.main", "up", *arguments, "--data", str(data)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def state(self) -> dict[str, Any]:
        """run.json; every process it ever named is remembered."""
        try:
            whole: dict[str, Any] = json.loads((self.data / "run.json").read_bytes())
        except (OSError, ValueError):
            return {"state": "none", "programs": []}
        if whole["pid"] != self.process.pid:
            return {"state": "none", "programs": []}
        self.pids |= {one["pid"] for one in whole["programs"] if one["pid"]}
        return whole

    def programs(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.state()["programs"]}

    def until(self, condition: Callable[[], bool], within_s: float, what: str) -> None:
        assert wait_for(condition, within_s, every_s=0.1), f"{what}: {self.said()[-2000:]} {self.programs()}"

    def until_running(self) -> None:
        self.until(lambda: self.state()["state"] == "running" or self.ended(), RUNNING_S, "it does not come up")
        assert not self.ended(), self.said()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def exit_code(self, within_s: float) -> int:
        end = time.monotonic() + within_s
        while not self.ended() and time.monotonic() < end:
            self.state()
            time.sleep(0.05)
        self.state()
        assert self.ended(), f"it does not end: {self.said()[-2000:]}"
        return int(self.process.returncode)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def nothing_left(self, within_s: float = 15.0) -> None:
        assert self.pids, "no process was ever seen"
        wait_for(lambda: all(map(pid_gone, self.pids)), within_s)
        left = [pid for pid in self.pids if not pid_gone(pid)]
        assert not left, f"processes are left: {[_command(pid) for pid in left]}"

    def clean(self) -> None:
        if not self.ended():
            self.signal(signal.SIGKILL)
            self.process.wait()
        self.state()
        for pid in self.pids:
            if str(self.data.parent) in _command(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(data: Path, *arguments: str, env: dict[str, str] | None = None) -> Up:
        started.append(Up(data, *arguments, env=env))
        return started[-1]

    yield start
    for one in started:
        one.clean()
