"""Ports for the processes of a test, which stay theirs over a kill and a restart. Imports nothing of Andon."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
from collections.abc import Iterator, Mapping

# Below the range from which the system takes ports for outgoing connections (32768 and up on Linux): such a port may go
# to anybody between our look and the bind. Above `andon up` (8700 to 8900) and below the ports of tests/conftest.py
# (27000 and up). A range begins every 2,000 ports and is short, because a Kafka node takes a second port for its
# controller, from 1,000 above its own.
FIRST, EVERY, LENGTH, RANGES = 10_000, 2_000, 700, 8


def own_range(environment: Mapping[str, str]) -> range:
    """The ports of this test process: the last range without xdist, one of the others for each worker of xdist."""
    worker = environment.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    number = int(worker) % (RANGES - 1) if worker else RANGES - 1
    first = FIRST + EVERY * number
    return range(first, first + LENGTH)


def free_ports(ports: range) -> Iterator[int]:
    """Each of them that is free when its turn comes, once. The start is random: two runs on one machine hardly meet."""
    start = random.SystemRandom().randrange(len(ports))
    for port in (*ports[start:], *ports[:start]):
        if _is_free(port) and _reserve(port):
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> bool:
    """Takes the port for as long as this process lives, also from another test run whose turn comes before ours has
    bound it: by the name of a socket that is in no file system (Linux; elsewhere chance must do)."""
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0andon-test-port-{port}")
    except OSError:
        name.close()
        return False
    _RESERVED.append(name)
    return True


_RESERVED: list[socket.socket] = []
_PORTS = free_ports(own_range(os.environ))
_ONE_AT_A_TIME = threading.Lock()


def free_port() -> int:
    """A port that this process was not given before, and that nobody else listens on. Safe to use from any thread."""
    with _ONE_AT_A_TIME:
        for port in _PORTS:
            return port
    raise RuntimeError("this test process has used up its ports")
