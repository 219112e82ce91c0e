"""What all doors know together of the sources: the records of `andon.sources`, and what they come to.

The topic has one partition, so every door reads the same in the same order, whoever wrote it; it is compacted, so a
door that starts knows the last sign of each source, however long ago that was.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, cast

import msgspec

from andon.core.silence import WORDS, Sign
from andon.ingress.expected.expecting import Gap
from andon.kafka.records import Outgoing
from andon.kafka.topics import SOURCES

log = logging.getLogger(__name__)

HEARTBEAT = b"heartbeat"
"""The key of a record that says nothing: what matters is that it is acknowledged."""
_BEAT = b"doors"
_APART_S = 600.0  # so far the clocks of two doors may differ


class Key(NamedTuple):
    """A sign of a source."""

    sign: Sign
    source: str


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a sign was seen last, in seconds since 1970; `first`: it never was, and is waited for since then."""

    at: float
    first: bool = False


class Lost(msgspec.Struct, frozen=True, omit_defaults=True):
    """It is told that a sign is overdue: the last one came at `since`, the next was `due`. `found` is when it came; the
    record goes once that is told too."""

    since: float
    due: float
    first: bool = False
    found: float | None = None


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A door was there. `gaps` are the times in which none was."""

    at: float
    door: str
    gaps: tuple[Gap, ...] = ()


class Signs:
    """What the topic says so far. What cannot be read is passed over."""

    def __init__(self) -> None:
        self.seen: dict[Key, Seen] = {}
        self.lost: dict[Key, Lost] = {}
        self.beat: Beat | None = None

    def take(self, key: bytes | None, value: bytes) -> None:
        """Takes in a record; an empty value takes its key away."""
        try:
            self._take(key or b"", value)
        except (msgspec.MsgspecError, ValueError) as error:
            log.error("not readable", extra={"topic": SOURCES, "key": repr(key), "problem": str(error)})

    def _take(self, key: bytes, value: bytes) -> None:
        if key == HEARTBEAT:
            return
        if key == _BEAT:
            self.beat = msgspec.json.decode(value, type=Beat)
            return
        kind, sign, source = key.decode().split("/", 2)
        if sign not in WORDS:
            raise ValueError("a sign that this version does not know")
        named = Key(cast("Sign", sign), source)
        if kind == "seen":
            self._see(named, msgspec.json.decode(value, type=Seen) if value else None)
        elif value:
            self.lost[named] = msgspec.json.decode(value, type=Lost)
        else:
            self.lost.pop(named, None)

    def _see(self, key: Key, new: Seen | None) -> None:
        """Of two doors the one that saw it later is right, whoever wrote last; any sign is more than none, or than one
        of a time to come."""
        known = self.seen.get(key)
        if new is None:
            self.seen.pop(key, None)
        elif known is None or self.ahead(known.at) or (known.first, new.at) > (new.first, known.at):
            self.seen[key] = new

    def says(self, key: Key, at: float) -> bool:
        """Whether a sign was seen at that time or later."""
        seen = self.seen.get(key)
        return seen is not None and not seen.first and seen.at >= at and not self.ahead(seen.at)

    def ahead(self, at: float) -> bool:
        """Whether the doors have still to come to a time: their clock was set back since."""
        return self.beat is not None and at > self.beat.at + _APART_S

    @property
    def keys(self) -> set[Key]:
        """Every sign of which something is known."""
        return self.seen.keys() | self.lost.keys()


def seen_record(key: Key, seen: Seen | None) -> Outgoing:
    return _record(f"seen/{key.sign}/{key.source}", seen)


def lost_record(key: Key, lost: Lost | None) -> Outgoing:
    return _record(f"lost/{key.sign}/{key.source}", lost)


def beat_record(beat: Beat) -> Outgoing:
    return _record(_BEAT.decode(), beat)


def _record(key: str, value: msgspec.Struct | None) -> Outgoing:
    return Outgoing(SOURCES, key.encode(), None if value is None else msgspec.json.encode(value))
