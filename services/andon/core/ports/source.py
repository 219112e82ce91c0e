"""Sources: what arrives at the door becomes events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from andon.core.event import Event


class Inbound(msgspec.Struct, frozen=True):
    """Something that arrived at the door, already authenticated: the client's name, the headers, the raw body, and the
    parameters of the address.

    Of a callback nobody has authenticated anything yet: its source does.
    """

    client: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}


class Source(Protocol):
    """Turns what arrived into events. Pure; verification is separate. Raises `Rejected(INVALID | MALFORMED)`.

    What arrives is for a `CallbackSource`, for a kind that comes with Andon, or for what is derived from one: nothing
    else is ever called, and `andon check` refuses it.

    Its `Config` says `own_name = True` when every event has the source's own name as its `source`: without that it
    cannot run beside another path (`parallel`).
    """

    def parse(self, inbound: Inbound, /) -> Sequence[Event]: ...


class Answer(msgspec.Struct, frozen=True):
    """The body of an answer with status 200, and its media type."""

    body: bytes = b""
    media: str = "text/plain"


class Called(msgspec.Struct, frozen=True):
    """What a vendor called with: its events, none where it only asked, and what it is answered once the log has
    them. `signature` is its own, where it was made for this one call: under it no other content is taken any more.
    `left_out` counts the events that a map left out."""

    events: Sequence[Event] = ()
    answer: Answer = Answer()
    signature: str = ""
    left_out: int = 0


@runtime_checkable
class TakesMap(Protocol):
    """A class of sources that make events by a `map`. `own_ids`: the other side names what it sends, so that a map says
    no `id`."""

    own_ids: bool


@runtime_checkable
class KeepsConnection(Protocol):
    """The `Config` of a source that keeps a connection: `expect.connected` may be asked of it."""

    def connection(self) -> str:
        """What it is connected to, as people read it; names no secret."""


@runtime_checkable
class CallbackSource(Source, Protocol):
    """A source that a vendor calls at `/callbacks/<its name>`.

    `greet` and `called` verify first and raise `Rejected(UNAUTHORISED)` for what was not sealed for us; the ids of the
    events are the same however often the vendor sends them. `parse` gives the events of `called`.
    """

    def greet(self, inbound: Inbound, /) -> Answer:
        """The answer to a GET, by which the vendor sees that the address is ours."""

    def called(self, inbound: Inbound, /) -> Called:
        """What a POST is about. Made before anything is in the log, so that nothing can fail behind it."""
