"""An event on its way into the log."""

from __future__ import annotations

import msgspec

from andon.core.event import Event
from andon.kafka.codecs import Json, encode
from andon.store.requests import request_key, scope_of

_events = Json(Event)


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


def draft_of(event: Event, client: str, digest: bytes | None = None) -> Draft:
    """The draft of an event. Without a `digest` of what its sender gave, its source has made the id of all that
    matters: what has the same id is a repetition, whatever else its sender has changed meanwhile."""
    record, (key,) = encode(event), (request_key(event.id, scope_of(client, event.source)),)
    return Draft(event.id, event.subject, record, (key,), digest or key, len(record))


def signed(draft: Draft, client: str, signature: str, number: int) -> Draft:
    """The same, known again by its signature too: event `number` of the call that was signed so. Other content under
    this signature is then a conflict, and no event."""
    key = request_key(f"{signature}\n{number}", scope_of(client, "signature"))
    return msgspec.structs.replace(draft, keys=(*draft.keys, key))
