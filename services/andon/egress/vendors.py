"""What channels of chat vendors have in common: addresses, secrets, and what an answer means."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator

from andon.config.addresses import is_loopback
from andon.config.secrets import SecretMissing, SecretRef
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.web.shown import beginning

JSON = {"Content-Type": "application/json"}


class Meaning(NamedTuple):
    """What a vendor's code means: whether to try again, the reason, after how many seconds, and what to do."""

    retry: bool
    reason: Reason
    after: float | None = None
    advice: str = ""

    def failure(self, detail: str) -> Failure:
        """What the channel raises."""
        text = f"{detail}; {self.advice}" if self.advice else detail
        return Retryable(self.reason, text, after=self.after) if self.retry else Rejected(self.reason, text)


OTHER = Meaning(False, Reason.REJECTED)
TOO_LONG = Meaning(False, Reason.TOO_LONG)


def detail(code: int, text: object, *secrets: str) -> str:
    """The vendor's code and the beginning of its text, without the secrets, which vendors quote back."""
    return f"code {code}: {beginning(str(text), secrets)}"


def foreign(reply: Reply, throttled: float) -> Retryable:
    """An answer that is not the vendor's: a proxy, a gateway or a login page stands between.

    A 3xx or 4xx turned the request away, so nothing happened; after anything else the vendor may have had it.
    `throttled` are the seconds to wait after a 429 that names none.
    """
    text = f"HTTP {reply.status} without the vendor's code"
    if reply.status == 429:
        after = reply.headers.get("retry-after", "")
        return Retryable(Reason.THROTTLED, text, after=float(after) if after.isdecimal() else throttled)
    if 300 <= reply.status < 500:
        return Retryable(Reason.BAD_REPLY, text)
    reason = Reason.SERVER_ERROR if reply.status >= 500 else Reason.BAD_REPLY
    return Retryable(reason, text, ambiguous=True)


def revealed(secret: SecretRef) -> str:
    """The secret's value. Raises Retryable(NOT_SENT) naming the reference when it is not there."""
    try:
        return secret.reveal()
    except SecretMissing as missing:
        raise Retryable(Reason.NOT_SENT, str(missing)) from None


def _safe(url: str) -> str:
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or parts.query or not (plain or parts.scheme == "https"):
        raise ValueError("write https://host; plain http would show the key to the network")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_safe)]
"""A vendor's address: https, or http to loopback."""
