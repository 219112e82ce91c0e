"""Short-lived tokens of our own: made by `andon token issue`, taken by the door.

A JSON Web Token with a type of its own (RFC 8725, 3.11), signed by HMAC-SHA256 with a secret that only the door and who
makes tokens know. It names the client, whom it is for, when it begins and ends, and itself.
"""

from __future__ import annotations

import hmac
import logging
import secrets

import jwt
import msgspec

from andon.config.access import SignedTokens
from andon.ingress.entry.rotating import Rotating
from andon.ingress.tokens.keys import Key, secret_key
from andon.ingress.tokens.rules import Rules

log = logging.getLogger(__name__)

ISSUER = "andon"
TYPE = "andon+jwt"
ALGORITHM = "HS256"
LEAST_KEY = 43  # characters: 256 bits in base64url
# How far the clock of the machine that made a token may be ahead of the door's.
_EARLY_S = 30.0


class WeakKey(Exception):  # noqa: N818 - a state of a file, read by people
    """A signing key that can be guessed; the text says what to do."""


class Made(msgspec.Struct, frozen=True):
    """A token, its own name (`jti`), and when it ends, in seconds since 1970."""

    token: str
    id: str
    ends: int


def new_key() -> str:
    """A new signing key: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def made(secret: str, client: str, audience: str, now: float, lasts: float) -> Made:
    """A token for a client, good from `now` on for so many seconds. Raises WeakKey."""
    key = _key(secret)
    begins, name = int(now), secrets.token_urlsafe(12)
    made = Made("", name, begins + int(lasts))
    claims = {"iss": ISSUER, "aud": audience, "client": client, "nbf": begins, "exp": made.ends, "jti": name}
    headers = {"typ": TYPE, "kid": key.kid}
    token = jwt.PyJWS().encode(msgspec.json.encode(claims), key.key, ALGORITHM, headers)
    return msgspec.structs.replace(made, token=token)


def require_strong(secret: str) -> None:
    """Raises WeakKey for what can be guessed."""
    if len(secret) < LEAST_KEY:
        raise WeakKey(f"the signing key has fewer than {LEAST_KEY} characters; make one by `andon token key`")


def _key(secret: str) -> Key:
    require_strong(secret)
    data = secret.encode()
    return secret_key(hmac.digest(data, b"andon token key", "sha256")[:8].hex(), data)


class Own:
    """Our tokens, as the door knows them. While its key is missing none of them is good."""

    name = iss = ISSUER

    def __init__(self, settings: SignedTokens, now: float) -> None:
        self._secret = Rotating(settings.key, now, "access.tokens")
        self.version = 0
        self.keys = self._keys()
        self.rules = Rules(
            audience=settings.audience,
            algorithms=frozenset({ALGORITHM}),
            types=frozenset({TYPE}),
            client=("client",),
            begins="nbf",
            max_age=settings.max_age,
            early=_EARLY_S,
        )

    def refresh(self, now: float) -> None:
        """Reads the keys again; what a key has signed that is no longer there opens nothing."""
        if self._secret.refresh(now):
            self.keys = self._keys()
            self.version += 1

    async def renew(self) -> None:
        """Nobody has more keys of ours than the file."""

    def _keys(self) -> tuple[Key, ...]:
        keys = []
        for value in self._secret.values:
            try:
                keys.append(_key(value))
            except WeakKey as weak:
                log.error("no token that is signed with it is taken: %s", weak)
        return tuple(keys)
