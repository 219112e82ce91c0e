"""Why the door refuses something, and how it says so: problem details as RFC 9457 defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from andon.core.failure import Invalid, Rejected
from andon.core.reason import Reason

TITLES = {
    Reason.MALFORMED: "Not valid JSON",
    Reason.INVALID: "Not an event this door takes",
    Reason.TOO_LARGE: "Too large",
    Reason.MEDIA_TYPE: "Not a media type this door takes",
    Reason.UNAUTHORISED: "Not signed in",
    Reason.FORBIDDEN: "Not yours to do",
    Reason.CONFLICT: "Other content under the same id",
    Reason.OVER_CAPACITY: "Over capacity",
    Reason.OVER_RATE: "Too often",
    Reason.UNAVAILABLE: "Not available",
    Reason.TIMEOUT: "Too slow",
    Reason.CONNECTION: "Incomplete request",
}
STATUSES = {
    Reason.MALFORMED: 400,
    Reason.INVALID: 400,
    Reason.CONNECTION: 400,
    Reason.UNAUTHORISED: 401,
    Reason.FORBIDDEN: 403,
    Reason.TIMEOUT: 408,
    Reason.CONFLICT: 409,
    Reason.TOO_LARGE: 413,
    Reason.MEDIA_TYPE: 415,
    Reason.OVER_CAPACITY: 429,
    Reason.OVER_RATE: 429,
    Reason.UNAVAILABLE: 503,
}


BASIC = 'Basic realm="andon"'
"""What a 401 asks for beside a bearer token."""


class Problem(msgspec.Struct, frozen=True):
    """The body of a refusal (RFC 9457). `field` names the field, header or part of the request at fault.

    `retry_after` is a number of seconds: nothing was taken, and the same request is welcome again after them.
    """

    type: str
    title: str
    status: int
    detail: str
    field: str | msgspec.UnsetType = msgspec.UNSET
    retry_after: int | msgspec.UnsetType = msgspec.UNSET


class Refused(Exception):  # noqa: N818 - an answer, not an error of the program
    """The door's No, on the way to the client."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        field: str = "",
        *,
        after: int | None = None,
        status: int | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.headers = dict(headers)
        if after is not None:
            self.headers["Retry-After"] = str(after)
        if reason is Reason.UNAUTHORISED:
            self.headers.setdefault("WWW-Authenticate", f"Bearer, {BASIC}")
        self.problem = Problem(
            type=f"urn:andon:problem:{reason}",
            title=TITLES[reason],
            status=status or STATUSES[reason],
            detail=detail,
            field=field or msgspec.UNSET,
            retry_after=after if after is not None else msgspec.UNSET,
        )


_OF_CONTENT = frozenset({Reason.UNAUTHORISED, Reason.MALFORMED, Reason.INVALID, Reason.TOO_LARGE, Reason.MEDIA_TYPE})


def refused(no: Rejected) -> Refused:
    """The answer to something that is no event. A reason that says nothing of what was sent, which only a plug-in can
    give, is `invalid`: who is to come again is told so by Retryable."""
    reason = no.reason if no.reason in _OF_CONTENT else Reason.INVALID
    return Refused(reason, no.detail, no.field if isinstance(no, Invalid) else "")


Said = Callable[[Refused], tuple[bytes, str]]
"""How a refusal is said: the body of the answer, and its media type."""


def problem(refusal: Refused) -> tuple[bytes, str]:
    """As problem details."""
    return msgspec.json.encode(refusal.problem), "application/problem+json"
