"""What a failed attempt means for its item: try again, and when, or give up."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from zlib import crc32

from andon.core.outcome import Delivered, Evidence, Outcome, Parked, RecipientState
from andon.core.policy import OnAmbiguous, QueuePolicy
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.desk.work import Work
from andon.runtime.failures import Failed

_BLOCKING = (Reason.THROTTLED, Reason.BUSY)


def backoff(item: Item, policy: QueuePolicy) -> float:
    """Seconds until the next attempt: doubled each time, ± 20 % by the item's own id, so that it can be repeated."""
    retry = policy.retry
    tried = [entry for entry in item.entries if entry.part == item.part and not entry.taken_back]
    failures = sum(1 for entry in tried if entry.reason is not Reason.DELIVERED)
    wait = min(retry.most, retry.first * 2.0 ** min(max(failures - 1, 0), 30))
    return wait * (0.8 + 0.4 * (crc32(item.id.bytes + bytes([failures & 0xFF])) / 0xFFFFFFFF))


def left_alone(failed: Failed, wait: float) -> float:
    """For how many seconds the other side wants no call at all: what it said, or `wait` after a throttle that said
    nothing; 0 when the failure is about this item only."""
    if failed.reason not in _BLOCKING:
        return 0.0
    return failed.after or (wait if failed.reason is Reason.THROTTLED else 0.0)


def given_up(item: Item, failed: Failed, policy: QueuePolicy, now: float) -> Parked | None:
    """The end of an item whose last entry is this failure, or None when it is to be tried again."""
    if not failed.retry:
        return Parked(failed.reason, failed.detail)
    if failed.ambiguous and policy.on_ambiguous is OnAmbiguous.PARK_UNKNOWN:
        return Parked(Reason.UNKNOWN, f"it may have arrived ({failed.reason}); the receiver asks not to repeat it")
    unexpected = sum(1 for entry in item.entries if entry.reason is Reason.UNEXPECTED)
    if failed.unexpected and unexpected >= policy.retry.unexpected:
        return Parked(Reason.UNEXPECTED, failed.detail)
    began = next(entry.started for entry in item.entries if not entry.taken_back)
    if now - began > policy.retry.age:
        return Parked(Reason.RETRIES_EXHAUSTED, f"last: {failed.reason} {failed.detail}".strip())
    return None


def put_off(item: Item, until: float, work: Work) -> None:
    """Lets the time in which it is to arrive begin when the rules of its own are over by which it waits until then."""
    if item.expires < inf:
        item.expires = max(item.expires, until + work.patience(item))


def overdue(item: Item, now: float) -> Parked:
    """The end of an item that was to have arrived by now."""
    last = f"; last: {item.entries[-1].reason}" if item.entries else ""
    return Parked(Reason.OVERDUE, f"not delivered within {now - item.born:.0f} s{last}")


def reached(states: Sequence[RecipientState]) -> Outcome:
    """The outcome of a call that succeeded: parked when it failed for every recipient, else delivered by the weakest
    evidence there is."""
    delivered = [state.outcome for state in states if isinstance(state.outcome, Delivered)]
    if states and not delivered:
        return states[0].outcome
    return min(
        delivered, key=lambda one: list(Evidence).index(one.evidence), default=Delivered(Evidence.VENDOR_ACCEPTED)
    )
