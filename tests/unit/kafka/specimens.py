"""A record of each topic with everything in it that a record can hold, and what every version wrote of it.

`python -m tests.unit.kafka.specimens` writes what today's version makes of them into `written/`, unless it is there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from andon.core.action import MUTE, Action
from andon.core.event import Position
from andon.core.outcome import (
    Attempt,
    Delivered,
    Evidence,
    Merged,
    OutcomeRecord,
    Parked,
    RecipientState,
    Skipped,
)
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.kafka.formats import Formats
from andon.kafka.history import versions
from andon.kafka.schemas import RECORDS
from andon.kafka.topics import ACTIONS, ACTIVE, DELIVERIES, ENRICHED, EVENTS, OUTCOMES, TICKETS
from andon.testing.builders import delivery, event

SCHEMAS = Path(__file__).parents[3] / "schemas"
WRITTEN = Path(__file__).parent / "written"

_AT = datetime(2026, 11, 22, 6, 3, 5, 123_456, tzinfo=UTC)
_ID = UUID("0189d2c4-7f3e-7a52-8b16-3f1f2f3a4b5c")
_WAY = (Position(EVENTS, 3, 1_234_567, 1_790_000_000_123), Position(ENRICHED, 11, 1 << 40))
_EVENT = event(
    time=datetime(2026, 11, 22, 14, 3, 5, 1, tzinfo=timezone(timedelta(hours=8))),
    data={"n": None, "deep": [[{"a": [1, 2.5, -3e300, 1 << 70, True, '冲压机 7 "x" \n']}], {}], "": ""},
    facts={"machine": {"leader": "王晴", "stock": 0.1}, "spare": {"missing": True}},
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    origin=_WAY,
)
_OUTCOME = OutcomeRecord(
    id=_ID,
    event="e-1",
    source="mes",
    subject="line-3/M-07",
    outcome=Parked(Reason.RETRIES_EXHAUSTED, "the robot's key is wrong"),
    at=_AT,
    delivery=_ID,
    receiver="l3-group",
    channel="l3-robot",
    attempts=(Attempt(1, _AT, None, Reason.INTERRUPTED, ambiguous=True), Attempt(2, _AT, _AT, Reason.TIMEOUT, part=1)),
    recipients=(
        RecipientState("00123", Delivered(Evidence.READ)),
        RecipientState("00124", Merged(_ID, Reason.OVER_RATE)),
        RecipientState("00125", Skipped(Reason.MUTED, "night")),
    ),
    origin=_WAY,
    config_version=7,
)
_EPISODE = EpisodeRecord(
    id=_ID,
    episode="line-3/M-07|E-104",
    number=3,
    state="ticket_opened",
    at=_AT,
    event="e-1",
    subject="line-3/M-07",
    ticket="4711",
    link="https://tracker/4711",
    origin=_WAY,
)
SPECIMENS: dict[str, Any] = {
    EVENTS: _EVENT,
    ENRICHED: _EVENT,
    DELIVERIES: delivery(_EVENT, recipients=("00123", "王晴"), group="L3", urgent=True, origin=_WAY),
    OUTCOMES: _OUTCOME,
    TICKETS: _EPISODE,
    ACTIVE: _EPISODE,
    ACTIONS: Action(_ID, _AT, "王晴", MUTE, False, "m12", "换模", 7, "mes"),
}


def as_avro(topic: str, record: Any) -> bytes:
    """The record as a topic in Avro has it."""
    formats = Formats({topic: RECORDS[topic]})
    formats.settle()
    return formats.outgoing(topic, msgspec.json.encode(record))


def main() -> None:
    for topic, record in SPECIMENS.items():
        for suffix, raw in (("json", msgspec.json.encode(record)), ("avsc", as_avro(topic, record))):
            file = WRITTEN / topic / f"{max(versions(SCHEMAS, topic, suffix))}.{suffix.replace('avsc', 'avro')}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_bytes(raw)


if __name__ == "__main__":
    main()
