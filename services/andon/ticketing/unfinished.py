"""The command a parked copy is about, in a header of the copy: when it is redriven, its key may have other episodes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from andon.core.event import Event
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Headers, Record
from andon.ticketing.episode import Close, Command, Comment, Open, cause_of
from andon.ticketing.wording import raised_text

HEADER = "andon-command"


class Unfinished(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that was given up, and the ticket system it was for. With `title` the ticket was to be opened before,
    with that `severity`."""

    system: str
    command: Close | Comment
    title: str | None = None
    severity: str = ""

    def commands(self, event: Event) -> tuple[Command, ...]:
        """All that was to be done for the event that is redriven."""
        last = self.command
        if self.title is None:
            return (last,)
        return Open(last.key, last.number, self.title, raised_text(event), self.severity, cause_of(event)), last


_codec = Json(Unfinished)


def unfinished_header(system: str, commands: Sequence[Command]) -> Headers:
    """The header for these commands. One that opens is not copied, for it holds the whole event as text, which may be
    too much: alone it has no header, and is made again of what the episode then needs."""
    first, last = commands[0], commands[-1]
    if not isinstance(last, Close | Comment):
        return ()
    title, severity = (first.title, first.severity) if isinstance(first, Open) else (None, "")
    return ((HEADER, encode(Unfinished(system, last, title, severity))),)


def unfinished_of(record: Record) -> Unfinished | None:
    """What the header of a redriven record says. Raises Undecodable."""
    found = next((value for name, value in record.headers if name == HEADER), None)
    return None if found is None else _codec.decode(found)
