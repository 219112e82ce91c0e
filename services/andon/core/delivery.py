"""Who must hear of an event: one record per event and receiver."""

from __future__ import annotations

from uuid import UUID

import msgspec

from andon.core.event import Event, Position
from andon.core.ids import Namespace

MAX_RECIPIENTS = 1_000
_ids = Namespace(UUID("6f1d9a0e-5b60-5d3c-9a53-0a4d0e6c7a11"))


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event for one receiver, as routing decided it; rendered late, by egress.

    `domain` is the limit domain, the key of `andon.deliveries`. `recipients` holds 1 to 1,000 names of the channel's
    own kind; a channel without named people (a group robot) has the receiver's name. `route` is the path of the
    matched route in the tree ("0.2"), `group` the key under which the receiver's merge rule may combine it.
    """

    id: UUID
    event: Event
    receiver: str
    domain: str
    recipients: tuple[str, ...]
    route: str
    config_version: int
    group: str | None = None
    urgent: bool = False
    episode: str | None = None
    origin: tuple[Position, ...] = ()


def delivery_id(event: Event, receiver: str) -> UUID:
    """The one id of this event for this receiver: UUIDv5 of the event's identity and the receiver's name.

    The identity of an event is its `source` and `id` together, as CloudEvents 1.0 defines it, so equal numbers
    from two systems do not meet.
    """
    return _ids.id(f"{event.source}\n{event.id}\n{receiver}")


def ended_id(event: Event) -> UUID:
    """The id of the outcome of an event that led to no delivery."""
    return _ids.id(f"{event.source}\n{event.id}")
