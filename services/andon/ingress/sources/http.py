"""Events as other programs post them to the door: our own JSON with the names of CloudEvents 1.0."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Any
from uuid import UUID, uuid5

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict

from andon.config.secrets import SecretRef
from andon.core.event import Event
from andon.core.ids import uuid7
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.ingress import traceparent
from andon.ingress.refusal import Invalid
from andon.ingress.strict import DEPTH, explain, repeated_key, surely_unique, too_deep
from andon.store.requests import request_key, scope_of

MOST_NAME = 512
MOST_EVENTS = 1_000

_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]
_KEYED = UUID("0d3d6a7e-3b55-5f0b-8f6c-1f6b1f6f7a53")
_KEY = "Idempotency-Key"


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a client may say of an event. What only Andon says (facts, origin, traceparent) is no field of it."""

    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    type: str
    subject: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that may be appended, and by what a repetition of it is known.

    `keys` are its idempotency keys (none: it has neither id nor header), `digest` 16 bytes over what the client
    gave, equal for equal content however it is written; `size` the length of that content in bytes.
    """

    event: Event
    keys: tuple[bytes, ...]
    digest: bytes
    size: int


class Randomness:
    """Random bytes for ids, fetched from the operating system 8 KiB at a time.

    Every call of os.urandom lets go of the interpreter lock, and the loop of a busy door gets it back last.
    """

    def __init__(self, fetch: Callable[[int], bytes] = os.urandom) -> None:
        self._fetch = fetch
        self._left = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """That many bytes (at most 8 KiB), never given out before."""
        if self._at + size > len(self._left):
            self._left, self._at = self._fetch(1 << 13), 0
        self._at += size
        return self._left[self._at - size : self._at]


class HttpSource:
    """Posted JSON: strict, so that a mistake is named at once and never becomes a wrong notice.

    Unknown fields, keys given twice, nesting deeper than 64 levels and a time without zone are refused. A missing
    `source` is the configured one, a missing `subject` the source, a missing `time` now. A missing `id` is minted:
    UUIDv7, or, with an Idempotency-Key, UUIDv5 of client, source and key, so that a repetition has the same id even
    when nothing remembers the first.
    """

    class Config(BaseModel):
        """`token` is what the client shows as bearer token; two lines in its file are both valid (rotation)."""

        model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

        token: SecretRef
        source: str | None = None

    def __init__(self, config: Config, context: Context, *, random: Callable[[int], bytes] | None = None) -> None:
        self.token = config.token
        self._source = config.source or context.name
        self._clock = context.clock
        self._random = random or Randomness().take
        self._one = msgspec.json.Decoder(Sent)
        self._many = msgspec.json.Decoder(list[msgspec.Raw])
        self._encoder = msgspec.json.Encoder(order="deterministic")

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The one event of an object, or the events of an array, all or none. Raises Invalid (a Rejected)."""
        if inbound.body.lstrip()[:1] != b"[":
            return (self.draft(inbound).event,)
        events: list[Event] = []
        for draft in self.drafts(inbound, self.elements(inbound)):
            if isinstance(draft, Invalid):
                raise draft
            events.append(draft.event)
        return events

    def draft(self, inbound: Inbound) -> Draft:
        """The event of a body that is one object. Raises Invalid."""
        key = inbound.headers.get(_KEY) or inbound.headers.get(_KEY.lower())
        if key is not None and not (0 < len(key) <= MOST_NAME and key.isascii() and key.isprintable()):
            raise Invalid(Reason.INVALID, f"1 to {MOST_NAME} printable ASCII characters", _KEY)
        return self._draft(inbound.body, inbound.client, self._clock.now(), self._trace(inbound), key)

    def elements(self, inbound: Inbound) -> list[msgspec.Raw]:
        """The elements of a body that is an array of 1 to 1,000, not looked into yet. Raises Invalid."""
        if _KEY in inbound.headers or _KEY.lower() in inbound.headers:
            raise Invalid(Reason.INVALID, "names one event; in an array give each event an id", _KEY)
        try:
            elements = self._many.decode(inbound.body)
        except (ValueError, RecursionError) as error:
            raise explain(inbound.body, error) from None
        if not 1 <= len(elements) <= MOST_EVENTS:
            raise Invalid(Reason.INVALID, f"an array of 1 to {MOST_EVENTS:,} events, not {len(elements):,}")
        return elements

    def drafts(self, inbound: Inbound, elements: Sequence[msgspec.Raw]) -> list[Draft | Invalid]:
        """The events of these elements of the body, one answer each, in order."""
        trace = self._trace(inbound)
        now = self._clock.now()
        found: list[Draft | Invalid] = []
        for element in elements:
            try:
                found.append(self._draft(bytes(element), inbound.client, now, trace, None))
            except Invalid as invalid:
                found.append(invalid)
        return found

    def _draft(self, raw: bytes, client: str, now: float, trace: str, key: str | None) -> Draft:
        sent, canonical = self._read(raw)
        source = self._source if sent.source is UNSET else sent.source
        subject = source if sent.subject is UNSET else sent.subject
        event_id = "" if sent.id is UNSET else sent.id
        _check(source, sent.type, subject, None if sent.id is UNSET else sent.id)
        scope = _scope(client, source)
        keys: tuple[bytes, ...] = ()
        if key is not None:
            keyed = str(uuid5(_KEYED, f"{client}\n{source}\n{key}"))
            event_id = event_id or keyed
            keys = (request_key(keyed, scope),)
        if sent.id is not UNSET:
            keys += (request_key(event_id, scope),)
        event = Event(
            id=event_id or str(uuid7(now, self._random(10))),
            source=source,
            type=sent.type,
            subject=subject,
            time=datetime.fromtimestamp(now, UTC) if sent.time is UNSET else _moment(sent.time),
            data={} if sent.data is UNSET else sent.data,
            labels={} if sent.labels is UNSET else sent.labels,
            traceparent=trace,
        )
        return Draft(event, keys, blake2b(canonical, digest_size=16).digest(), len(canonical))

    def _trace(self, inbound: Inbound) -> str:
        """The request's own trace, or a new one."""
        return traceparent.accepted(inbound.headers.get("traceparent")) or traceparent.minted(self._random(24))

    def _read(self, raw: bytes) -> tuple[Sent, bytes]:
        """What was sent, and its canonical form: the same for equal content, whatever the order and the spaces."""
        try:
            sent = self._one.decode(raw)
        except (ValueError, RecursionError) as error:
            raise _named_label(raw, explain(raw, error)) from None
        if too_deep(raw):
            raise Invalid(Reason.MALFORMED, f"nested deeper than {DEPTH} levels")
        canonical = self._encoder.encode(sent)
        if not surely_unique(raw, canonical) and (twice := repeated_key(raw)) is not None:
            raise Invalid(Reason.MALFORMED, f"the key {twice!r} stands twice", twice)
        return sent, canonical


def _check(source: str, type_: str, subject: str, event_id: str | None) -> None:
    """Each can be a key of Kafka, a line of a log and a column: 1 to 512 bytes, no control character."""
    names = (type_, source, subject) if event_id is None else (type_, source, subject, event_id)
    if all(names):
        together = "".join(names)  # one look at all of them answers for almost every event
        if len(together) <= MOST_NAME and together.isascii() and together.isprintable():
            return
    for field, name in zip(("type", "source", "subject", "id"), names, strict=False):
        if not name:
            raise Invalid(Reason.INVALID, f"{field!r} must not be empty", field)
        if len(name.encode()) > MOST_NAME:
            raise Invalid(Reason.INVALID, f"{field!r} is longer than {MOST_NAME} bytes", field)
        if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in name):
            raise Invalid(Reason.INVALID, f"{field!r} holds a control character", field)


@lru_cache(maxsize=4_096)
def _scope(client: str, source: str) -> bytes:
    return scope_of(client, source)


def _moment(text: str) -> datetime:
    """The time of an RFC 3339 text with a zone, far enough from the ends of the calendar for any zone."""
    try:
        moment: datetime = msgspec.convert(text, _ZONED)
    except msgspec.ValidationError:
        raise Invalid(
            Reason.INVALID, "write date, time and zone as in 2026-03-01T08:30:00+08:00 (RFC 3339)", "time"
        ) from None
    if not 1970 <= moment.year < 9999:
        raise Invalid(Reason.INVALID, "the year lies outside 1970 to 9998", "time")
    return moment


def _named_label(raw: bytes, invalid: Invalid) -> Invalid:
    """The same, with the label's name where msgspec says only that it is one of the labels."""
    if invalid.field != "labels[...]":
        return invalid
    labels = msgspec.json.decode(raw)["labels"]
    name = next((key for key, value in labels.items() if not isinstance(value, str)), "")
    return Invalid(invalid.reason, invalid.detail, f"labels.{name}")
