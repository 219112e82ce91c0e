"""What a channel, a connector or a ticket system raises when a call did not succeed."""

from __future__ import annotations

import msgspec

from andon.core.reason import Reason

LONGEST_S = 3_600.0
"""For how long the other side is left alone at the most, whatever it says: a gateway may name a time without end, and
until then nothing would be known of the work that waits for it."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for an answer that is no JSON of the wanted form, or nested deeper than it reads."""


class Failure(Exception):  # noqa: N818 - a failed call is the field's word; most are no programming errors
    """A call that did not succeed, with the reason and a text that names no secret and no address query."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class Retryable(Failure):
    """May succeed later. `after` is the number of seconds the other side asked to be left alone, if it did, and
    `LONGEST_S` at the most.

    `ambiguous` says that the request, or a part of it, was written and no answer came: the effect may have happened.
    A failure before the first byte of the request is never ambiguous.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, after: float | None = None, ambiguous: bool = False
    ) -> None:
        super().__init__(reason, detail)
        self.after = None if after is None else min(after, LONGEST_S)
        self.ambiguous = ambiguous


class Rejected(Failure):
    """Will never succeed as it is; it is parked with this reason."""


class Invalid(Rejected):
    """What arrived is no event; `field` is the dotted path of the part at fault, empty when it is the whole."""

    def __init__(self, reason: Reason, detail: str, field: str = "") -> None:
        super().__init__(reason, detail)
        self.field = field
