"""What came of a test's events."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from andon.core.event import Event


class Notice(msgspec.Struct, frozen=True):
    """What people were shown at one time: a delivery, with the events that were merged into it.

    `group` has the values of the route's `group_by`, None where the delivery is of no group or was held by a mute;
    `parts` are the texts in their order, `kind` says what they are.
    """

    at: float
    receiver: str
    to: tuple[str, ...]
    events: tuple[str, ...]
    route: str
    group: str | None
    kind: str
    parts: tuple[str, ...]


class Ending(msgspec.Struct, frozen=True):
    """How an event ended, at a receiver or (None) before any. `by` is the rule, or what was said of a failure."""

    event: str
    receiver: str | None
    outcome: str
    reason: str
    by: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """A delivery that was still open when the clock stopped."""

    event: str
    receiver: str


class Came(msgspec.Struct, frozen=True):
    """Everything that came of a test. `events` are enriched, by their ids; notices stand in the order of time."""

    events: Mapping[str, Event]
    notices: tuple[Notice, ...]
    endings: tuple[Ending, ...]
    waiting: tuple[Waiting, ...]
