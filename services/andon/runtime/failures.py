"""The one place that says what an exception of a plug-in means for the work it was doing."""

from __future__ import annotations

import msgspec

from andon.config.secrets import SecretMissing
from andon.core.failure import Rejected, Retryable
from andon.core.reason import Reason


class Failed(msgspec.Struct, frozen=True):
    """A failed call as the desk counts it.

    `retry` False parks the work with `reason`. `after` is the number of seconds the other side asked for. After an
    `ambiguous` attempt the effect may have happened. `unexpected` marks an exception no plug-in raises on purpose:
    its retries are few, and `detail` is the name of its class alone, because its text may hold anything.
    """

    reason: Reason
    detail: str
    retry: bool
    after: float | None = None
    ambiguous: bool = False
    unexpected: bool = False


def classify(error: BaseException) -> Failed:
    """The meaning of `error`. Raises it again when it is none of the call's: a cancellation, an exit, an interrupt."""
    match error:
        case Retryable():
            return Failed(error.reason, error.detail, True, error.after, error.ambiguous)
        case Rejected():
            return Failed(error.reason, error.detail, False)
        case SecretMissing():
            # A secret is asked for to make a request with; its text names only where it should be.
            return Failed(Reason.NOT_SENT, str(error), True)
        case TimeoutError():
            return Failed(Reason.TIMEOUT, "", True, ambiguous=True)
        case Exception():
            return Failed(Reason.UNEXPECTED, type(error).__name__, True, ambiguous=True, unexpected=True)
        case _:
            raise error
