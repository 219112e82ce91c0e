"""The keys signatures are checked with: each for one algorithm, and read from a provider's key set (RFC 7517)."""

from __future__ import annotations

import binascii
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import jwt
import msgspec

from andon.ingress.tokens.compact import Token, Untrusted

MOST_KEYS = 100
LEAST_BITS, MOST_BITS = 2_048, 8_192
# What a key must be for an algorithm (RFC 7518, 6; RFC 8037), and the members that make up its public part.
_FITS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_jws = jwt.PyJWS()


class Key(msgspec.Struct, frozen=True):
    """A key and the one algorithm it is used with. `mark` tells it from every other."""

    kid: str | None
    alg: str
    mark: str
    key: jwt.PyJWK

    def __repr__(self) -> str:
        return f"Key({self.kid!r}, {self.alg})"


def secret_key(kid: str, secret: bytes) -> Key:
    """A key for HMAC-SHA256. For our own tokens alone: whoever knows it can sign."""
    text = binascii.b2a_base64(secret, newline=False).decode().translate(str.maketrans("+/", "-_")).rstrip("=")
    return Key(kid, "HS256", kid, jwt.PyJWK({"kty": "oct", "k": text}, "HS256"))


def published_keys(body: bytes, algorithms: Collection[str]) -> tuple[Key, ...]:
    """The usable keys of a key set, for these algorithms; unknown, private, weak and shared ones are left out.

    Raises ValueError when the text is no key set.
    """
    try:
        found = msgspec.json.decode(body)
        keys = found["keys"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise ValueError("it is no key set") from None
    if not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise ValueError(f"it is no key set of at most {MOST_KEYS} keys")
    return tuple(key for one in keys if isinstance(one, dict) for key in _usable(one, algorithms))


def _usable(jwk: dict[str, Any], algorithms: Collection[str]) -> Iterator[Key]:
    kid, kty, operations = jwk.get("kid"), jwk.get("kty"), jwk.get("key_ops", ["verify"])
    for_us = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not for_us or not isinstance(kid, str | None) or not isinstance(kty, str) or kty not in _PUBLIC or "d" in jwk:
        return
    public = {name: jwk.get(name) for name in _PUBLIC[kty]}
    for alg in algorithms:
        if _FITS[alg] == (kty, public.get("crv")) and jwk.get("alg", alg) == alg:
            try:
                made = jwt.PyJWK(public, alg)
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
                return  # what is no key helps nobody, and keeps nobody from the others
            if kty != "RSA" or LEAST_BITS <= made.key.key_size <= MOST_BITS:
                yield Key(kid, alg, msgspec.json.encode(public, order="sorted").decode(), made)


def fitting(keys: Sequence[Key], token: Token) -> list[Key]:
    """The keys that the token may be signed with: of its algorithm, and of the name it says. One that names none is
    signed with the only one there is."""
    of_alg = [key for key in keys if key.alg == token.alg]
    if token.kid is not None:
        return [key for key in of_alg if key.kid == token.kid]
    return of_alg if len(of_alg) == 1 else []


def require_signed(token: Token, keys: Sequence[Key]) -> None:
    """Raises Untrusted unless one of the keys has signed the token."""
    for key in keys:
        try:
            _jws.decode_complete(token.written, key.key, [key.alg])
        except jwt.PyJWTError:
            continue
        return
    raise Untrusted("its signature is wrong")
