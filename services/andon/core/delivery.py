"""Who must hear of an event: one record per event and receiver."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec

from andon.core.digest import Digest
from andon.core.event import Event, Moment, Position
from andon.core.ids import Namespace
from andon.core.outcome import Attempt
from andon.core.policy import Pace, Storm
from andon.core.reason import Reason

MAX_RECIPIENTS = 1_000
_ids = Namespace(UUID("6f1d9a0e-5b60-5d3c-9a53-0a4d0e6c7a11"))


class Fallback(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is told when the receiver before was not reached: as soon as it was given up for one of `reasons` (for any,
    if there are none), and `after` that many seconds in any case. Nobody is told while it has no `recipients`."""

    receiver: str
    domain: str
    recipients: tuple[str, ...] = ()
    group: str | None = None
    after: float | None = None
    reasons: tuple[Reason, ...] = ()


class Remark(msgspec.Struct, frozen=True):
    """What routing could not do as it is configured, and did in the way that tells people rather more than less."""

    reason: Reason
    by: str


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a delivery at the receivers before this one, the last of which was given up `at`.

    `carried` is what was merged into it there, `marked` says that one of them may have it.
    """

    at: Moment
    attempts: tuple[Attempt, ...] = ()
    carried: Digest | None = None
    marked: bool = False


class Hold(msgspec.Struct, frozen=True):
    """Until when nobody is told, and `by` which mute or maintenance; then all that it held is told as one."""

    by: str
    until: Moment


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event for one receiver, as routing decided it; rendered late, by egress.

    `domain` is the limit domain, the key of `andon.deliveries`. `recipients` holds 1 to 1,000 names of the channel's
    own kind; a channel without named people (a group robot) has the receiver's name. `route` is the path of the
    matched route in the tree ("0.2"), `group` the key under which the receiver's merge rule may combine it. `batch` is
    the key of its group in the sense of the route, which keeps the `pace`; of what is `held` it is the key of the
    digest that is told when the hold is over. `storm` says what too many at once are of.

    A receiver that is given up hands it on to the next of `fallback`, as a record with the same id: its `hop` counts
    from 0, and `tried` says what there was before. `remarks` say in what routing had to help itself. One that was
    parked has in `carried` what was merged into it, which a redrive tells as well.
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
    batch: str | None = None
    pace: Pace | None = None
    fallback: tuple[Fallback, ...] = ()
    hop: int = 0
    tried: Tried | None = None
    remarks: tuple[Remark, ...] = ()
    held: Hold | None = None
    storm: Storm | None = None
    carried: Digest | None = None


def delivery_id(event: Event, receiver: str) -> UUID:
    """The one id of this event for this receiver: UUIDv5 of the event's identity and the receiver's name.

    The identity of an event is its `source` and `id` together, as CloudEvents 1.0 defines it, so equal numbers
    from two systems do not meet.
    """
    return _ids.id(f"{event.source}\n{event.id}\n{receiver}")


def ended_id(event: Event) -> UUID:
    """The id of the outcome of an event that led to no delivery."""
    return _ids.id(f"{event.source}\n{event.id}")


def outcome_id(delivery: UUID, redrive: int) -> UUID:
    """The id of the outcome of a delivery: its own; after a redrive another one, for it then ends once more."""
    return uuid5(delivery, str(redrive)) if redrive else delivery
