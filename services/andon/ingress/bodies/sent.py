"""What a client may say of an event, and the rules that hold in whatever form it says it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from andon.core.event import TELLER
from andon.core.failure import Invalid
from andon.core.reason import Reason

MOST_NAME = 512

_zoned = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])
_encode = msgspec.json.Encoder().encode


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a client may say of an event. What only Andon says (facts, origin, traceparent) is no field of it."""

    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    type: str
    subject: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


def check(source: str, type_: str, subject: str, event_id: str | UnsetType) -> None:
    """Each can be a key of Kafka, a line of a log and a column: 1 to 512 bytes, no control character; and nobody speaks
    in Andon's name. Raises Invalid.
    """
    if source == TELLER:
        raise Invalid(
            Reason.INVALID, f"`{TELLER}` is the source of what Andon itself tells; use another name", "source"
        )
    names = (type_, source, subject) if event_id is UNSET else (type_, source, subject, event_id)
    if all(names):
        together = "".join(names)  # one look at all of them answers for almost every event
        short = MOST_NAME if together.isascii() else MOST_NAME // 4
        if len(together) <= short and together.isprintable():
            return
    for field, name in zip(("type", "source", "subject", "id"), names, strict=False):
        if not name:
            raise Invalid(Reason.INVALID, f"{field!r} must not be empty", field)
        if len(name.encode()) > MOST_NAME:
            raise Invalid(Reason.INVALID, f"{field!r} is longer than {MOST_NAME} bytes", field)
        if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
            raise Invalid(Reason.INVALID, f"{field!r} holds a control character", field)


def moment_of(text: str) -> datetime:
    """The time of an RFC 3339 text with a zone, far enough from the ends of the calendar for any zone.

    Raises Invalid.
    """
    try:
        moment: datetime = _zoned.decode(_encode(text))
    except msgspec.DecodeError:
        raise Invalid(
            Reason.INVALID, "write date, time and zone as in 2026-03-01T08:30:00+08:00 (RFC 3339)", "time"
        ) from None
    if not 1970 <= moment.year < 9999:
        raise Invalid(Reason.INVALID, "the year lies outside 1970 to 9998", "time")
    return moment
