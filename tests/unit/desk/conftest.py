"""Scenes on a desk that runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import pytest

from andon.runtime.desk import runner
from tests.unit.desk.running import Plant


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Plant], Awaitable[None]]], Plant]]:
    def begin(scene: Callable[[Plant], Awaitable[None]]) -> Plant:
        async def whole() -> Plant:
            plant = Plant()
            monkeypatch.setattr(runner, "GroupConsumer", plant.broker.consumer)
            monkeypatch.setattr(runner, "Publisher", plant.broker.publisher)
            monkeypatch.setattr(runner, "past_marks", plant.broker.past_marks)
            await scene(plant)
            return plant

        return asyncio.run(whole())

    threads = set(threading.enumerate())
    yield begin
    assert not [one for one in threading.enumerate() if one not in threads and "egress" in one.name]
