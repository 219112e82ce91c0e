"""Defects found in the systems this one learns from (style guide, section 4): here they must not be possible.

The rows about channels have their tests beside the channels: that the body's code decides and not the HTTP status
(Apprise; Alertmanager's wechat.go), that a vendor's throttle is tried again, that a notice's kind and its text agree,
and how a link is signed: `andon.testing.contract_channels`, run over every channel by tests/contract/test_channels.py.
That inputs are typed values and plug-ins entry points (Alertmanager's context values and its hand-kept registry) is
the shape of `andon.core.ports` and `andon.runtime.registry`. Faust is no part of the delivery path: import-linter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from andon.cli.main import _failed
from andon.core.event import Event
from andon.core.outcome import Parked
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.kafka.errors import KafkaFailure
from andon.runtime import dlq
from tests.integration.stage.line import Line, passing
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka

EXIT_BY_LAW = 3


class Deaf(Exception):  # noqa: N818
    """What a stage may raise."""


async def failing(_batch: Sequence[Event]) -> Any:
    raise Deaf


def stopped(line: Line, stage: Any, **settings: Any) -> KafkaFailure:
    """The failure by which the stage stops itself."""

    async def main() -> KafkaFailure:
        with pytest.raises(KafkaFailure) as failure:
            await asyncio.wait_for(line.runner(stage, **settings).run(asyncio.Event()), 30)
        return failure.value

    return asyncio.run(main())


def test_arroyo_a_run_of_bad_records_has_no_limit_beyond_which_they_are_lost(kafka: Kafka) -> None:
    """arroyo: ten bad messages, two in the DLQ, offset 10 committed."""
    line = Line(kafka)
    line.send_raw([b"bad"] * 10)
    line.work()
    assert sorted(line.parked()) == list(range(10))
    for copy in line.parked().values():
        assert dict(copy.headers() or ())["andon-reason"] == b"undecodable", "the reason reaches the headers"


@pytest.mark.parametrize("kind", ["that is not there", "that refuses the record"])
def test_arroyo_a_dead_letter_topic_that_fails_stops_the_service_and_loses_nothing(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """arroyo: a blanket `except` around the DLQ's produce, and the offset is committed all the same."""
    line = Line(kafka)
    line.send_raw([b"bad" * 1_000] * 10)
    broken = "no-such-dlq" if kind == "that is not there" else kafka.topic("dlq", max_message_bytes="1000")
    with monkeypatch.context() as patch:
        patch.setattr(dlq, "DLQ", broken)
        failure = stopped(line, passing, producer={"message.timeout.ms": 1_500})
    assert broken in str(failure)
    assert _failed("andon run routing", failure, None) == EXIT_BY_LAW
    assert line.committed() == 0
    line.work()
    assert sorted(line.parked()) == list(range(10))


def test_arroyo_a_task_that_raises_timeout_error_is_not_skipped(kafka: Kafka) -> None:
    """arroyo: `join` takes a task's own TimeoutError for its own, skips the task and may commit past it."""
    line = Line(kafka)
    line.send(10)

    async def stage(batch: Sequence[Event]) -> Sequence[Result[Event]]:
        if any(one.data["n"] == 4 for one in batch):
            raise TimeoutError
        return await passing(batch)

    line.work(stage)
    assert line.parked().keys() == {4}
    assert len(line.ids()) == 9


def test_vector_silence_is_not_delivery(kafka: Kafka) -> None:
    """Vector: a batch's status begins as delivered, so that what was dropped without a status counts as such."""
    line = Line(kafka)
    line.send(3)

    async def silent(batch: Sequence[Event]) -> Sequence[Result[Event]]:
        return [Result() for _ in batch]

    line.work(silent)
    ended = line.outcomes()
    assert {one.outcome for one in ended.values()} == {Parked(Reason.NO_RESULT, "the stage returned no result")}
    assert len(ended) == len(line.parked()) == 3


def test_vector_an_offset_never_passes_a_batch_that_did_not_end(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vector: an undelivered batch stores no offset, but the next delivered one commits past it."""
    line = Line(kafka)
    ids = line.send(10)
    with monkeypatch.context() as patch:
        patch.setattr(dlq, "DLQ", "no-such-dlq")
        stopped(line, failing, producer={"message.timeout.ms": 1_500})
    ids += line.send(10)
    assert line.committed() == 0
    line.work()
    line.exactly_once(ids)


@pytest.mark.parametrize("answer", [True, [True], False], ids=["True", "a list of True", "False"])
def test_quix_no_boolean_swallows_an_event(kafka: Kafka, answer: object) -> None:
    """Quix: an error callback that returns True lets the offset be stored; nothing tells of the record."""
    line = Line(kafka)
    line.send(3)

    async def stage(batch: Sequence[Event]) -> Any:
        return [True] * len(batch) if isinstance(answer, list) else answer

    line.work(stage)
    assert line.ids() == []
    assert sorted(line.parked()) == [0, 1, 2]
    assert len(line.outcomes()) == 3


def test_faust_an_event_whose_stage_raised_is_not_simply_acked(kafka: Kafka) -> None:
    """Faust: an event whose agent raised is acked, by design."""
    line = Line(kafka)
    line.send(3)
    line.work(failing)
    for one in line.outcomes().values():
        assert one.outcome == Parked(Reason.STAGE_FAILED, "Deaf")
    assert sorted(copy.value() or b"" for copy in line.parked().values()) == sorted(
        one.value() or b"" for one in kafka.read(line.source)
    )
