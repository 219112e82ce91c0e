"""What a token has to say to open the door, once its signature is known to be good.

Sources: RFC 7519 (section 4.1), RFC 8725 (3.8 to 3.12), RFC 9068 (section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from andon.ingress.tokens.compact import Token, Untrusted, quoted

EXPIRED = "the token has expired"
# What makes a token another kind of token: by OpenID Connect Core (3.1.3.6), and in the words of Keycloak.
_OF_IDENTITY = ("at_hash", "c_hash", "s_hash")
_OTHER_KINDS = frozenset({"id", "refresh", "offline", "logout"})


class Rules(msgspec.Struct, frozen=True):
    """What holds for the tokens of one issuer. Times in seconds.

    `types` are the values of the header's `typ`, "" for none; `client` the claims that may name the client, the first
    that is there counts; `early` how far a beginning may lie ahead of our clock, `late` how long after its end a token
    still counts; `begins` the claim its life is counted from, up to `max_age`.
    """

    audience: str
    algorithms: frozenset[str]
    types: frozenset[str]
    client: tuple[str, ...]
    begins: str
    max_age: float
    early: float = 0.0
    late: float = 0.0


class Proved(msgspec.Struct, frozen=True):
    """Who the client is by its issuer's word, and until when (seconds since 1970, exclusive)."""

    client: str
    ends: float


def require_kind(token: Token, rules: Rules) -> None:
    """Raises Untrusted for an algorithm or a kind of token that is not to be looked at any closer."""
    if token.alg not in rules.algorithms:
        raise Untrusted(f"the algorithm {quoted(token.alg)} is not allowed")
    if token.typ not in rules.types:
        says = f"says {quoted(token.typ)}" if token.typ else "has no `typ`"
        raise Untrusted(f"its header {says}, which is not the type of an access token")


def proved(claims: Mapping[str, Any], rules: Rules, now: float) -> Proved:
    """What the claims of a token with a good signature prove. Raises Untrusted."""
    _require_access_token(claims)
    if rules.audience not in _audiences(claims):
        raise Untrusted("it is for another audience")
    ends, begins = _moment(claims, "exp"), _moment(claims, rules.begins)
    if now >= ends + rules.late:
        raise Untrusted(f"it has expired {now - ends:,.0f} s ago", EXPIRED)
    for name in ("nbf", "iat"):
        if name in claims and (ahead := _moment(claims, name) - now) > rules.early:
            raise Untrusted(f"it is not valid yet: its `{name}` lies {ahead:,.0f} s ahead")
    if ends - begins > rules.max_age:
        raise Untrusted(f"it lasts {ends - begins:,.0f} s, and {rules.max_age:,.0f} s is the longest life allowed")
    return Proved(_client(claims, rules.client), ends + rules.late)


def _require_access_token(claims: Mapping[str, Any]) -> None:
    if any(name in claims for name in _OF_IDENTITY) or str(claims.get("typ", "")).lower() in _OTHER_KINDS:
        raise Untrusted("it is no access token but one of another kind")


def _audiences(claims: Mapping[str, Any]) -> Sequence[str]:
    found = claims.get("aud")
    all_ = [found] if isinstance(found, str) else found
    if not isinstance(all_, list) or not all_ or not all(isinstance(one, str) for one in all_):
        raise Untrusted("it names no audience")
    return all_


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12 or math.isnan(value):
        raise Untrusted(f"its `{name}` is {'missing' if value is None else 'no time'}")
    return float(value)


def _client(claims: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        if (value := claims.get(name)) is not None:
            if not isinstance(value, str) or not value:
                raise Untrusted(f"its `{name}` is no name")
            return value
    raise Untrusted(f"it names no client: {' or '.join(f'`{name}`' for name in names)} is missing")
