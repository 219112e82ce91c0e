"""Every input has an outcome, whatever the stage does with its batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from andon.core.event import Event
from andon.core.outcome import Parked, Skipped
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.kafka import transactions
from andon.kafka.connection import LARGEST
from andon.runtime.metrics import Metrics
from tests.integration.stage.line import Line, passing
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

Maker = Callable[[Sequence[Event]], Any]


def staged(make: Maker) -> Any:
    async def stage(batch: Sequence[Event]) -> Any:
        return make(batch)

    return stage


def third(one: Event) -> bool:
    return bool(one.data["n"] == 2)


def raising(batch: Sequence[Event]) -> Any:
    if any(third(one) for one in batch):
        raise KeyError("the third")
    return [Result((one,)) for one in batch]


def passed(one: Event) -> Result[Event]:
    return Result((one,))


def test_every_output_stands_in_the_log_exactly_once(kafka: Kafka) -> None:
    line = Line(kafka, partitions=3)
    ids = line.send(2_500)
    line.work()
    line.exactly_once(ids)
    assert {one.origin[-1].topic for one in line.outputs()} == {line.source}


@pytest.mark.parametrize("abortable", [True, False], ids=["to be aborted", "its producer lost"])
def test_a_batch_whose_transaction_did_not_happen_is_taken_again(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, abortable: bool
) -> None:
    """The partitions stay, so nothing but the rewind brings it back: what is read on from there would be committed past
    it, and it would be lost."""
    refused: list[object] = []

    class Refusing(Producer):
        def commit_transaction(self, *given: Any) -> None:
            if len(refused) < 3:
                refused.append(given)
                raise KafkaException(KafkaError(KafkaError._STATE, "a test", False, False, abortable))
            super().commit_transaction(*given)

    monkeypatch.setattr(transactions, "Producer", Refusing)
    line = Line(kafka)
    ids = line.send(2_500)
    line.work()
    assert len(refused) == 3
    line.exactly_once(ids)


def test_fan_out_keeps_every_output_of_an_event(kafka: Kafka) -> None:
    line = Line(kafka)
    line.send(5)
    line.work(staged(lambda batch: [Result((one, one, one)) for one in batch]))
    assert line.ids() == [f"e-{n}" for n in range(5) for _ in range(3)]


@pytest.mark.parametrize(
    ("make", "reason", "lost"),
    [
        pytest.param(raising, Reason.STAGE_FAILED, {2}, id="raises on the third of ten"),
        pytest.param(lambda b: [passed(o) for o in b if not third(o)], Reason.NO_RESULT, {2}, id="too few results"),
        pytest.param(lambda b: [passed(b[0])] * (len(b) + 1), Reason.NO_RESULT, set(range(10)), id="too many results"),
        pytest.param(lambda b: [], Reason.NO_RESULT, set(range(10)), id="an empty list"),
        pytest.param(lambda b: None, Reason.NO_RESULT, set(range(10)), id="None"),
        pytest.param(
            lambda b: [None if third(o) else passed(o) for o in b], Reason.NO_RESULT, {2}, id="None for the third"
        ),
        pytest.param(
            lambda b: [Result() if third(o) else passed(o) for o in b], Reason.NO_RESULT, {2}, id="an empty result"
        ),
        pytest.param(
            lambda b: [Result((object(),)) if third(o) else passed(o) for o in b],
            Reason.STAGE_FAILED,
            {2},
            id="an output that is no record",
        ),
        pytest.param(
            lambda b: [
                passed(msgspec.structs.replace(o, data={"x": "x" * LARGEST})) if third(o) else passed(o) for o in b
            ],
            Reason.TOO_LARGE,
            {2},
            id="an output larger than the topic takes",
        ),
    ],
)
def test_a_broken_stage_parks_what_it_spoils_and_nothing_else(
    kafka: Kafka, make: Maker, reason: Reason, lost: set[int]
) -> None:
    line = Line(kafka)
    line.send(10)
    line.work(staged(make))
    assert line.ids() == [f"e-{n}" for n in range(10) if n not in lost]
    parked = line.parked()
    assert parked.keys() == lost
    originals = kafka.read(line.source)
    for offset, copy in parked.items():
        headers = dict(copy.headers() or ())
        assert copy.value() == originals[offset].value()
        assert copy.key() == originals[offset].key()
        assert headers["andon-reason"] == reason.encode()
        assert headers["andon-class"]
    outcomes = line.outcomes()
    assert outcomes.keys() == {f"e-{n}" for n in lost}
    for one in outcomes.values():
        assert isinstance(one.outcome, Parked)
        assert one.outcome.reason == reason
        assert one.config_version == 7


def test_a_skipped_event_has_an_outcome_and_no_dead_letter(kafka: Kafka) -> None:
    line = Line(kafka)
    line.send(3)
    muted = Skipped(Reason.MUTED, "night")
    metrics = Metrics()
    line.work(staged(lambda batch: [Result((), muted) if third(o) else passed(o) for o in batch]), metrics=metrics)
    assert line.ids() == ["e-0", "e-1"]
    assert line.outcomes()["e-2"].outcome == muted
    assert not line.parked()
    text = metrics.text().decode()
    assert f'andon_records_total{{outcome="passed",reason="ok",service="{line.service}"}} 2.0' in text
    assert f'andon_records_total{{outcome="skipped",reason="muted",service="{line.service}"}} 1.0' in text


def test_the_window_is_never_exceeded(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    ids = line.send(1_900)
    metrics, seen = Metrics(), []

    async def stage(batch: Sequence[Event]) -> Sequence[Result[Event]]:
        seen.append((len(batch), metrics.window_in_flight.labels(line.service)._value.get()))
        return await passing(batch)

    line.work(stage, window=500, metrics=metrics)
    assert sum(size for size, _ in seen) == len(ids)
    assert max(size for size, _ in seen) <= 500
    assert all(size == gauge for size, gauge in seen)
    assert metrics.window_cap.labels(line.service)._value.get() == 500
    assert metrics.window_in_flight.labels(line.service)._value.get() == 0


def test_the_longer_a_transaction_takes_the_longer_the_stage_rests(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(kafka)
    spans: list[tuple[float, float]] = []
    took = 0.04

    async def main() -> None:
        runner = line.runner()
        commit = runner._producer.commit

        def slow(*given: Any) -> None:
            began = time.monotonic()
            commit(*given)
            time.sleep(took)
            spans.append((began, time.monotonic()))

        monkeypatch.setattr(runner._producer, "commit", slow)
        async with line.running(runner) as task:
            while len(spans) < 5:
                await asyncio.to_thread(line.send, 1)
            await line.finished(task)

    asyncio.run(main())
    rests = [after[0] - before[1] for before, after in pairwise(spans)]
    assert min(rests) > took


def test_a_changed_stage_is_asked_at_the_next_batch(kafka: Kafka) -> None:
    line = Line(kafka)
    versions: list[int] = []
    current = 1

    def make(batch: Sequence[Event]) -> Any:
        versions.extend([current] * len(batch))
        return [passed(one) for one in batch]

    async def main() -> None:
        nonlocal current
        async with line.running(line.runner(staged(make))) as task:
            await asyncio.to_thread(line.send, 1)
            await line.finished(task)
            current = 2
            await asyncio.to_thread(line.send, 1)
            await line.finished(task)

    asyncio.run(main())
    assert versions == [1, 2]
