"""What a trace says when it has read as much as it may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from andon.cli.commands.trace import EventPath
from andon.core.delivery import delivery_id
from andon.core.event import Home, Position
from andon.kafka.records import Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DELIVERIES, DLQ, ENRICHED, EVENTS, OUTCOMES, TICKETS
from andon.runtime import trace
from andon.runtime.trace import Accepted, Tracer
from andon.testing.builders import event

MOST = 5


class Endless:
    """Topics with more records than may be read, none of which is the one that is looked for."""

    def __init__(self) -> None:
        self.read = 0

    def partitions(self) -> dict[str, int]:
        return dict.fromkeys((ENRICHED, DELIVERIES, OUTCOMES, TICKETS, DLQ), 1)

    def at_time(self, homes: list[Home], _at: float) -> dict[Home, int]:
        return dict.fromkeys(homes, 0)

    def ends(self, homes: list[Home]) -> dict[Home, int]:
        return dict.fromkeys(homes, 1_000)

    def ordered(self, *_: Any) -> None:
        return None

    def stretch(self, starts: Any, ends: Any, *, having: bytes = b"", most: int = 1_000) -> Iterator[Record]:
        self.read += most
        yield from ()


def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    monkeypatch.setattr(trace, "MOST", MOST)
    return Tracer(cast("Scan", Endless()))


def test_each_topic_that_was_not_read_to_its_end_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    it, one = tracer(monkeypatch), event(origin=(Position(EVENTS, 0, 7, 1_000),))
    it.enriched(Accepted(one, "by hand"))
    it.sent(one, (), {delivery_id(one, "shift"): "robot"})
    it.tickets(one, "episode", 0.0, None)
    it.tickets(one, "episode", 0.0, None)
    it.parked(one)
    assert it.said == [
        f"5 records of {topic} were read for it, and there are more"
        for topic in (ENRICHED, OUTCOMES, DELIVERIES, TICKETS, DLQ)
    ]


def test_an_id_that_is_no_text_is_no_event() -> None:
    """The shell gives any bytes."""
    path = object.__new__(EventPath)
    for wrong in (("\udcff", None), ("E1", "\udcff")):
        with pytest.raises(SystemExit, match="UTF-8"):
            path.decided(*wrong)
