"""How work ends. There are four ways and no fifth (law L3)."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from andon.core.event import Moment, Position
from andon.core.reason import Reason


class Evidence(StrEnum):
    """By what a delivery is known to be one (law L5): weakest first."""

    VENDOR_ACCEPTED = "vendor_accepted"
    RECEIPT = "receipt"
    READ = "read"

    @classmethod
    def _missing_(cls, value: object) -> Evidence:
        return cls.VENDOR_ACCEPTED  # the weakest: never more than is known


class Delivered(msgspec.Struct, frozen=True, tag="delivered", tag_field="outcome"):
    """The receiver's side has it, by the evidence given."""

    evidence: Evidence
    reason: Reason = Reason.DELIVERED


class Merged(msgspec.Struct, frozen=True, tag="merged", tag_field="outcome"):
    """It became part of another delivery, whose own outcome says whether people were reached."""

    into: UUID
    reason: Reason


class Skipped(msgspec.Struct, frozen=True, tag="skipped", tag_field="outcome"):
    """A named rule of the configuration decided that nobody is to hear of it."""

    reason: Reason
    by: str = ""


class Parked(msgspec.Struct, frozen=True, tag="parked", tag_field="outcome"):
    """It could not be done; it lies in the dead-letter topic and can be redriven. `detail` says what to do."""

    reason: Reason
    detail: str = ""


Outcome = Delivered | Merged | Skipped | Parked


def name_of(outcome: Outcome) -> str:
    """The outcome's word: delivered, merged, skipped or parked."""
    return type(outcome).__name__.lower()


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call to the outside, from the ledger. `ended` is None while no result is known.

    `ambiguous` marks an attempt that may have had its effect although no answer came; `marked` one that was sent
    with the mark "possibly a repeat" because an earlier one was ambiguous. `reference` is the vendor's own name for
    what it accepted. `receiver` is set where it went to another receiver than the outcome's: one that was given up.
    """

    number: int
    started: Moment
    ended: Moment | None
    reason: Reason
    part: int = 0
    ambiguous: bool = False
    marked: bool = False
    reference: str = ""
    receiver: str = ""


class RecipientState(msgspec.Struct, frozen=True):
    """What became of the delivery for one recipient."""

    recipient: str
    outcome: Outcome


class OutcomeRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The final outcome of one delivery, or of an event that led to none; the record of `andon.outcomes`.

    `id` is deterministic (the delivery's id, or a UUIDv5 of the event's identity), so a reader that sees it twice
    keeps one (law L6). `delivery` is None where routing ended the event. `origin` lists every position on the way.
    """

    id: UUID
    event: str
    source: str
    subject: str
    outcome: Outcome
    at: Moment
    delivery: UUID | None = None
    receiver: str | None = None
    channel: str | None = None
    attempts: tuple[Attempt, ...] = ()
    recipients: tuple[RecipientState, ...] = ()
    origin: tuple[Position, ...] = ()
    config_version: int = 0
    traceparent: str | None = None
