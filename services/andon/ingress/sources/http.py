"""Events as other programs post them to the door: our own JSON with the names of CloudEvents 1.0."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict

from andon.config.secrets import SecretRef
from andon.core.event import Event
from andon.core.ids import Namespace, uuid7
from andon.core.ports import Context, Inbound
from andon.core.reason import Reason
from andon.ingress import traceparent
from andon.ingress.refusal import Invalid
from andon.ingress.strict import DEPTH, explain, repeated_key, surely_unique, too_deep
from andon.kafka.codecs import Json
from andon.store.requests import request_key, scope_of

MOST_NAME = 512
MOST_EVENTS = 1_000

_events = Json(Event)
_zoned = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])
_digest = blake2b(digest_size=16).copy  # to call it costs half of what making a new one does
_encode = msgspec.json.Encoder().encode
_keyed = Namespace(UUID("0d3d6a7e-3b55-5f0b-8f6c-1f6b1f6f7a53"))
_KEY = "Idempotency-Key"
_key = _KEY.lower()
_SPACE = b" \t\r\n"


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a client may say of an event. What only Andon says (facts, origin, traceparent) is no field of it."""

    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    type: str
    subject: str | UnsetType = UNSET
    time: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET


class Left(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the client left to the door."""

    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    time: datetime | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that may be appended, and by what a repetition of it is known.

    `record` is the event as JSON: what the client wrote, byte by byte, and behind it what the door adds. `keys` are
    its idempotency keys (none: it has neither id nor header), `digest` 16 bytes over what the client gave, equal for
    equal content however it is written; `size` the length of that content in bytes.
    """

    id: str
    subject: str
    record: bytes
    keys: tuple[bytes, ...]
    digest: bytes
    size: int

    @property
    def event(self) -> Event:
        """The event as every reader of the record will see it."""
        return _events.decode(self.record)


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
        self._all = msgspec.json.Decoder(list[Sent])
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
        key = inbound.headers.get(_key)
        if key is not None and not (0 < len(key) <= MOST_NAME and key.isascii() and key.isprintable()):
            raise Invalid(Reason.INVALID, f"1 to {MOST_NAME} printable ASCII characters", _KEY)
        raw = inbound.body.strip(_SPACE)
        return self._draft(raw, self._read(raw), inbound.client, self._clock.now(), self._trace(inbound), key)

    def elements(self, inbound: Inbound) -> list[msgspec.Raw]:
        """The elements of a body that is an array of 1 to 1,000, not looked into yet. Raises Invalid."""
        if _key in inbound.headers:
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
        raws = [bytes(element) for element in elements]
        found: list[Draft | Invalid] = []
        for raw, read in zip(raws, self._read_all(raws) or repeat(None), strict=False):
            try:
                found.append(self._draft(raw, read or self._read(raw), inbound.client, now, trace, None))
            except Invalid as invalid:
                found.append(invalid)
        return found

    def _draft(
        self, raw: bytes, read: tuple[Sent, bytes], client: str, now: float, trace: bytes, key: str | None
    ) -> Draft:
        sent, canonical = read
        given, source, subject = sent.id, sent.source, sent.subject
        whole = not (given is UNSET or source is UNSET or subject is UNSET or sent.time is UNSET or sent.data is UNSET)
        if source is UNSET:
            source = self._source
        if subject is UNSET:
            subject = source
        _check(source, sent.type, subject, given)
        if sent.time is not UNSET:
            moment = _moment(sent.time)
            if not (sent.time[10] == "T" and (sent.time[-1] == "Z" or sent.time[-3] == ":")):
                # Spelled as other programs may not read it, as in +0800: a record has the one usual spelling.
                raw = _encode(msgspec.structs.replace(sent, time=moment.isoformat()))
        scope = _scope(client, source)
        keys: tuple[bytes, ...] = ()
        minted: str | None = None
        if key is not None:
            minted = str(_keyed.id(f"{client}\n{source}\n{key}"))
            keys = (request_key(minted, scope),)
        if given is not UNSET:
            keys = (*keys, request_key(given, scope))
            event_id = given
        else:
            event_id = minted or str(uuid7(now, self._random(10)))
        # One object takes up the members of another: no name is in both, and neither is empty.
        record = raw[:-1] + trace
        if not whole:
            left = Left(
                id=event_id if given is UNSET else UNSET,
                source=source if sent.source is UNSET else UNSET,
                subject=subject if sent.subject is UNSET else UNSET,
                time=datetime.fromtimestamp(now, UTC) if sent.time is UNSET else UNSET,
                data={} if sent.data is UNSET else UNSET,
            )
            record = record[:-1] + b"," + _encode(left)[1:]
        digest = _digest()
        digest.update(canonical)
        return Draft(event_id, subject, record, keys, digest.digest(), len(canonical))

    def _trace(self, inbound: Inbound) -> bytes:
        """The end of a record: the request's own trace, or a new one."""
        given = inbound.headers.get("traceparent")
        trace = (given and traceparent.accepted(given)) or traceparent.minted(self._random(24))
        return f',"traceparent":"{trace}"}}'.encode()

    def _read_all(self, raws: Sequence[bytes]) -> list[tuple[Sent, bytes]] | None:
        """What `_read` finds in each, judged by looking at all together; None when one of them needs a closer look."""
        text = b"[%b]" % b",".join(raws)
        colons = [raw.count(b":") for raw in raws]
        if b"\\" in text and b"\\u003" in text:
            return None
        try:
            sent = self._all.decode(text)
        except (ValueError, RecursionError):
            return None
        if (max(colons, default=0) >= DEPTH or text.find(b"[", 1) > 0) and any(map(too_deep, raws, colons)):
            return None
        lines = self._encoder.encode_lines(sent)
        if lines.count(b":") != sum(colons):  # none has more than it came with, so each has as many
            return None
        return list(zip(sent, lines.splitlines(), strict=True))

    def _read(self, raw: bytes) -> tuple[Sent, bytes]:
        """What was sent, and its canonical form: the same for equal content, whatever the order and the spaces."""
        try:
            sent = self._one.decode(raw)
        except (ValueError, RecursionError) as error:
            raise _named_label(raw, explain(raw, error)) from None
        colons = raw.count(b":")
        if too_deep(raw, colons):
            raise Invalid(Reason.MALFORMED, f"nested deeper than {DEPTH} levels")
        canonical = self._encoder.encode(sent)
        if not surely_unique(raw, colons, canonical) and (twice := repeated_key(raw)) is not None:
            raise Invalid(Reason.MALFORMED, f"the key {twice!r} stands twice", twice)
        return sent, canonical


def _check(source: str, type_: str, subject: str, event_id: str | UnsetType) -> None:
    """Each can be a key of Kafka, a line of a log and a column: 1 to 512 bytes, no control character."""
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


@lru_cache(maxsize=4_096)
def _scope(client: str, source: str) -> bytes:
    return scope_of(client, source)


def _moment(text: str) -> datetime:
    """The time of an RFC 3339 text with a zone, far enough from the ends of the calendar for any zone."""
    try:
        moment: datetime = _zoned.decode(_encode(text))
    except msgspec.DecodeError:
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
