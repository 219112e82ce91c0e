"""Spans: nothing when they are off, one sentence when they can't be sent, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from andon.config.settings import Otel
from andon.core.event import Event, Home, Position
from andon.core.failure import Rejected, Retryable
from andon.core.fate import Fate, Late
from andon.core.outcome import Parked
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime import tracing
from andon.testing.builders import delivery, event
from andon.testing.clock import ManualClock

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVENT = event(traceparent=TRACEPARENT)


class Drafted(msgspec.Struct):
    """What the door appends, as far as a span tells of it."""

    event: Event


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str | None, Mapping[str, Any], bool]] = []

    def __call__(
        self, name: str, traceparent: str | None, _began: float, _ended: float, attributes: Any, /, failed: bool
    ) -> None:
        self.spans.append((name, traceparent, attributes, failed))

    def close(self) -> None:
        """Has nothing to close."""


def test_off_means_not_there() -> None:
    stage: Any = object()
    work: Any = object()
    log: Any = object()
    assert tracing.spans_of(None, "routing", 0) is None
    assert tracing.traced_stage(stage, None, ManualClock(), "route") is stage
    assert tracing.traced_work(work, None, ManualClock(), "egress") is work
    assert tracing.traced_log(log, None, ManualClock()) is log


def test_a_missing_extra_is_one_sentence_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with caplog.at_level(logging.ERROR):
        assert tracing.spans_of(Otel(endpoint="http://127.0.0.1:1"), "routing", 0) is None
    assert caplog.messages == [tracing.MISSING]
    assert "pip install 'andon[otel]'" in tracing.MISSING


def test_an_event_without_a_trace_tells_nothing_and_no_collector_is_no_trouble() -> None:
    spans = tracing.spans_of(Otel(endpoint="http://127.0.0.1:1"), "routing", 0)
    assert spans is not None
    spans("route", None, 1.0, 2.0, {}, failed=False)
    spans.close()


def test_a_collector_that_never_answers_does_not_hold_up_the_end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_CLOSE_S", 0.2, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        spans = tracing.spans_of(Otel(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), "routing", 0)
        assert spans is not None
        spans("route", TRACEPARENT, 1.0, 2.0, {}, failed=False)
        began = time.monotonic()
        spans.close()
        assert time.monotonic() - began < 2


def test_a_stage_tells_every_event_and_how_it_ended() -> None:
    async def stage(batch: Any) -> Any:
        return [Result((1, 2)), Result((), Parked(Reason.STAGE_FAILED))][: len(batch)]

    told = Told()
    traced: Any = tracing.traced_stage(stage, told, ManualClock(), "route")
    results = asyncio.run(traced([EVENT, event(id="e-2")]))
    assert [len(result.outputs) for result in results] == [2, 0]
    first, second = told.spans
    assert first == (
        "route",
        TRACEPARENT,
        {"event": "e-1", "source": "mes", "type": EVENT.type, "outputs": 2, "batch": 2},
        False,
    )
    assert (second[1], second[2]["reason"], second[3]) == (None, "stage_failed", True)


def test_the_door_tells_only_what_the_log_has_taken() -> None:
    class Log:
        async def append(self, _drafts: Sequence[Drafted], _late: Late | None = None, /) -> Sequence[Fate]:
            return [Position("andon.events", 3, 17, 5), Retryable(Reason.UNAVAILABLE, "no ack")]

    told = Told()
    traced = tracing.traced_log(Log(), told, ManualClock())
    assert len(asyncio.run(traced.append([Drafted(EVENT), Drafted(event(id="e-2"))]))) == 2
    ((name, trace, attributes, failed),) = told.spans
    assert (name, trace, failed) == ("accept", TRACEPARENT, False)
    assert (attributes["partition"], attributes["offset"]) == (3, 17)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Rejected(Reason.GONE), "gone"), (Retryable(Reason.THROTTLED), "throttled"), (KeyError("x"), "unexpected")],
)
def test_a_failed_attempt_is_told_and_raised(error: Exception, reason: str) -> None:
    class Work:
        async def call(self, *_: Any) -> Any:
            raise error

    one = delivery(EVENT)
    item = Item(one.id, Home("d", 0), 0, "duty", "d", "s", b"", 1.0, msgspec.json.encode(one))
    told = Told()
    inner: Any = Work()
    work = tracing.traced_work(inner, told, ManualClock(), "egress")
    with pytest.raises(type(error)):
        asyncio.run(work.call(item, 0, 15.0))
    ((name, trace, attributes, failed),) = told.spans
    assert (name, trace, failed) == ("attempt", TRACEPARENT, True)
    assert (attributes["reason"], attributes["receiver"], attributes["event"]) == (reason, "duty", "e-1")
