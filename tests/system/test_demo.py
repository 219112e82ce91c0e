"""The demo as a newcomer runs it: unattended, killed in every part, interrupted."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.rig.client import wait_for
from tests.system.conftest import Up

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("system")]

KEYS = {
    "accepted",
    "deliveries",
    "delivered",
    "merged",
    "skipped",
    "parked",
    "waiting",
    "lost",
    "tickets_opened",
    "tickets_closed",
    "latency_ms_p50",
    "latency_ms_p99",
    "first_delivery_s",
}
CHILDREN = ("kafka", "wecom", "tracker", "ticketing", "egress", "routing", "enrichment", "ingress", "plant")
DRAIN_S = 30.0
Starter = Callable[..., Up]
SECONDS = int(os.environ.get("ANDON_DEMO_SECONDS", "15"))
# Longer than nine processes can take to be killed and to come back one by one: the plant is told to end after that.
KILLING_S = 450


@pytest.fixture
def taken_door() -> Iterator[None]:
    """Somebody else has the demo's usual port."""
    with socket.socket() as other:
        with suppress(OSError):  # then somebody else has it already
            other.bind(("127.0.0.1", 8700))
            other.listen()
        yield


def summary_of(one: Up, file: Path, run_s: float) -> dict[str, Any]:
    assert one.exit_code(run_s + DRAIN_S + 150) == 0, one.said()[-3000:]
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) == KEYS
    return found


def whole(found: dict[str, Any], waiting: int = 0) -> None:
    """Conservation, and every ticket closed; at most so many still wait for room under the vendor's limit."""
    assert found["lost"] == 0, found
    assert found["waiting"] <= waiting, found
    assert found["deliveries"] == found["delivered"] + found["merged"] + found["waiting"], found
    assert found["parked"] == found["skipped"] == 0, found
    assert found["tickets_opened"] == found["tickets_closed"] > 0, found


@pytest.mark.usefixtures("taken_door")
def test_an_unattended_run_and_the_next_one_with_its_data(up: Starter, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "summary.json"
    first = up(data, "--demo", "--for", f"{SECONDS}s", "--summary", str(file))
    first.until_running()
    assert first.state()["addresses"]["door"] != "http://127.0.0.1:8700"
    found = summary_of(first, file, SECONDS)
    whole(found)
    assert found["accepted"] >= SECONDS
    assert found["first_delivery_s"] > 0
    assert 0 < found["latency_ms_p50"] <= found["latency_ms_p99"]
    seen = [json.loads(line) for line in (data / "demo" / "wecom.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({one["key"] for one in seen}) == 3
    assert len(seen) >= found["delivered"]
    first.nothing_left()

    second = up(data, "--demo", "--for", "4s", "--summary", str(file))
    again = summary_of(second, file, 4)
    whole(again)
    assert again["accepted"] > found["accepted"]
    assert again["delivered"] >= found["delivered"]
    second.nothing_left()


def test_kill_9_of_each_process_loses_nothing_and_touches_no_other(up: Starter, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    one = up(tmp_path / "data", "--demo", "--for", f"{KILLING_S}s", "--summary", str(file))
    one.until_running()
    assert set(one.programs()) == set(CHILDREN)
    for name in CHILDREN:
        before = {other: found["pid"] for other, found in one.programs().items()}
        os.kill(before[name], signal.SIGKILL)

        def back(name: str = name, old: int = before[name]) -> bool:
            found = one.programs()[name]
            return found["state"] == "ready" and found["pid"] not in (None, old)

        one.until(back, 45, f"{name} does not come back")
        after = {other: found["pid"] for other, found in one.programs().items()}
        changed = [other for other in CHILDREN if other != name and after[other] != before[other]]
        assert not changed, f"kill -9 of {name} also ended {changed}: {[one.programs()[c] for c in changed]}"
    sent = one.data / "demo" / "sent.jsonl"
    before_end = sent.stat().st_size
    one.until(lambda: sent.stat().st_size > before_end, 45, "the plant sends nothing after its start")
    os.kill(one.programs()["plant"]["pid"], signal.SIGTERM)
    # After an outage a robot may have more to say than the 20 a minute of the 30 s in which the run drains.
    whole(summary_of(one, file, 0), waiting=10)
    one.nothing_left()


def test_a_killed_supervisor_leaves_no_process(up: Starter, tmp_path: Path) -> None:
    one = up(tmp_path / "data", "--demo")
    one.until_running()
    one.programs()
    one.signal(signal.SIGKILL)
    one.process.wait()
    one.nothing_left(20)


def test_ctrl_c_ends_in_order_and_a_second_one_at_once(up: Starter, tmp_path: Path) -> None:
    one = up(tmp_path / "data", "--demo")
    one.until_running()
    one.programs()
    one.signal(signal.SIGINT)
    assert wait_for(lambda: one.state()["state"] in ("stopping", "stopped") or one.ended(), 30)
    began = time.monotonic()
    one.signal(signal.SIGINT)
    assert one.exit_code(10) in (0, 130)
    assert time.monotonic() - began < 10
    one.nothing_left(20)

    again = up(tmp_path / "data", "--demo")
    again.until_running()
    again.programs()
    again.signal(signal.SIGINT)
    assert again.exit_code(60) == 0, again.said()[-2000:]
    again.nothing_left(20)
