"""Clients that show a signed token: whose it is, found out once for as long as it lasts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from andon.core.ports import Clock
from andon.ingress.tokens.compact import Untrusted, quoted, token_of
from andon.ingress.tokens.keys import Key, fitting, require_signed
from andon.ingress.tokens.rules import Rules, proved, require_kind

MOST = 4_096


class Signer(Protocol):
    """Who signs tokens: `tokens.own.Own`, or an identity provider, `tokens.provider.Provider`.

    `version` is another number whenever the keys have become other ones.
    """

    @property
    def name(self) -> str: ...

    @property
    def iss(self) -> str:
        """What its tokens name as their issuer."""

    @property
    def rules(self) -> Rules: ...

    @property
    def keys(self) -> Sequence[Key]: ...

    @property
    def version(self) -> int: ...

    def refresh(self, now: float, /) -> None:
        """Called every few seconds."""

    async def renew(self) -> None:
        """Called when a token names a key that is not among `keys`. May raise KeysUnknown."""


class _Pass(NamedTuple):
    source: str
    ends: float
    signer: Signer
    version: int


class Passes:
    """`signers` by the `iss` of their tokens; `owners` are the sources, by that and the id of the client there."""

    def __init__(
        self, signers: Mapping[str, Signer], owners: Mapping[tuple[str, str], str], clock: Clock, most: int = MOST
    ) -> None:
        self._signers = signers
        self._owners = owners
        self._clock = clock
        self._most = most
        self._known: OrderedDict[str, _Pass] = OrderedDict()

    def refresh(self, now: float) -> None:
        """Has the signers look at their keys."""
        for signer in self._signers.values():
            signer.refresh(now)

    def find(self, shown: str, now: float) -> str | None:
        """The source whose client has shown this before, while its token lasts and the key that has signed it counts.

        `shown` is whatever the token was proved under.
        """
        known = self._known.get(shown)
        if known is None:
            return None
        if now >= known.ends or known.version != known.signer.version:
            del self._known[shown]
            return None
        self._known.move_to_end(shown)
        return known.source

    async def prove(self, token: str, shown: str) -> str:
        """The source whose client the token is of; remembered under `shown`. Raises Untrusted, or KeysUnknown."""
        taken = token_of(token)
        signer = self._signers.get(taken.issuer)
        if signer is None:
            raise Untrusted(f"its issuer {quoted(taken.issuer)} is none of ours")
        try:
            require_kind(taken, signer.rules)
            if not (keys := fitting(signer.keys, taken)):
                await signer.renew()
                keys = fitting(signer.keys, taken)
            version = signer.version
            require_signed(taken, keys or _none(taken.kid))
            found = proved(taken.claims, signer.rules, self._clock.now())
            source = self._owners.get((taken.issuer, found.client))
            if source is None:
                raise Untrusted(f"its client {quoted(found.client)} is that of no source")
        except Untrusted as no:
            raise Untrusted(f"{no} (issuer {signer.name})", no.told) from None
        self._known[shown] = _Pass(source, found.ends, signer, version)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return source


def _none(kid: str | None) -> Sequence[Key]:
    if kid is None:
        raise Untrusted("it names no key, and there is not just one that it could be signed with")
    raise Untrusted(f"its key {quoted(kid)} is not among the issuer's for this algorithm")
