"""Access tokens: what a vendor gives for a secret, for a while, and wants to see with every call.

One is fetched for all processes (core.ports.Vault), before the old one ends or when the vendor has taken that back.
A refusal is remembered like a token: who keeps asking with a wrong secret is shut out (by WeCom for an hour).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec

from andon.config.secrets import SecretRef
from andon.core.failure import LONGEST_S, Failure, Rejected, Retryable
from andon.core.ports import Clock, Vault
from andon.core.reason import Reason
from andon.core.work import StoreFailure
from andon.egress.hold_off import HOLD_OFF_S, held_off
from andon.egress.vendors import revealed

# A token is given up this long before its end, or a tenth of its life if that is less.
_MARGIN_S = 300.0
# A token younger than this that is refused is not the token's fault: asking for another would be a loop.
_YOUNG_S = 30.0
_CLAIM_S = 20.0
_LOOK_S = 0.2
_BLOCKING = (Reason.THROTTLED, Reason.BUSY)


class Granted(msgspec.Struct, frozen=True):
    """A token and for how many seconds it is good."""

    token: str
    lasts: float


Fetch = Callable[[str, float], Awaitable[Granted]]
"""Asks the vendor with a secret, within so many seconds. Raises Retryable, or Rejected when the secret is wrong."""


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token, or the refusal to give one; holds until then. A refusal that may pass has `retry`."""

    since: float
    until: float
    token: str = ""
    reason: Reason = Reason.CREDENTIALS
    detail: str = ""
    retry: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode


class Tokens:
    """The tokens of one account, `name` in the vault.

    Its secret, and what names the account to the vendor `beside` it, are read at every use: a changed one counts at
    once.
    """

    def __init__(
        self,
        name: str,
        secret: SecretRef,
        fetch: Fetch,
        clock: Clock,
        vault: Vault | None,
        *,
        beside: SecretRef | None = None,
    ) -> None:
        self._name = name
        self._secret = secret
        self._beside = beside
        self._fetch = fetch
        self._clock = clock
        self._vault = vault
        self._lock = asyncio.Lock()
        self._holder = secrets.token_hex(8)
        self._kept: _Kept | None = None
        self._of = ""

    def __repr__(self) -> str:
        return f"Tokens({self._name!r})"

    async def token(self, deadline: float, *, stale: str = "") -> str:
        """A token, but not `stale`, which the vendor has just refused.

        Raises Retryable (never ambiguous: nothing was sent), or Rejected(CREDENTIALS) when the vendor refuses the
        secret, and then for ten minutes or until the account changes without asking again.
        """
        secret = revealed(self._secret)
        of = self._account(secret)
        if of == self._of and (known := self._usable(self._kept, stale)):
            return known
        ends = asyncio.get_running_loop().time() + deadline
        try:
            async with asyncio.timeout_at(ends), self._lock:
                if of != self._of:
                    self._kept = None
                if known := self._usable(self._kept, stale):
                    return known
                self._kept, self._of = await self._obtained(secret, of, stale, ends), of
        except TimeoutError:
            raise Retryable(Reason.NOT_SENT, "no access token within the time of the call") from None
        except StoreFailure as failure:
            raise Retryable(Reason.NOT_SENT, f"no access token: {failure}") from None
        if known := self._usable(self._kept, stale):
            return known
        raise Retryable(Reason.NOT_SENT, "the vendor gives an access token that has already ended")

    def _account(self, secret: str) -> str:
        """What the vendor's answers hold for, and are kept under."""
        if self._beside is None:
            return secret
        return f"{secret}\n{sha256(revealed(self._beside).encode()).hexdigest()}"

    def _usable(self, kept: _Kept | None, stale: str) -> str:
        """The token; empty when a new one is to be fetched. Raises the refusal that still holds."""
        now = self._clock.now()
        if kept is None or kept.until <= now or (kept.retry and kept.since + LONGEST_S <= now):
            return ""
        if kept.since > now + _YOUNG_S:  # the clock was set back: nobody knows when it ends
            return ""
        if kept.token and kept.token != stale:
            return kept.token
        if kept.token:
            if now - kept.since >= _YOUNG_S:
                return ""
            text = "the vendor refuses an access token it has just given"
            raise Retryable(Reason.CREDENTIALS, text, after=_YOUNG_S)
        if kept.retry:
            raise Retryable(kept.reason, kept.detail, after=kept.until - now)
        raise Rejected(kept.reason, kept.detail)

    async def _obtained(self, secret: str, of: str, stale: str, ends: float) -> _Kept:
        """What another process has fetched meanwhile, else what this one fetches; one at a time does."""
        vault = self._vault
        if vault is None:
            return await self._asked(secret, ends)
        while True:
            kept = await self._found(vault, of)
            if kept and self._usable(kept, stale):
                return kept
            now = self._clock.now()
            if await vault.claim(self._name, self._holder, now, now + _CLAIM_S):
                break
            await asyncio.sleep(_LOOK_S)
        try:
            # It may have come between the look and the claim.
            kept = await self._found(vault, of)
            if kept is None or not self._usable(kept, stale):
                kept = await self._asked(secret, ends)
                await vault.keep(self._name, of, _encode(kept))
                return kept
        except BaseException:
            await asyncio.shield(vault.release(self._name, self._holder))
            raise
        await vault.release(self._name, self._holder)
        return kept

    async def _found(self, vault: Vault, of: str) -> _Kept | None:
        data = await vault.find(self._name, of)
        try:
            return None if data is None else _decode(data)
        except msgspec.DecodeError:
            return None  # another version's

    async def _asked(self, secret: str, ends: float) -> _Kept:
        """The vendor's answer, a refusal that is to be remembered among them."""
        left = ends - asyncio.get_running_loop().time()
        now = self._clock.now()
        try:
            granted = await self._fetch(secret, left)
        except Rejected as refused:
            return _Kept(now, now + HOLD_OFF_S, reason=refused.reason, detail=held_off(refused, now).detail)
        except Retryable as failed:
            if failed.reason in _BLOCKING and failed.after:
                return _Kept(now, now + failed.after, reason=failed.reason, detail=failed.detail, retry=True)
            raise _not_sent(failed) from None
        return _Kept(now, now + granted.lasts - min(_MARGIN_S, granted.lasts / 10), granted.token)


def _not_sent(failed: Retryable) -> Failure:
    """A token that could not be fetched means that the notice itself was not sent, whatever became of the question."""
    reason = failed.reason if failed.reason in _BLOCKING else Reason.NOT_SENT
    return Retryable(reason, f"no access token: {failed.detail}", after=failed.after)
