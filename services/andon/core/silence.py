"""What Andon tells of the sources: that one is silent or has lost its connection, and that this is over."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

WATCHED = "watched"
"""The label with the name of the source an event tells of."""

UNWATCHED = "andon.source.unwatched"
"""The type of the event that ends what was told of a sign that is not expected any more."""

Sign = Literal["event", "connection"]
"""What may be expected of a source: events, or a connection that stands."""


class Words(NamedTuple):
    """How the end of a sign is told: the types of the event and of its recovery, and the label `code` of both."""

    lost: str
    found: str
    code: str


WORDS: Mapping[Sign, Words] = MappingProxyType(
    {
        "event": Words("andon.source.silent", "andon.source.heard", "silent"),
        "connection": Words("andon.source.disconnected", "andon.source.connected", "disconnected"),
    }
)
