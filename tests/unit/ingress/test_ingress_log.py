"""What the door says of brokers' clocks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from andon.core.event import Position
from andon.core.failure import Retryable
from andon.ingress import log
from andon.ingress.log import KafkaLog
from andon.testing.clock import ManualClock


class Told:
    """A publisher whose records have these fates."""

    def __init__(self, *fates: Position | str) -> None:
        self.fates = fates

    async def append(self, records: Sequence[Any], late: object) -> Sequence[Position | str]:
        return self.fates


def at(clock: ManualClock, apart_s: float) -> Position:
    return Position("andon.events", 3, 7, int((clock.now() + apart_s) * 1_000))


def said(caplog: pytest.LogCaptureFixture, clock: ManualClock, *fates: Position | str) -> list[str]:
    caplog.set_level(logging.WARNING, logger=log.__name__)
    door = KafkaLog(Told(*fates), clock)  # type: ignore[arg-type]
    for _ in range(3):
        asyncio.run(door.append(()))
    return caplog.messages


@pytest.mark.parametrize(("apart_s", "how"), [(7_200, "7200 s ahead of"), (-7_200, "7200 s behind")])
def test_a_clock_two_hours_off_is_told_once(caplog: pytest.LogCaptureFixture, apart_s: float, how: str) -> None:
    clock = ManualClock()
    sentence = (
        f"the clock of the broker that leads andon.events-3 is {how} this machine's; set both by the same time server"
    )
    assert said(caplog, clock, at(clock, 0), at(clock, apart_s), at(clock, apart_s)) == [sentence]


def test_clocks_that_agree_and_answers_without_a_time_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    assert said(caplog, clock, at(clock, 2), at(clock, -2), Position("andon.events", 0, 1), "no answer in time") == []


def test_after_our_clock_was_set_back_it_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger=log.__name__)
    clock = ManualClock()
    door = KafkaLog(Told(at(clock, 7_200)), clock)  # type: ignore[arg-type]
    for _ in range(2):
        asyncio.run(door.append(()))
        clock.advance(-8 * 3_600)
    assert [message.split(" is ")[1].split(" s ")[0] for message in caplog.messages] == ["7200", "36000"]


def test_what_is_not_known_stays_ambiguous() -> None:
    door = KafkaLog(Told("no answer in time"), ManualClock())  # type: ignore[arg-type]
    (fate,) = asyncio.run(door.append(()))
    assert isinstance(fate, Retryable)
    assert fate.ambiguous
