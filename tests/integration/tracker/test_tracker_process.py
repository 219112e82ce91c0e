"""The tracker as a process: its data stays, its failures are told, and it ends with whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from andon.core.failure import Retryable
from andon.core.reason import Reason
from andon.dev.tracker import TrackerFailed, start_tracker
from tests.integration.tracker.rig import PASSWORD, rig
from tests.rig.ports import free_port


def test_it_starts_fast(tmp_path: Path) -> None:
    took: list[float] = []
    # A machine that stands still meanwhile makes it longer and never shorter: the quickest of a few is the true one.
    while len(took) < 3 and (not took or min(took) >= 3):
        began = time.monotonic()
        running = start_tracker(tmp_path / f"{len(took)}", free_port(), PASSWORD)
        took.append(time.monotonic() - began)
        running.stop()
    assert min(took) < 3


def test_it_starts_anywhere_and_keeps_its_data_over_restarts(tmp_path: Path) -> None:
    home, port = tmp_path / "a=b 目录" / "tracker", free_port()
    start_tracker(home, port, "another-password").stop()

    async def open_ticket(url: str) -> str:
        async with rig(url) as real:
            return (await real.system().open("restart/1#1", "kept", "text", "major")).id

    second = start_tracker(home, port, PASSWORD)
    try:
        number = asyncio.run(open_ticket(second.url))
    finally:
        second.stop()
    with pytest.raises(Retryable) as failed:
        asyncio.run(open_ticket(second.url))
    assert (failed.value.reason, failed.value.ambiguous) == (Reason.NOT_SENT, False)

    moved = start_tracker(home, free_port(), PASSWORD)
    try:
        assert asyncio.run(open_ticket(moved.url)) == number
    finally:
        moved.stop()


def test_a_crash_in_the_middle_loses_no_ticket(tmp_path: Path) -> None:
    port = free_port()
    running = start_tracker(tmp_path, port, PASSWORD)

    async def open_ticket() -> str:
        async with rig(running.url) as real:
            return (await real.system().open("crash/1#1", "kept", "text", "major")).id

    number = asyncio.run(open_ticket())
    os.kill(running.pid, signal.SIGKILL)
    running.stop()
    again = start_tracker(tmp_path, port, PASSWORD)
    try:
        assert asyncio.run(open_ticket()) == number
    finally:
        again.stop()


def test_a_taken_port_is_one_clear_error(tmp_path: Path) -> None:
    port = free_port()
    running = start_tracker(tmp_path / "one", port, PASSWORD)
    try:
        with pytest.raises(TrackerFailed, match=f"port {port}.*in use"):
            start_tracker(tmp_path / "two", port, PASSWORD)
    finally:
        running.stop()


def test_without_its_password_it_does_not_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "andon.dev.tracker", "--home", str(tmp_path), "--password-env", "NOT_SET_HERE"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "the environment variable NOT_SET_HERE is not set\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, signal; from andon.dev.tracker import start_tracker\n"
        "print(start_tracker(pathlib.Path(sys.argv[1]), int(sys.argv[2]), 'pw').pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(free_port())], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with parent.stdout as output:
        pid = int(output.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while _runs(pid):
        assert time.monotonic() < deadline, "the tracker outlived its parent"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
