"""What becomes of a batch: each record is decoded, the stage is asked, and every record gets one answer (L3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from andon.core.delivery import ended_id
from andon.core.event import Event, at_position
from andon.core.failure import Rejected
from andon.core.outcome import OutcomeRecord, Parked, Skipped
from andon.core.ports import Clock, Result, Stage
from andon.core.reason import Reason
from andon.kafka.codecs import Json, Undecodable, encode
from andon.kafka.connection import LARGEST
from andon.kafka.records import Outgoing, Record
from andon.kafka.topics import OUTCOMES
from andon.runtime.dlq import dlq_record
from andon.runtime.failures import classify

Out = TypeVar("Out")

# A record's frame and its batch add to key and value.
_LARGEST = LARGEST - 1_024


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one record: the records to write, and its outcome if it goes no further."""

    outgoing: list[Outgoing]
    ended: Skipped | Parked | None


class Answering(Generic[Out]):
    """Asks a stage and answers for it when it does not: with too few results, none, or an exception.

    Outputs go to `sink` under the key that `key` gives. `stage` is asked for at each batch. `read` gives the event of a
    record that is none of ours, of the source that `feed` names; it raises Rejected for what is no event.
    """

    def __init__(
        self,
        stage: Callable[[], Stage[Event, Out]],
        sink: str,
        key: Callable[[Out], str],
        clock: Clock,
        config_version: Callable[[], int],
        read: Callable[[Record], Event] | None = None,
        feed: str = "",
    ) -> None:
        self._stage = stage
        self._sink = sink
        self._key = key
        self._clock = clock
        self._config_version = config_version
        self._codec = Json(Event)
        self._read = read or self._own
        self._feed = feed

    async def answers(self, records: Sequence[Record]) -> list[Answer]:
        """One per record, in order."""
        decoded = [self._decode(record) for record in records]
        results = iter(await self._results([one for one in decoded if isinstance(one, Event)]))
        return [
            self._answer(record, one, next(results)) if isinstance(one, Event) else self._parked(record, one)
            for record, one in zip(records, decoded, strict=True)
        ]

    def _decode(self, record: Record) -> Event | Parked:
        try:
            return self._read(record)
        except Undecodable as error:
            return Parked(Reason.UNDECODABLE, str(error))
        except Rejected as error:
            return Parked(error.reason, error.detail)
        except Exception as error:  # noqa: BLE001 - as below: who reads a record of others is a plug-in
            return Parked(Reason.STAGE_FAILED, type(error).__name__)

    def _own(self, record: Record) -> Event:
        if record.unread:
            raise Undecodable(record.unread)
        return at_position(self._codec.decode(record.value), record.position)

    async def _results(self, events: Sequence[Event]) -> Sequence[Result[Out]]:
        """One result per event. When the stage does not give that, the halves are asked, down to the events that are
        the cause: each gets its own outcome and costs the others nothing."""
        if not events:
            return ()
        try:
            results = list(await self._stage()(events) or ())
        except Exception as error:  # noqa: BLE001 - the runtime's place where an exception becomes an outcome
            failed = classify(error)
            if len(events) == 1:
                return [Result((), Parked(Reason.STAGE_FAILED, failed.detail or failed.reason))]
        else:
            if len(results) == len(events):
                return [one if _says(one) else _nothing() for one in results]
            if len(events) == 1:
                return [_nothing()]
        half = len(events) // 2
        return [*await self._results(events[:half]), *await self._results(events[half:])]

    def _answer(self, record: Record, event: Event, result: Result[Out]) -> Answer:
        """The records to write for one event; an output that cannot be written parks it."""
        ended = result.ended
        try:
            outputs = [self._written(out) for out in result.outputs]
        except Exception as error:  # noqa: BLE001 - as above: an output is the stage's
            outputs, ended = [], Parked(Reason.STAGE_FAILED, type(error).__name__)
        for out in outputs:
            if len(out.key or b"") + len(out.value or b"") > _LARGEST:
                outputs, ended = [], Parked(Reason.TOO_LARGE, f"an output of more than {LARGEST} bytes")
                break
        if ended is None:
            return Answer(outputs, None)
        copy = self._parked(record, ended).outgoing if isinstance(ended, Parked) else []
        return Answer([*outputs, *copy, self._outcome(event, ended)], ended)

    def _parked(self, record: Record, parked: Parked) -> Answer:
        return Answer([dlq_record(record, parked, self._feed)], parked)

    def _written(self, out: Out) -> Outgoing:
        return Outgoing(self._sink, self._key(out).encode(), encode(out))

    def _outcome(self, event: Event, ended: Skipped | Parked) -> Outgoing:
        outcome = OutcomeRecord(
            id=ended_id(event),
            event=event.id,
            source=event.source,
            subject=event.subject,
            outcome=ended,
            at=datetime.fromtimestamp(self._clock.now(), UTC),
            origin=event.origin,
            config_version=self._config_version(),
            traceparent=event.traceparent,
        )
        return Outgoing(OUTCOMES, event.subject.encode(), encode(outcome))


def _says(result: object) -> bool:
    """Whether this is a result at all, with outputs or an end."""
    return isinstance(result, Result) and bool(result.outputs or result.ended)


def _nothing() -> Result[Any]:
    return Result((), Parked(Reason.NO_RESULT, "the stage returned no result"))
