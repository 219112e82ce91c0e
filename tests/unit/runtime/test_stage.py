"""How much a stage takes at a time, on a cluster that is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from andon.core.event import Event
from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted
from andon.kafka.records import Record
from andon.runtime.clock import SystemClock
from andon.runtime.metrics import Metrics
from andon.runtime.stage import StageRunner, StageSettings


class Hurried(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def taken(monkeypatch: pytest.MonkeyPatch, room: Callable[[int], int], batches: int) -> list[int]:
    """The sizes of so many batches of a stage with a backlog, whose n-th transaction has `room(n)` for outputs."""
    settings = StageSettings[Event]("routing", "in", "out", lambda event: event.id, window=8)
    runner = StageRunner(settings, cast("Any", None), Connection("fake"), Hurried(), Metrics(), lambda: 1)
    stop, sizes = asyncio.Event(), list[int]()

    class Consumer:
        def poll(self, most: int, _wait_s: float) -> list[Record]:
            return [Record("in", 0, number, 0, None, b"{}") for number in range(most)]

    def commit(records: Sequence[Record], _answers: object) -> tuple[()]:
        sizes.append(len(records))
        if len(sizes) == batches:
            stop.set()
        if len(records) > room(len(sizes)):
            raise Aborted("timed out")
        return ()

    async def on_poller(work: Callable[..., Any], *args: object) -> Any:
        return work(*args)

    async def ask(_records: Sequence[Record]) -> tuple[()]:
        return ()

    for name, instead in (
        ("_consumer", Consumer()),
        ("_on_poller", on_poller),
        ("_ask", ask),
        ("_commit", commit),
        ("_settle", lambda: None),
    ):
        monkeypatch.setattr(runner, name, instead, raising=False)

    async def work() -> None:
        await asyncio.wait_for(runner._turn(stop), 5.0)

    asyncio.run(work())
    return sizes


def test_what_takes_too_long_is_taken_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same batch would take as long again, for ever."""
    assert taken(monkeypatch, lambda _number: 2, 6) == [8, 4, 2, 3, 1, 2]


def test_it_takes_more_and_more_again_up_to_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    assert taken(monkeypatch, lambda number: 0 if number <= 3 else 8, 12) == [8, 4, 2, *range(1, 9), 8]
