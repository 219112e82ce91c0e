"""Who may post events: one token per client, shown as bearer token (RFC 6750) or as a password (RFC 7617)."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Protocol

import msgspec

from andon.config.secrets import SecretMissing, SecretRef
from andon.core.ports import Clock, Source

FRESH = 5.0
GRACE = 60.0


class TokenSource(Source, Protocol):
    """A source whose client shows a bearer token."""

    @property
    def token(self) -> SecretRef: ...

    @property
    def may(self) -> Collection[str]:
        """What it may do beside telling of events."""


class Client(msgspec.Struct, frozen=True):
    """A configured source with a token, as the program on the other side of it."""

    name: str
    source: TokenSource


class _Tokens:
    """The tokens of one client, as digests."""

    def __init__(self, client: Client, now: float) -> None:
        self.client = client
        self._seen = now
        self.digests = self._read()

    def refresh(self, now: float) -> None:
        """Reads them again. A file that is missing for a moment, while it is replaced, locks nobody out."""
        try:
            self.digests = self._read()
            self._seen = now
        except SecretMissing:
            if now - self._seen > GRACE:
                self.digests = ()

    def _read(self) -> tuple[bytes, ...]:
        return tuple(sha256(value.get_secret_value().encode()).digest() for value in self.client.source.token.values())


class Clients:
    """All clients of the door. A changed token file holds within 5 s, a removed one ends access within 65 s.

    Raises SecretMissing when a token is missing at the start, ValueError when two clients have the same one.
    """

    def __init__(self, sources: Mapping[str, TokenSource], clock: Clock) -> None:
        self._clock = clock
        # Headers that were found good since the tokens were read: most requests show one of a few.
        self._good: dict[str, Client] = {}
        self._read_at = clock.now()
        self._tokens = [_Tokens(Client(name, source), self._read_at) for name, source in sources.items()]
        owners: dict[bytes, str] = {}
        for tokens in self._tokens:
            for digest in tokens.digests:
                name = tokens.client.name
                if owners.setdefault(digest, name) != name:
                    raise ValueError(f"the sources {owners[digest]!r} and {name!r} have the same token")

    def find(self, authorization: str | None) -> Client | None:
        """The client whose token the header shows, None if nobody's."""
        now = self._clock.now()
        if not 0 <= now - self._read_at < FRESH:
            self._read_at = now
            self._good.clear()
            for tokens in self._tokens:
                tokens.refresh(now)
        if authorization is None:
            return None
        # A look-up by Python's keyed hash: what differs in its first letters takes as long as what differs in its last.
        return self._good.get(authorization) or self._compared(authorization)

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
    """The token in a header: as bearer token, or as the password of any user, which is what older systems can send."""
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return shown.strip()
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = b64decode(shown.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return password if colon else None
