"""A network namespace for each node of a cluster, on a bridge of their own, with partitions, loss and a narrow link.

Root only, Linux only. Imports nothing of Andon.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from tests.rig.packages import missing
from tests.rig.watch import pid_gone

NODES = (1, 2, 3)
OURS = re.compile(r"andon-(\d+)-\d")


def unavailable() -> str | None:
    """Why there can be no namespaces here; None where there can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")):
        if reason := missing(program, package):
            return reason
    probe = f"andon-{os.getpid()}-0"
    try:
        _run("ip", "netns", "add", probe)
        _run("ip", "netns", "exec", probe, "nft", "add", "table", "inet", "probe")
    except subprocess.CalledProcessError as problem:
        return f"this kernel lets nobody make network namespaces ({problem.stderr.decode().strip()})"
    finally:
        _try("ip", "netns", "del", probe)
    return None


class Network:
    """Node `n` is at `hosts[n - 1]`, and what is to run there begins with `within[n]`. This process reaches all."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._net = f"10.{random.SystemRandom().randrange(200, 250)}.{random.SystemRandom().randrange(256)}"
        self.hosts = tuple(f"{self._net}.{n}" for n in NODES)
        ip = shutil.which("ip") or "ip"
        self.within = {n: (ip, "netns", "exec", self._name(n)) for n in NODES}

    def __enter__(self) -> Self:
        clear()
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        bridge = f"ab{self._pid}"
        _run("ip", "link", "add", bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self._net}.254/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        for n in NODES:
            outside = self._outside(n)
            _run("ip", "netns", "add", self._name(n))
            _run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self._name(n))
            _run("ip", "link", "set", outside, "master", bridge, "up")
            self._inside(n, "ip", "addr", "add", f"{self.hosts[n - 1]}/24", "dev", "eth0")
            self._inside(n, "ip", "link", "set", "eth0", "up")
            self._inside(n, "ip", "link", "set", "lo", "up")

    def close(self) -> None:
        """Removes everything; what still runs in a namespace keeps it alive until it ends."""
        for n in NODES:
            _try("ip", "link", "del", self._outside(n))
            _try("ip", "netns", "del", self._name(n))
        _try("ip", "link", "del", f"ab{self._pid}")

    # ---- faults

    def isolate(self, node: int, others: Sequence[int]) -> None:
        """Between this node and the others nothing passes any more, in neither direction."""
        hosts = ", ".join(self.hosts[n - 1] for n in others)
        self._rules(node, f"ip saddr {{ {hosts} }} counter drop", f"ip daddr {{ {hosts} }} counter drop")

    def lose(self, percent: int) -> None:
        """Of all that comes to a node, from wherever, so many of a hundred packets are lost."""
        for n in NODES:
            self._rules(n, f'iifname "eth0" numgen random mod 100 < {percent} counter drop')

    def narrow(self, kbit: int) -> None:
        """Each node sends and gets so many kilobits a second at most."""
        rate = ("root", "tbf", "rate", f"{kbit}kbit", "burst", "16kb", "latency", "1s")
        for n in NODES:
            self._inside(n, "tc", "qdisc", "replace", "dev", "eth0", *rate)
            _run("tc", "qdisc", "replace", "dev", self._outside(n), *rate)

    def heal(self) -> None:
        """Everything passes again."""
        for n in NODES:
            for words in (("nft", "delete", "table", "inet", "fault"), ("tc", "qdisc", "del", "dev", "eth0", "root")):
                with suppress(subprocess.CalledProcessError):
                    self._inside(n, *words)
            _try("tc", "qdisc", "del", "dev", self._outside(n), "root")

    def dropped(self) -> int:
        """How many packets the rules have taken away since they were made."""
        return sum(_packets(json.loads(self._inside(n, "nft", "-j", "list", "ruleset"))) for n in NODES)

    def _rules(self, node: int, incoming: str, outgoing: str = "") -> None:
        table = f"""
            table inet fault {{
              chain in {{ type filter hook input priority 0; {incoming}; }}
              chain out {{ type filter hook output priority 0; {outgoing}; }}
            }}"""
        self._inside(node, "nft", "-f", "-", text=table)

    def _inside(self, node: int, *words: str, text: str = "") -> bytes:
        return _run("ip", "netns", "exec", self._name(node), *words, text=text)

    def _name(self, node: int) -> str:
        return f"andon-{self._pid}-{node}"

    def _outside(self, node: int) -> str:
        return f"av{self._pid}n{node}"


def clear() -> None:
    """Removes what killed test runs have left."""
    for name in _run("ip", "netns", "list").decode().splitlines():
        found = OURS.match(name)
        if found and pid_gone(int(found[1])):
            _try("ip", "netns", "del", found[0])
            _try("ip", "link", "del", f"ab{found[1]}")


def _packets(found: Any) -> int:
    """The sum of all counters in what nft says."""
    if isinstance(found, dict):
        own = found["counter"].get("packets", 0) if isinstance(found.get("counter"), dict) else 0
        return own + sum(_packets(value) for key, value in found.items() if key != "counter")
    return sum(map(_packets, found)) if isinstance(found, list) else 0


def _run(*words: str, text: str = "") -> bytes:
    return subprocess.run(words, check=True, capture_output=True, timeout=60, input=text.encode()).stdout


def _try(*words: str) -> None:
    with suppress(subprocess.CalledProcessError, FileNotFoundError):
        _run(*words)
