"""A record as it comes from or goes to a topic."""

from __future__ import annotations

from typing import Any

import msgspec

from andon.core.event import Home, Position


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record read from a topic. `at` is the broker's append time in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def home(self) -> Home:
        return Home(self.topic, self.partition)

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset, self.at)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. `value` None is a tombstone; headers cost more than a value (see transactions)."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def from_message(message: Any) -> Record:
    """Our record of what the client library hands out."""
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value() or b"",
        tuple(message.headers() or ()),
    )
