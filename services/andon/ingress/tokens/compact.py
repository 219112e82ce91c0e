"""A signed token taken apart, before anything in it is believed.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practice: sections 3.1, 3.9 to 3.12).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from andon.ingress.bodies.strict import DEPTH, explain, repeated_key, surely_unique, too_deep

MOST_TOKEN = 8 << 10
_MOST_NAME = 256
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_SHOWN = 40
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Untrusted(Exception):  # noqa: N818 - an answer, not an error of the program
    """A token that opens nothing. Its text is the reason for the log, and holds no token; `told` is for the client."""

    def __init__(self, why: str, told: str = "") -> None:
        super().__init__(why)
        self.told = told


class Token(msgspec.Struct, frozen=True):
    """What a token says of itself. Nothing of it is proved. `written` is the whole, to check the signature of."""

    alg: str
    kid: str | None
    typ: str
    issuer: str
    claims: dict[str, Any]
    written: str

    def __repr__(self) -> str:
        return "Token()"


def is_signed_token(text: str) -> bool:
    """Whether it looks like one: three parts with dots between."""
    return text.count(".") == 2


def token_of(text: str) -> Token:
    """The parts of a token in compact form.

    At most 8 KiB; every part in the one way base64url can write it, so that no second text is the same token; JSON
    without repeated names, not deeper than 64 levels. A header that asks for more than we know (`crit`, `b64`, `zip`,
    a token within the token) is refused; where it offers a key (`jwk`, `jku`, `x5u`, `x5c`) it is not looked at. Raises
    Untrusted.
    """
    if len(text) > MOST_TOKEN:
        raise Untrusted(f"it is longer than {MOST_TOKEN:,} characters")
    if not _PARTS.fullmatch(text):
        raise Untrusted("it is no signed token: not three parts of base64url with dots between")
    head, body, signature = text.split(".")
    header, claims = _json("header", _bytes(head)), _json("claims", _bytes(body))
    _bytes(signature)
    for name in ("crit", "b64", "zip", "enc"):
        if name in header:
            raise Untrusted(f"its header has `{name}`, which nobody may ask of us")
    if "cty" in header and str(header["cty"]).lower() != "json":
        raise Untrusted("there is another token in it")
    return Token(
        alg=_text(header, "alg", "header"),
        kid=_text(header, "kid", "header") if "kid" in header else None,
        typ=_text(header, "typ", "header").lower().removeprefix("application/") if "typ" in header else "",
        issuer=_text(claims, "iss", "claims"),
        claims=claims,
        written=text,
    )


def quoted(value: object) -> str:
    """A text from outside as a sentence may hold it: its beginning."""
    text = str(value)
    return f"`{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}`"


def _bytes(part: str) -> bytes:
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        data = b""
    if urlsafe_b64encode(data).rstrip(b"=").decode() != part:
        raise Untrusted("a part of it is not written as base64url is")
    return data


def _json(what: str, raw: bytes) -> dict[str, Any]:
    colons = raw.count(b":")
    if too_deep(raw, colons):
        raise Untrusted(f"its {what}: nested deeper than {DEPTH} levels")
    try:
        found = _decode(raw)
        repeated = None if surely_unique(raw, colons, _encode(found)) else repeated_key(raw)
    except (ValueError, RecursionError) as error:
        raise Untrusted(f"its {what}: {explain(raw, error).detail}") from None
    if repeated is not None:
        raise Untrusted(f"its {what}: the key {quoted(repeated)} stands twice")
    return found


def _text(members: dict[str, Any], name: str, what: str) -> str:
    if name not in members:
        raise Untrusted(f"its {what}: `{name}` is missing")
    value = members[name]
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_NAME:
        raise Untrusted(f"its {what}: `{name}` is no text of 1 to {_MOST_NAME} characters")
    return value
