"""The dead-letter topic: original bytes, and headers that say where they come from and why they are there."""

from __future__ import annotations

from andon.core.outcome import Parked
from andon.core.work import Note
from andon.kafka.connection import LARGEST_PARKED
from andon.kafka.records import Headers, Outgoing, Record
from andon.kafka.topics import DLQ

TOPIC = "andon-topic"
PARTITION = "andon-partition"
OFFSET = "andon-offset"
REASON = "andon-reason"
DETAIL = "andon-class"
REDRIVE = "andon-redrive"
CUT = "andon-cut"
SOURCE = "andon-source"
REDRIVEN = "andon-redriven"

# Key and value of the largest copy; its headers need the rest.
_ROOM = LARGEST_PARKED - (8 << 10)
_FRAME = 16
# A record of others may bring the header, with any value: the number is kept in the store.
_DIGITS = 10
_OURS = frozenset({TOPIC, PARTITION, OFFSET, REASON, DETAIL, REDRIVE, CUT, SOURCE, REDRIVEN})


def dlq_note(record: Record, parked: Parked, feed: str = "") -> Note:
    """The note that parks a record as it was read; `feed` is the source whose topic it is, of a topic of others."""
    return dlq_copy(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.original,
        parked,
        redrive_of(record),
        own_headers(record),
        feed,
    )


def dlq_copy(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes,
    parked: Parked,
    redrive: int = 0,
    more: Headers = (),
    feed: str = "",
) -> Note:
    """The note that parks these bytes, as they stood at that position; `more` are the headers they had. A topic of
    others says not which cluster it is in, so `feed` names the source that read it.

    A writer's compression can bring a record into a topic that is larger than any topic takes as it is. Of that the
    beginning is kept, without headers, and the header `andon-cut` tells its length: one record must not stop a
    partition.
    """
    key = key if key and len(key) <= _ROOM // 2 else b""
    said = sum(len(name.encode()) + len(text or b"") + _FRAME for name, text in more)
    whole = len(key) + said + len(value) <= _ROOM
    kept = value if whole else value[: _ROOM - len(key)]
    cut = () if whole else ((CUT, str(len(value)).encode()),)
    headers = (
        (TOPIC, topic.encode()),
        (PARTITION, str(partition).encode()),
        (OFFSET, str(offset).encode()),
        (REASON, str(parked.reason).encode()),
        (DETAIL, parked.detail.encode()[:500].decode(errors="ignore").encode()),
        (REDRIVE, str(redrive).encode()),
        *(((SOURCE, feed.encode()),) if feed else ()),
        *cut,
        *(more if whole else ()),
    )
    return Note(DLQ, key, kept, headers)


def dlq_record(record: Record, parked: Parked, feed: str = "") -> Outgoing:
    """The same as a record of a stage's transaction."""
    note = dlq_note(record, parked, feed)
    return Outgoing(note.topic, note.key, note.value, note.headers)


def own_headers(record: Record) -> Headers:
    """The headers a record came with, without those that tell of its parking."""
    return tuple(header for header in record.headers if header[0] not in _OURS)


def redrive_header(redrive: int) -> Headers:
    """The header by which `redrive_of` tells it."""
    return ((REDRIVE, str(redrive).encode()),) if redrive else ()


def redrive_of(record: Record) -> int:
    """How often this record was taken out of the DLQ and sent again."""
    for name, value in record.headers:
        if name == REDRIVE and value.isdigit() and len(value) < _DIGITS:
            return int(value)
    return 0
