"""A record that cannot be read gets an outcome of its own, whatever the one who reads it does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.outcome import Parked
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.kafka.codecs import Undecodable
from andon.kafka.records import Record
from andon.kafka.topics import DLQ
from andon.runtime.answers import Answering
from andon.testing.builders import event
from andon.testing.clock import ManualClock


async def passing(batch: Sequence[Event], /) -> Sequence[Result[Event]]:
    return [Result((one,)) for one in batch]


@pytest.mark.parametrize(
    ("error", "parked"),
    [
        (Invalid(Reason.MEDIA_TYPE, "no"), Parked(Reason.MEDIA_TYPE, "no")),
        (Undecodable("no"), Parked(Reason.UNDECODABLE, "no")),
        (ValueError("what the record says"), Parked(Reason.STAGE_FAILED, "ValueError")),
    ],
)
def test_what_reading_a_record_of_others_may_raise(error: Exception, parked: Parked) -> None:
    def read(record: Record) -> Event:
        if record.offset == 1:
            raise error
        return event(id=f"e-{record.offset}")

    answering: Answering[Event] = Answering(
        lambda: passing, "out", lambda one: one.subject, ManualClock(), lambda: 1, read
    )
    records = [Record("foreign", 0, offset, 0, b"k", b"v", (("ce_id", b"1"),)) for offset in range(3)]
    first, second, third = asyncio.run(answering.answers(records))
    assert (first.ended, third.ended) == (None, None)
    assert second.ended == parked
    (copy,) = second.outgoing
    assert (copy.topic, copy.key, copy.value) == (DLQ, b"k", b"v")
    assert ("ce_id", b"1") in copy.headers
