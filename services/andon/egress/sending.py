"""A delivery under way: what it says, who has it, and who has still to get it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from andon.core.delivery import Delivery
from andon.core.outcome import Delivered, Evidence, Parked, RecipientState
from andon.core.ports import Content, Receipt
from andon.core.reason import Reason


class Sending(msgspec.Struct, frozen=True):
    """A delivery of several calls while it is under way: all parts, and whom an earlier call did not reach.

    `left` are those who have still to get the present part, and `told` those who have it, where not all could at once:
    some were over their limit, or their side asked to be tried later. `everyone` is set when the call tells the people
    of other deliveries too, and names all of them. The present part is `marked` when it bears the mark of a repeat.
    """

    parts: tuple[Content, ...]
    failed: dict[str, Parked] = {}
    left: tuple[str, ...] = ()
    told: dict[str, Evidence] = {}
    everyone: tuple[str, ...] = ()
    marked: bool = False


def everyone(delivery: Delivery, sending: Sending | None) -> tuple[str, ...]:
    """All whom the delivery is to tell."""
    return (sending.everyone if sending else ()) or delivery.recipients


def to_of(delivery: Delivery, sending: Sending) -> tuple[str, ...]:
    """Who is to get the present part: who an earlier one did not reach has no use for it."""
    return sending.left or without(everyone(delivery, sending), sending.failed)


def without(names: tuple[str, ...], others: Iterable[str]) -> tuple[str, ...]:
    gone = set(others)
    return tuple(name for name in names if name not in gone) if gone else names


def states_over_all(
    recipients: Sequence[str], failed: Mapping[str, Parked], told: Mapping[str, Evidence]
) -> tuple[RecipientState, ...]:
    """What became of each recipient over all calls. No receipt is no success."""
    silence = Parked(Reason.NO_RESULT, "the channel gave no receipt")
    return tuple(
        RecipientState(one, failed.get(one) or (Delivered(told[one]) if one in told else silence)) for one in recipients
    )


def later_of(receipts: Sequence[Receipt]) -> dict[str, Parked]:
    """Who got nothing and is to be tried again, and why."""
    why = Parked(Reason.BUSY, "to be tried again")
    return {one.recipient: one.failed or why for one in receipts if one.later}


def states_of(
    recipients: Sequence[str], receipts: Sequence[Receipt], failed: Mapping[str, Parked]
) -> tuple[RecipientState, ...]:
    """What is known of each recipient. Who failed in an earlier part stays failed, and no receipt is no success."""
    told: dict[str, Delivered | Parked] = {one.recipient: one.failed or Delivered(one.evidence) for one in receipts}
    silence = Parked(Reason.NO_RESULT, "the channel gave no receipt")
    return tuple(RecipientState(one, failed.get(one) or told.get(one, silence)) for one in recipients)
