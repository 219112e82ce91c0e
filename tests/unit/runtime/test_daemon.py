"""Blocking calls that the end of a process does not wait for."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from andon.config.load import load
from andon.kafka.admin import Cluster
from andon.runtime.bootstrap import prepare
from andon.runtime.daemon import unawaited
from tests.unit.versions.boards import files


def test_what_it_returns_or_raises_comes_back() -> None:
    assert asyncio.run(unawaited("x", lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(unawaited("x", lambda: 1 // 0))


def test_a_process_that_is_stopped_does_not_wait_for_a_kafka_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`andon up` said "stopped" and stayed for the rest of the minute that it waits for Kafka."""
    files(tmp_path, "one")
    loaded, released, waiting = load(tmp_path), threading.Event(), threading.Event()

    def wait(_cluster: Cluster, _within: float) -> None:
        waiting.set()
        released.wait(20)

    monkeypatch.setattr(Cluster, "__init__", lambda *_: None)
    monkeypatch.setattr(Cluster, "wait", wait)

    async def stopped() -> None:
        starting = asyncio.create_task(prepare(loaded, "127.0.0.1:1"))
        assert await asyncio.to_thread(waiting.wait, 20)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting

    began = time.monotonic()
    asyncio.run(stopped())
    took = time.monotonic() - began
    released.set()
    assert took < 10
