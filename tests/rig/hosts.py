"""Several hosts on one machine: a network namespace each, joined to ours by a cable (root on Linux only)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.rig import forward


def unable() -> str | None:
    """Why there can be no namespaces here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "two hosts need network namespaces: Linux and root"
    if shutil.which("ip") is None:
        return "two hosts need network namespaces: the program `ip` (package iproute2) is not there"
    name = f"andon-{uuid.uuid4().hex[:8]}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"two hosts need network namespaces, which this machine refuses: {done.stderr.strip()}"
    _ip("netns", "del", name)
    return None


class Host:
    """A host of its own: its processes see its loopback and a cable to us. We are `us` there, it is `address`."""

    def __init__(self, number: int) -> None:
        self.name = f"andon-{uuid.uuid4().hex[:6]}"
        self._cable = f"av{uuid.uuid4().hex[:8]}"
        self.us, self.address = f"10.213.{number}.1", f"10.213.{number}.2"
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            _ip("addr", "add", f"{self.us}/24", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            for words in (["link", "set", "lo", "up"], ["addr", "add", f"{self.address}/24", "dev", "eth0"]):
                _ip("-n", self.name, *words)
            _ip("-n", self.name, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def reaches(self, port: int) -> int:
        """Makes a port of our loopback answer on its loopback too, over the cable. The id of the process that calls
        here for it."""
        caller = self._forward([], f"{self.us}:{port}", f"127.0.0.1:{port}")
        self._forward(self.inside, f"127.0.0.1:{port}", f"{self.us}:{port}")
        return caller

    def _forward(self, where: Sequence[str], here: str, there: str) -> int:
        argv = [*where, sys.executable, "-I", "-S", str(Path(forward.__file__)), here, there]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        self._running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    @property
    def inside(self) -> list[str]:
        """What goes before a program to run it there."""
        return ["ip", "netns", "exec", self.name]

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)  # the cable goes with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
