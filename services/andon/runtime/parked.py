"""What lies in the dead-letter topic, and the way back: the original bytes to the original topic, in the cluster it was
read from.

A redriven record carries `andon-redrive: n+1`, n being what its parked copy says. A desk opens a closed item again
only for a higher number than it has seen, and what a stage parked has led to no delivery; so the same redrive done
twice, as after a crash between the two writes below, has no second effect.

That a parked record was redriven is written into the dead-letter topic too, after the broker has acknowledged it: a
*marker*, a record without a value whose header `andon-redriven` names the parked one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from andon.config.secrets import SecretMissing
from andon.core.event import Home, Position
from andon.kafka.codecs import Json, Undecodable
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing, Record
from andon.kafka.scan import Scan
from andon.kafka.topics import DLQ
from andon.runtime.dlq import (
    CUT,
    DETAIL,
    OFFSET,
    PARTITION,
    REASON,
    REDRIVE,
    REDRIVEN,
    SOURCE,
    TOPIC,
    own_headers,
    redrive_of,
)
from andon.runtime.feeds import Feed

log = logging.getLogger(__name__)

_BATCH = 500
_AGAIN = "run it again: nothing is delivered twice by that"
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
        if _is_marker(record):
            redriven.setdefault(_header(record, REDRIVEN), record.at / 1000)
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
        id=_id(record),
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


async def redrive(
    connection: Connection,
    chosen: AbstractSet[str],
    feeds: Collection[Feed] = (),
    told: Callable[[str], None] = log.warning,
) -> int:
    """Sends the parked records with these ids again, and marks each that was written; how many. One that was cut is
    passed over, for the original bytes are not here. `feeds` are those of the configuration in force: a record of a
    topic of others goes to where its source reads. `told` hears why another one was passed over, in a sentence.

    Raises KafkaFailure. What was sent when it fails stays sent and marked, but for the last batch, which may be sent
    and not marked.
    """
    scan = Scan(connection)
    outlets = _Outlets(connection, feeds, told)
    count = 0
    try:
        found = _records(scan, 0.0)
        while batch := await asyncio.to_thread(_next, found, chosen):
            written = await outlets.send(batch)
            await outlets.mark(written)
            count += len(written)
    finally:
        await asyncio.to_thread(outlets.close)
        await asyncio.to_thread(scan.close)
    return count


class _Astray(Exception):  # noqa: N818 - a state of the configuration, told to people
    """It is not known where a record is to go; the text says why."""


class _Outlets:
    """Writes to the cluster of each record: by Andon's own client, or one for each source of another cluster."""

    def __init__(self, connection: Connection, feeds: Collection[Feed], told: Callable[[str], None]) -> None:
        self._feeds = feeds
        self._told = told
        self._publishers: dict[str, Publisher] = {}
        self._own = self._publisher("", connection)

    def _publisher(self, source: str, connection: Connection) -> Publisher:
        publisher = self._publishers[source] = Publisher(connection, "andon-redrive")
        publisher.start()
        return publisher

    async def send(self, records: Sequence[Record]) -> list[Record]:
        """Those that were written."""
        ways: dict[Publisher, list[Record]] = {}
        for record in records:
            try:
                ways.setdefault(self._way(record), []).append(record)
            except (_Astray, SecretMissing, KafkaFailure) as error:
                self._told(f"{_id(record)} was passed over: {error}")
        return [one for publisher, mine in ways.items() for one in await self._written(publisher, mine)]

    async def _written(self, publisher: Publisher, records: Sequence[Record]) -> list[Record]:
        written = []
        for record, fate in zip(records, await publisher.append([_again(one) for one in records]), strict=True):
            if isinstance(fate, Position):
                written.append(record)
            else:
                topic = _header(record, TOPIC)
                self._told(f"{_id(record)} was not written to {topic}: {publisher.refused or fate}; {_AGAIN}")
        return written

    def _way(self, record: Record) -> Publisher:
        """Raises _Astray, SecretMissing, and KafkaFailure for a file of the other cluster that cannot be used."""
        topic = _header(record, TOPIC)
        if topic.startswith("andon."):
            return self._own
        feed = _feed_of(topic, _header(record, SOURCE), self._feeds)
        if feed.config.bootstrap is None:
            return self._own
        link = None if feed.source in self._publishers else feed.config.elsewhere()
        return self._publisher(feed.source, link) if link else self._publishers[feed.source]

    async def mark(self, records: Sequence[Record]) -> None:
        """Raises KafkaFailure."""
        for fate in await self._own.append([_marker(record) for record in records]):
            if not isinstance(fate, Position):
                raise KafkaFailure(f"redriven, but not marked: {fate}; {_AGAIN}")

    def close(self) -> None:
        for publisher in self._publishers.values():
            publisher.close()


def _feed_of(topic: str, source: str, feeds: Collection[Feed]) -> Feed:
    """The feed a record of a topic of others is of; `source` is empty on one that was parked before sources were named.
    Raises _Astray."""
    if not topic:
        raise _Astray("it says no topic")
    found = [feed for feed in feeds if feed.config.topic == topic and source in ("", feed.source)]
    if not found and source:
        raise _Astray(f"it is of the source {source}, which is gone, or reads another topic than {topic} now")
    if not found:
        raise _Astray(f"no source of the configuration in force reads {topic}, so its cluster is not known")
    if len({feed.place for feed in found}) > 1:
        raise _Astray(f"sources read {topic} in several clusters, and it does not say which it was read from")
    return found[0]


def _records(scan: Scan, since: float, most: int = 1 << 62) -> Iterator[Record]:
    homes = [Home(DLQ, number) for number in range(scan.partitions().get(DLQ, 0))]
    starts = scan.at_time(homes, since) if since else scan.beginnings(homes)
    yield from scan.stretch(starts, scan.ends(homes), most=most)


def _next(records: Iterator[Record], chosen: AbstractSet[str]) -> list[Record]:
    batch: list[Record] = []
    for record in records:
        if _id(record) in chosen and not (_is_marker(record) or _header(record, CUT)):
            batch.append(record)
            if len(batch) == _BATCH:
                break
    return batch


def _again(record: Record) -> Outgoing:
    number = str(redrive_of(record) + 1).encode()
    headers = ((REDRIVE, number), *own_headers(record))
    # Parked, a record without a key or value has an empty one; hardly any program writes one that is empty on purpose.
    return Outgoing(_header(record, TOPIC), record.key or None, record.original or None, headers)


def _marker(record: Record) -> Outgoing:
    return Outgoing(DLQ, record.key or b"", b"", ((REDRIVEN, _id(record).encode()),))


def _is_marker(record: Record) -> bool:
    """A record of others may have brought a header of that name, and be parked."""
    return not (record.value or _header(record, TOPIC)) and bool(_header(record, REDRIVEN))


def _id(record: Record) -> str:
    return f"{record.partition}-{record.offset}"


def _header(record: Record, name: str) -> str:
    return next((value.decode(errors="replace") for key, value in record.headers if key == name), "")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _DIGITS else -1
