"""Events as other programs post them to the door: our own JSON with the names of CloudEvents 1.0, or CloudEvents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from andon.config.access import Bearer
from andon.core.cloudevents import CloudEvent
from andon.core.event import Event
from andon.core.failure import Invalid
from andon.core.ids import Namespace, uuid7
from andon.core.ports import Context, Inbound, Mapped
from andon.core.reason import Reason
from andon.core.specimen import REFERENCE, SourceSpecimen
from andon.ingress.bodies import cloud, traceparent
from andon.ingress.bodies.cloud import Form
from andon.ingress.bodies.draft import Draft
from andon.ingress.bodies.randomness import Randomness
from andon.ingress.bodies.sent import MOST_NAME, Sent, check, moment_of
from andon.ingress.bodies.strict import DEPTH, explain, repeated_key, surely_unique, too_deep
from andon.store.requests import request_key, scope_of

MOST_EVENTS = 1_000

_digest = blake2b(digest_size=16).copy  # to call it costs half of what making a new one does
_encode = msgspec.json.Encoder().encode
_keyed = Namespace(UUID("0d3d6a7e-3b55-5f0b-8f6c-1f6b1f6f7a53"))
_KEY = "Idempotency-Key"
_key = _KEY.lower()
_SPACE = b" \t\r\n"


class Left(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the client left to the door."""

    id: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    time: datetime | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


class HttpSource:
    """Posted JSON or CloudEvents: strict, so that a mistake is named at once and never becomes a wrong notice.

    Unknown fields, keys given twice, nesting deeper than 64 levels and a time without zone are refused. A missing
    `source` is the configured one, a missing `subject` the source, a missing `time` now. A missing `id` is minted:
    UUIDv7, or, with an Idempotency-Key, UUIDv5 of client, source and key, so that a repetition has the same id even
    when nothing remembers the first.
    """

    class Config(Bearer):
        """What its client shows, and what it may do."""

        source: str | None = None
        """What an event has as its source when it names none; by default the name in this file."""
        may: tuple[Literal["mutes"], ...] = ()
        """What the client may do beside sending events: `mutes`, to see, create and end mutes."""

    specimen: ClassVar = SourceSpecimen({"token": REFERENCE})
    own_ids: ClassVar = False

    def __init__(self, config: Config, context: Context, *, random: Callable[[int], bytes] | None = None) -> None:
        self.token, self.oauth = config.token, config.oauth
        self.may = config.may
        self._source = config.source or context.name
        self._map = context.map
        self._clock = context.clock
        self._random = random or Randomness().take
        self._one = msgspec.json.Decoder(Sent)
        self._all = msgspec.json.Decoder(list[Sent])
        self._many = msgspec.json.Decoder(list[msgspec.Raw])
        self._encoder = msgspec.json.Encoder(order="deterministic")

    def parse(self, inbound: Inbound, /) -> Sequence[Event]:
        """The one event of an object, or the events of an array, all or none. Raises Invalid (a Rejected)."""
        form = cloud.form_of(inbound.headers)
        if form is Form.BINARY or inbound.body.lstrip()[:1] != b"[":
            return (self.draft(inbound).event,)
        events: list[Event] = []
        for draft in self.drafts(inbound, self.elements(inbound)):
            if isinstance(draft, Invalid):
                raise draft
            events.append(draft.event)
        return events

    def draft(self, inbound: Inbound) -> Draft:
        """The one event of a request. Raises Invalid."""
        key = inbound.headers.get(_key)
        if key is not None and not (0 < len(key) <= MOST_NAME and key.isascii() and key.isprintable()):
            raise Invalid(Reason.INVALID, f"1 to {MOST_NAME} printable ASCII characters", _KEY)
        now = self._clock.now()
        form = cloud.form_of(inbound.headers)
        if form is Form.BINARY:
            attributes = cloud.http_attributes(inbound.headers.items())
            found = cloud.binary(attributes, inbound.headers.get("content-type"), inbound.body)
            return self._cloud_draft(found, inbound, now, key)
        if form is Form.STRUCTURED:
            return self._cloud_draft(cloud.structured(inbound.body), inbound, now, key)
        raw = inbound.body.strip(_SPACE)
        return self._draft(raw, self._read(raw), inbound.client, now, self._trace(inbound), key)

    def mapped(self, inbound: Inbound) -> Sequence[Mapped | Invalid | None]:
        """What the source's map makes of a body: an answer for each event, None for one that it leaves out. Raises
        Invalid for a body that holds no events at all, LookupError without a map."""
        if self._map is None:
            raise LookupError("this source has no map")
        trace = self._traced(inbound)
        document = self._map.read(inbound.body, inbound.headers.get("content-type", ""))
        return self._map.events(document, self._source, self._clock.now(), trace)

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
        now = self._clock.now()
        raws = [bytes(element) for element in elements]
        found: list[Draft | Invalid] = []
        if cloud.form_of(inbound.headers) is Form.BATCH:
            for raw in raws:
                try:
                    found.append(self._cloud_draft(cloud.structured(raw), inbound, now, None))
                except Invalid as invalid:
                    found.append(invalid)
            return found
        trace = self._trace(inbound)
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
        check(source, sent.type, subject, given)
        if sent.time is not UNSET:
            moment = moment_of(sent.time)
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
            event_id = given
            if given != minted:  # a client may have read it in an answer
                keys = (*keys, request_key(given, scope))
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

    def _cloud_draft(self, event: CloudEvent, inbound: Inbound, now: float, key: str | None) -> Draft:
        """The event of a CloudEvent: what it says, as if it had been posted in our own JSON. Raises Invalid."""
        sent = cloud.sent_of(event)
        canonical = self._encoder.encode(sent)
        trace = self._trace(inbound, event.attributes.get("traceparent"))
        return self._draft(canonical, (sent, canonical), inbound.client, now, trace, key)

    def _trace(self, inbound: Inbound, own: str | None = None) -> bytes:
        """The end of a record: the event's own trace, else the request's, else a new one."""
        return f',"traceparent":"{self._traced(inbound, own)}"}}'.encode()

    def _traced(self, inbound: Inbound, own: str | None = None) -> str:
        given = traceparent.accepted(own) or traceparent.accepted(inbound.headers.get("traceparent"))
        return given or traceparent.minted(self._random(24))

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


@lru_cache(maxsize=4_096)
def _scope(client: str, source: str) -> bytes:
    return scope_of(client, source)


def _named_label(raw: bytes, invalid: Invalid) -> Invalid:
    """The same, with the label's name where msgspec says only that it is one of the labels, and it can be read."""
    if invalid.field != "labels[...]":
        return invalid
    try:
        labels = msgspec.json.decode(raw).get("labels")
    except (ValueError, RecursionError):  # what stands behind it is not even JSON
        labels = None
    named = labels.items() if isinstance(labels, dict) else ()  # of two keys of that name the other may be anything
    name = next((f"labels.{key}" for key, value in named if not isinstance(value, str)), "labels")
    return Invalid(invalid.reason, invalid.detail, name)
