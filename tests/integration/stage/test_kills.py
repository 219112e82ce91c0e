"""F02: a stage process is killed between producing and committing; an outside reader sees every input exactly once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.stage.line import Line, until
from tests.integration.stage.process import HEARTBEAT_S, SESSION_S
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[3]
POINTS = [*["produced", "offered"] * 5, "committed"]


def begin(line: Line, *point: str) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "tests.integration.stage.process"]
    arguments = [line.kafka.bootstrap, line.service, line.source, line.sink, *point]
    return subprocess.Popen([*module, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)


def test_ten_kills_between_produce_and_commit_and_one_right_after(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    ids: list[str] = []
    for point in POINTS:
        ids += line.send(60, subjects=7)
        before = line.committed()
        process = begin(line, point)
        assert process.wait(60) == -signal.SIGKILL, "it was not killed where it should be"
        if point == "committed":
            asyncio.run(until(lambda before=before: line.committed() > before))  # type: ignore[misc]
        else:
            assert line.committed() == before
    process = begin(line)
    try:
        asyncio.run(line.finished())
    finally:
        process.terminate()
        assert process.wait(40) == 0
    line.exactly_once(ids)
    aborted = len(kafka.read(line.sink, committed=False)) - len(ids)
    assert aborted >= 10, "the kills left nothing behind that a reader must not see"


def test_a_restarted_process_has_its_partitions_back_before_its_session_ends(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    ids = line.send(20)
    first = begin(line)
    try:
        asyncio.run(line.finished())
        first.kill()
        first.wait(10)
        ids += line.send(20)
        second = begin(line)
        started = time.monotonic()
        try:
            asyncio.run(line.finished())
            took = time.monotonic() - started
        finally:
            second.terminate()
            assert second.wait(40) == 0
    finally:
        first.kill()
        first.wait(10)
    print(f"back after kill -9 in {took:.2f} s, start of the interpreter included; the session is {SESSION_S} s")
    assert took < SESSION_S - HEARTBEAT_S
    line.exactly_once(ids)
