"""A record as it comes from or goes to a topic."""

from __future__ import annotations

from typing import Any

import msgspec

from andon.core.event import Home, Position
from andon.kafka.codecs import Undecodable
from andon.kafka.formats import MAGIC, Formats

Headers = tuple[tuple[str, bytes], ...]


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record read from a topic. `at` is the broker's append time in milliseconds since 1970.

    `value` is JSON, whatever the topic is written in; `avro` has the bytes as they stand there when they are Avro.
    Where those could not be read, `value` is these bytes and `unread` says why. `unread` without `avro` is a record
    whose headers cannot be read: it has none here. A header without a value has an empty one.
    """

    topic: str
    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
    avro: bytes | None = None
    unread: str | None = None

    @property
    def original(self) -> bytes:
        """The bytes of the value as they stand in the topic."""
        return self.value if self.avro is None else self.avro

    @property
    def home(self) -> Home:
        return Home(self.topic, self.partition)

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset, self.at)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. `value` None is a tombstone; headers cost more than a value (see transactions)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def from_message(message: Any, formats: Formats) -> Record:
    """Our record of what the client library hands out. Raises KafkaFailure, as `Formats.incoming` does."""
    raw = message.value() or b""
    avro = unread = None
    value = raw
    headers: Headers = ()
    try:
        headers = tuple((name, text or b"") for name, text in message.headers() or ())
    except (SystemError, UnicodeDecodeError):  # the library's way to say it
        unread = "the name of a header is not UTF-8"
    if unread is None and raw[:1] == MAGIC:
        avro = raw
        try:
            value = formats.incoming(raw)
        except Undecodable as error:
            unread = str(error)
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        value,
        headers,
        avro,
        unread,
    )
