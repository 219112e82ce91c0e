"""Who may post events: who shows a token of a client, a fixed one or a signed one.

As bearer token (RFC 6750), a fixed one also as a password (RFC 7617).
"""

from __future__ import annotations

import hmac
import logging
from base64 import b64decode
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Protocol

import msgspec

from andon.config.access import OAuth
from andon.config.secrets import SecretRef
from andon.core.ports import Clock, Source
from andon.ingress.entry.rotating import FRESH, Rotating
from andon.ingress.entry.sparing import Sparing
from andon.ingress.tokens.compact import Untrusted, is_signed_token
from andon.ingress.tokens.passes import Passes, Signer

log = logging.getLogger(__name__)


class TokenSource(Source, Protocol):
    """A source whose client shows a bearer token."""

    @property
    def token(self) -> SecretRef | None: ...

    @property
    def oauth(self) -> OAuth | None: ...

    @property
    def may(self) -> Collection[str]:
        """What it may do beside telling of events."""


class Client(msgspec.Struct, frozen=True):
    """A configured source with a token, as the program on the other side of it."""

    name: str
    source: TokenSource


class _Tokens:
    """The fixed tokens of one client, as digests."""

    def __init__(self, client: Client, token: SecretRef, now: float) -> None:
        self.client = client
        self._secret = Rotating(token, now, f"the source {client.name}")
        self.digests = self._digests()

    def refresh(self, now: float) -> None:
        if self._secret.refresh(now):
            self.digests = self._digests()

    def _digests(self) -> tuple[bytes, ...]:
        return tuple(sha256(value.encode()).digest() for value in self._secret.values)


class Clients:
    """All clients of the door. A changed token file holds within 5 s, a removed one ends access within 65 s.

    `providers` are the identity providers, by the name that sources call them by; `own` knows the tokens of ours, which
    any of the clients may show. A token that is missing costs its own client alone. Raises ValueError when two clients
    show the same.
    """

    def __init__(
        self,
        sources: Mapping[str, TokenSource],
        clock: Clock,
        providers: Mapping[str, Signer] = {},
        own: Signer | None = None,
    ) -> None:
        self._clock = clock
        self._sparing = Sparing(log, clock)
        # Headers that were found good since the tokens were read: most requests show one of a few.
        self._good: dict[str, Client] = {}
        self._read_at = now = clock.now()
        self._clients = {name: Client(name, source) for name, source in sources.items()}
        self._tokens = [
            _Tokens(client, client.source.token, now) for client in self._clients.values() if client.source.token
        ]
        owners: dict[bytes, str] = {}
        for tokens in self._tokens:
            for digest in tokens.digests:
                name = tokens.client.name
                if owners.setdefault(digest, name) != name:
                    raise ValueError(f"the sources {owners[digest]!r} and {name!r} have the same token")
        signers = [*providers.values(), *((own,) if own else ())]
        self._passes = Passes({one.iss: one for one in signers}, _owners(sources, providers, own), clock)

    def find(self, authorization: str | None) -> Client | None:
        """The client whose token the header shows: a fixed one, or a signed one that was proved before. None for every
        other, which `prove` may still find good."""
        now = self._clock.now()
        if not 0 <= now - self._read_at < FRESH:
            self._read_at = now
            self._good.clear()
            for tokens in self._tokens:
                tokens.refresh(now)
            self._passes.refresh(now)
        if authorization is None:
            return None
        # A look-up by Python's keyed hash: what differs in its first letters takes as long as what differs in its last.
        return self._good.get(authorization) or self._passed(authorization, now) or self._compared(authorization)

    async def prove(self, authorization: str | None) -> Client | None:
        """The client that a signed token in the header is of; None when it shows no bearer token at all. Raises
        Untrusted, which is in the log, or KeysUnknown."""
        token = None if authorization is None else _bearer(authorization)
        if authorization is None or token is None:
            return None
        try:
            if not is_signed_token(token):
                raise Untrusted("it is no source's")
            return self._clients[await self._passes.prove(token, authorization)]
        except Untrusted as no:
            self._sparing.warning(f"a token was refused: {no}")
            raise

    def _passed(self, authorization: str, now: float) -> Client | None:
        name = self._passes.find(authorization, now)
        return None if name is None else self._clients[name]

    def _compared(self, authorization: str) -> Client | None:
        token = _shown(authorization)
        if token is None:
            return None
        shown = sha256(token.encode("utf-8", "surrogateescape")).digest()
        found: Client | None = None
        for tokens in self._tokens:
            for digest in tokens.digests:
                # Every token is compared, whole, whatever came before: the time of an answer says nothing of them.
                if hmac.compare_digest(digest, shown):
                    found = tokens.client
        if found is not None:
            self._good[authorization] = found
        return found


def _shown(authorization: str) -> str | None:
    """The fixed token in a header: as bearer token, or as the password of any user, which is what older systems can
    send."""
    if (token := _bearer(authorization)) is not None:
        return token
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = b64decode(shown.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return password if colon else None


def _bearer(authorization: str) -> str | None:
    """What is shown as a bearer token, if anything is."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _owners(
    sources: Mapping[str, TokenSource], providers: Mapping[str, Signer], own: Signer | None
) -> dict[tuple[str, str], str]:
    """Whose client it is, by its issuer and what that calls it. Raises ValueError when it is that of two sources."""
    found = {(own.iss, name): name for name in sources} if own else {}
    for name, source in sources.items():
        if source.oauth is not None:
            key = (providers[source.oauth.issuer].iss, source.oauth.client)
            if found.setdefault(key, name) != name:
                raise ValueError(f"the sources {found[key]!r} and {name!r} have the same client of one issuer")
    return found
