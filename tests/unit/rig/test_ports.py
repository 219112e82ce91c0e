"""Ports that nobody takes between the look and the bind."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rig.ports import FIRST, free_port, free_ports, own_range

ROOT = Path(__file__).parents[3]

WORKERS = [{}, *({"PYTEST_XDIST_WORKER": f"gw{n}"} for n in range(7))]
EPHEMERAL, CONTROLLER = 32_768, 1_200  # a node looks for its controller's port up to so far above its own


def test_no_range_meets_another_nor_what_is_fixed() -> None:
    ranges = [own_range(worker) for worker in WORKERS]
    ports = [port for one in ranges for port in one]
    assert len(set(ports)) == len(ports)
    assert not set(ports) & {port + 1_000 + n for port in ports for n in range(200)}, "a controller of another range"
    assert min(ports) == FIRST > 8_900
    assert max(ports) + CONTROLLER < 27_000 < EPHEMERAL


def test_more_workers_than_ranges_share() -> None:
    assert own_range({"PYTEST_XDIST_WORKER": "gw7"}) == own_range({"PYTEST_XDIST_WORKER": "gw0"})


def test_each_port_is_given_once_and_a_taken_one_never() -> None:
    ports = own_range({})[-6:]
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports[2]))
        found = list(free_ports(ports))
    assert ports[2] not in found
    assert len(set(found)) == len(found) <= 5
    assert set(found) <= set(ports)


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", free_port()))
        other.bind(("127.0.0.1", free_port()))


def test_another_run_on_this_machine_gets_other_ports() -> None:
    first = 9_000 + 40 * (os.getpid() % 22)  # what this process takes it keeps, also from the tests of another run
    few = range(first, first + 40)
    code = (
        f"from tests.rig.ports import free_ports; p = free_ports({few}); print([next(p) for _ in range(15)]); input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        theirs = set(json.loads(other.stdout.readline()))
        ours = set(free_ports(few))
        other.communicate("\n")
    assert len(theirs) == 15
    assert ours
    assert not theirs & ours


def test_threads_may_ask_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: free_port(), range(64)))
    assert len(set(found)) == 64
