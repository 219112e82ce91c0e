"""What the group robots of all vendors have in common: judging answers, secrets in texts, people called by name."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator

from andon.config.secrets import SecretMissing, SecretRef
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Call, Reply
from andon.core.reason import Reason

JSON = {"Content-Type": "application/json"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHOWN = 160
_MOBILE = re.compile(r"(?:\+\d{1,3}-?)?1\d{10}")
_ID = re.compile(r"[\w.\-@]{1,64}")
_EVERYBODY = "all"


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


def detail(code: int, text: object, *secrets: str) -> str:
    """The vendor's code and text, cut and without the secrets, which vendors quote back."""
    shown = str(text)
    for secret in secrets:
        shown = shown.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return f"code {code}: {shown[:_SHOWN]}"


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
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or parts.query or not (plain or parts.scheme == "https"):
        raise ValueError("write https://host; plain http would show the key to the network")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_safe)]
"""A vendor's address: https, or http to loopback."""


class Called(NamedTuple):
    """Whom a notice calls by name (@), as the receiver's `to` has them."""

    everybody: bool = False
    mobiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """All but everybody."""
        return self.mobiles + self.users


def called(call: Call) -> Called:
    """Whom a call is to call by name: its first part only, so that nobody's phone rings for every part.

    A receiver without `to` stands for itself and calls nobody. `all` is everybody, a Chinese mobile number a mobile,
    anything else a user id; an @ before it may be there. What cannot be an id calls nobody: it would be markup.
    """
    if call.part or call.recipients == (call.receiver,):
        return Called()
    names = dict.fromkeys(name.removeprefix("@") for name in call.recipients)
    mobiles = tuple(name for name in names if _MOBILE.fullmatch(name))
    users = tuple(name for name in names if name != _EVERYBODY and name not in mobiles and _ID.fullmatch(name))
    return Called(_EVERYBODY in names, mobiles, users)
