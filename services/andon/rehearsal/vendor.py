"""In the place of every vendor: takes all it is sent, or answers as the test says, and remembers what people saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Call, Channel, Content, Receipt
from andon.core.reason import Reason

_REFUSED = frozenset({Reason.REJECTED, Reason.CREDENTIALS, Reason.GONE, Reason.TOO_LONG})
# After these a person may have seen it.
_AMBIGUOUS = frozenset({Reason.TIMEOUT, Reason.CONNECTION, Reason.SERVER_ERROR, Reason.BAD_REPLY})


class Outage(msgspec.Struct, frozen=True):
    """A receiver's vendor takes nothing between two times, for a reason."""

    receiver: str
    reason: Reason
    begins: float
    ends: float


class Said(msgspec.Struct, frozen=True):
    """One part of a notice that was taken."""

    at: float
    call: Call


class Vendor:
    """All vendors of one test. `now` gives the virtual time."""

    def __init__(self, outages: Sequence[Outage], now: Callable[[], float]) -> None:
        self._outages = outages
        self._now = now
        self.said: list[Said] = []

    def take(self, call: Call) -> Sequence[Receipt]:
        """Raises Retryable and Rejected."""
        now = self._now()
        for outage in self._outages:
            if outage.receiver == call.receiver and outage.begins <= now < outage.ends:
                if outage.reason in _REFUSED:
                    raise Rejected(outage.reason, "as the test says")
                raise Retryable(outage.reason, "as the test says", ambiguous=outage.reason in _AMBIGUOUS)
        self.said.append(Said(now, call))
        return [Receipt(recipient) for recipient in call.recipients]


class Counter:
    """The channel of a receiver as far as it is pure; its calls go to `vendor`, that of the test under way."""

    def __init__(self, channel: Channel, vendor: Callable[[], Vendor]) -> None:
        self._channel = channel
        self._vendor = vendor

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        return self._channel.split(content, tail)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return self._vendor().take(call)

    async def close(self) -> None:
        """The channel itself is closed by who built it."""
