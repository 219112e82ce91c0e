"""The rules a desk's queue lives by. All durations are seconds."""

from __future__ import annotations

from enum import StrEnum
from zlib import crc32

import msgspec


class OnAmbiguous(StrEnum):
    """What follows an attempt that may have had its effect."""

    RESEND_MARKED = "resend_marked"  # send again, marked as a possible repeat
    PARK_UNKNOWN = "park_unknown"  # park, for a person to look
    RESEND_KEYED = "resend_keyed"  # the other side deduplicates by key, so sending again is safe


class Per(StrEnum):
    """What a limit counts."""

    CALL = "call"  # calls of one line of the limit domain
    RECIPIENT = "recipient"  # calls of a sender that reach one recipient, whichever it is
    PERSON = "person"  # people reached by all calls of a sender


class Limit(msgspec.Struct, frozen=True):
    """No more than `count` in any `period`; a vendor's figure, or a stricter one.

    What is counted `per` PERSON has blocks instead: the next one begins `begins` seconds after a multiple of `period`,
    and within `margin` of that moment a call counts in both, for the vendor's clock is not ours.
    """

    count: int
    period: float
    per: Per = Per.CALL
    begins: float = 0.0
    margin: float = 0.0

    def block(self, at: float) -> float:
        """When the block began that `at` is in."""
        return (at - self.begins) // self.period * self.period + self.begins


class Merge(msgspec.Struct, frozen=True):
    """Above `over`, what waits is combined by equal values of the labels `by` and leaves as one digest."""

    over: Limit
    by: tuple[str, ...] = ()


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a group speaks (Alertmanager's words): what comes within `wait` of the first event leaves with it, the
    next notice `interval` after the last at the earliest, and what was told stays untold again for `repeat`."""

    wait: float = 0.0
    interval: float = 0.0
    repeat: float = 0.0


class Storm(msgspec.Struct, frozen=True):
    """What `key` a notice is of, and how many of one key a receiver is told in any `period`; the rest waits and leaves
    as one digest, which counts as all that it tells."""

    key: str
    count: int
    period: float


class Retry(msgspec.Struct, frozen=True):
    """How long to wait after the n-th failure: `first`, doubled each time up to `most`, ± 20 %.

    Given up after `age` seconds since the first attempt; an exception nobody foresaw after `unexpected` attempts.
    """

    first: float = 1.0
    most: float = 300.0
    age: float = 86_400.0
    unexpected: int = 5


_NAMED = 1 << 30


def account_number(name: str) -> int:
    """The number by which the ledger knows an account of this name. It is no place in a pool: those are small."""
    return _NAMED | (crc32(name.encode()) & (_NAMED - 1))


class QueuePolicy(msgspec.Struct, frozen=True):
    """How one queue of a desk is served.

    `lines` are the equal accounts behind the limit domain (a pool of robots), each by a number that is its own wherever
    it stands; `limits` holds for each of them. `in_flight` bounds the calls of the whole domain at one time; `cap` the
    open items of this queue. `people` are the limits per recipient and per person of the `sender` (an app of the
    account), each counted over all its queues. `routine` are more of them that hold for what is not urgent: what a
    person can read, and a quota less its reserve. What is not urgent waits for `coalesce` seconds for others of its
    channel that say the same, if that is not 0. `beside` are the limits of other channels of the account, which count
    the calls of this one too. What is `single` becomes part of no digest, whatever waited for one.
    """

    channel: str
    limits: tuple[Limit, ...] = ()
    beside: tuple[Limit, ...] = ()
    people: tuple[Limit, ...] = ()
    routine: tuple[Limit, ...] = ()
    sender: str = ""
    lines: tuple[int, ...] = (0,)
    in_flight: int = 4
    merge: Merge | None = None
    cap: int = 500
    retry: Retry = Retry()
    on_ambiguous: OnAmbiguous = OnAmbiguous.RESEND_MARKED
    coalesce: float = 0.0
    single: bool = False

    @property
    def longest(self) -> float:
        """How far its limits look back, in seconds."""
        return max((limit.period for limit in self.limits), default=0.0)

    def looks_back(self) -> float:
        """How far its limits and its merge rule look back, in seconds."""
        return max(self.longest, self.merge.over.period if self.merge else 0.0)

    def looks_back_on_people(self) -> float:
        """How far its limits per recipient and per person look back, in seconds."""
        return max((limit.period + limit.margin for limit in (*self.people, *self.routine)), default=0.0)
