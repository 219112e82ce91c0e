"""What lies in the dead-letter topic, and the way back: the original bytes to the original topic.

A redriven record carries `andon-redrive: n+1`, n being what its parked copy says. A desk opens a closed item again
only for a higher number than it has seen, and what a stage parked has led to no delivery; so the same redrive done
twice, as after a crash between the two writes below, has no second effect.

That a parked record was redriven is written into the dead-letter topic too, after the broker has acknowledged it: a
*marker*, a record without a value whose header `andon-redriven` names the parked one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from andon.core.event import Home, Position
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing, Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DLQ
from andon.runtime.dlq import CUT, DETAIL, OFFSET, PARTITION, REASON, REDRIVE, TOPIC, own_headers, redrive_of

REDRIVEN = "andon-redriven"
_BATCH = 500
_DIGITS = 19  # of the largest offset


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parked record. `id` is its place in the dead-letter topic ("3-17"), `origin` where it was read; `at` and
    `redriven` are seconds since 1970. What cannot be read out of its bytes is None. `cut` is how long it
    was, if only its beginning was kept."""

    id: str
    at: float
    origin: Position
    reason: str
    detail: str
    redrive: int
    event: str | None = None
    source: str | None = None
    subject: str | None = None
    delivery: str | None = None
    receiver: str | None = None
    redriven: float | None = None
    cut: int | None = None


class _Event(msgspec.Struct):
    id: str
    source: str
    subject: str


class _Parked(msgspec.Struct):
    """An event, or the delivery of one."""

    id: str
    source: str | None = None
    subject: str | None = None
    receiver: str | None = None
    event: _Event | None = None


_codec = Json(_Parked)


def entries(scan: Scan, since: float = 0.0, having: bytes = b"", most: int = 1 << 62) -> list[Entry]:
    """What was parked since then, oldest first, with these bytes in it. Raises KafkaFailure."""
    found: dict[str, Entry] = {}
    redriven: dict[str, float] = {}
    for record in _records(scan, since, most):
        marked = _header(record, REDRIVEN)
        if marked:
            redriven.setdefault(marked, record.at / 1000)
        elif having in record.value:
            entry = entry_of(record)
            found[entry.id] = entry
    told = [msgspec.structs.replace(one, redriven=redriven.get(one.id)) for one in found.values()]
    return sorted(told, key=lambda one: one.at)


def entry_of(record: Record) -> Entry:
    """A record of the dead-letter topic, read; headers that are not ours give what can be given."""
    try:
        parked = _codec.decode(record.value)
    except Undecodable:
        parked = None
    event = parked.event if parked else None
    inner = event or parked
    return Entry(
        id=f"{record.partition}-{record.offset}",
        at=record.at / 1000,
        origin=origin_of(record),
        reason=_header(record, REASON),
        detail=_header(record, DETAIL),
        redrive=redrive_of(record),
        event=inner.id if inner else None,
        source=inner.source if inner else None,
        subject=inner.subject if inner else None,
        delivery=parked.id if parked and event else None,
        receiver=parked.receiver if parked else None,
        cut=_number(_header(record, CUT)) if _header(record, CUT) else None,
    )


def origin_of(record: Record) -> Position:
    """Where a parked record was read, by its headers."""
    return Position(_header(record, TOPIC), _number(_header(record, PARTITION)), _number(_header(record, OFFSET)))


async def redrive(connection: Connection, chosen: AbstractSet[str]) -> int:
    """Sends the parked records with these ids again, and marks each; how many. One that was cut is passed over, for the
    original bytes are not here. Raises KafkaFailure.

    What was sent when it fails stays sent and marked, but for the last batch, which may be sent and not marked.
    """
    scan = Scan(connection)
    publisher = Publisher(connection, "andon-redrive")
    publisher.start()
    count = 0
    try:
        found = _records(scan, 0.0)
        while batch := await asyncio.to_thread(_next, found, chosen):
            await _append(publisher, [_again(record) for record in batch])
            await _append(publisher, [_marker(record) for record in batch])
            count += len(batch)
    finally:
        await asyncio.to_thread(publisher.close)
        await asyncio.to_thread(scan.close)
    return count


def _records(scan: Scan, since: float, most: int = 1 << 62) -> Iterator[Record]:
    homes = [Home(DLQ, number) for number in range(scan.partitions().get(DLQ, 0))]
    starts = scan.at_time(homes, since) if since else scan.beginnings(homes)
    yield from scan.stretch(starts, scan.ends(homes), most=most)


def _next(records: Iterator[Record], chosen: AbstractSet[str]) -> list[Record]:
    batch: list[Record] = []
    for record in records:
        if f"{record.partition}-{record.offset}" in chosen and not (_header(record, REDRIVEN) or _header(record, CUT)):
            batch.append(record)
            if len(batch) == _BATCH:
                break
    return batch


def _again(record: Record) -> Outgoing:
    number = str(redrive_of(record) + 1).encode()
    headers = ((REDRIVE, number), *own_headers(record))
    return Outgoing(_header(record, TOPIC), record.key or b"", record.original, headers)


def _marker(record: Record) -> Outgoing:
    name = f"{record.partition}-{record.offset}".encode()
    return Outgoing(DLQ, record.key or b"", b"", ((REDRIVEN, name),))


async def _append(publisher: Publisher, records: Sequence[Outgoing]) -> None:
    for fate in await publisher.append(records):
        if not isinstance(fate, Position):
            raise KafkaFailure(f"not redriven: {fate}; say it again, nothing is delivered twice by that")


def _header(record: Record, name: str) -> str:
    return next((value.decode(errors="replace") for key, value in record.headers if key == name), "")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _DIGITS else -1
