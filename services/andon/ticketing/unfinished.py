"""The command a parked copy is about, in a header of the copy: when it is redriven, its key may have other episodes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from andon.kafka.codecs import Json, encode
from andon.kafka.records import Headers, Record
from andon.ticketing.episode import Close, Command, Comment

HEADER = "andon-command"


class Unfinished(msgspec.Struct, frozen=True):
    """A command that was given up, and the ticket system it was for."""

    system: str
    command: Close | Comment


_codec = Json(Unfinished)


def unfinished_header(system: str, commands: Sequence[Command]) -> Headers:
    """The header for the last of these commands. One that opens has none: it holds the whole event as text, which may
    be too much, and is made again of what the episode then needs."""
    last = commands[-1]
    return ((HEADER, encode(Unfinished(system, last))),) if isinstance(last, Close | Comment) else ()


def unfinished_of(record: Record) -> Unfinished | None:
    """What the header of a redriven record says. Raises Undecodable."""
    found = next((value for name, value in record.headers if name == HEADER), None)
    return None if found is None else _codec.decode(found)
