"""Who may come in: tokens of identity providers, and short-lived ones of our own, beside the fixed ones of a source."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from andon.config.addresses import ProxyUrl, is_loopback
from andon.config.mistakes import hint
from andon.config.secrets import PemFile, SecretRef
from andon.config.section import Section
from andon.config.units import Seconds

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""The algorithms of RFC 7518 and RFC 8037 whose keys a provider can publish."""


def is_safe(url: str) -> bool:
    """Whether what is read at this address comes from who it names: over https, or from this machine. Raises
    ValueError when it is no address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https:// and names a host")
    return parts.scheme == "https" or is_loopback(parts.hostname)


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    if not is_safe(url):
        raise ValueError("over plain HTTP anybody on the way could choose the keys; write https://…")
    if parts.query or parts.fragment or parts.username is not None or any(char.isspace() for char in url):
        raise ValueError("an issuer's name has no account, query or fragment; write it exactly as the provider does")
    return url


def _algorithm(name: str) -> str:
    if name in ASYMMETRIC:
        return name
    if name.upper().startswith("HS"):
        text = "is signed with a secret, and whoever can check such a token can make one"
    elif name.lower() == "none":
        text = "is no signature"
    else:
        text = f"is not known{hint(name, ASYMMETRIC)}"
    raise ValueError(f"`{name}` {text}; write those the provider signs with, such as RS256 or ES256")


def _within(most: float, text: str) -> AfterValidator:
    def check(value: float) -> float:
        if not 0 < value <= most:
            raise ValueError(f"must be more than 0 and at most {text}")
        return value

    return AfterValidator(check)


IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Algorithm = Annotated[str, AfterValidator(_algorithm), WithJsonSchema({"enum": list(ASYMMETRIC)})]


class Issuer(Section):
    """An OIDC provider. The client of a source that names it in `oauth` shows an access token of its in place of a
    fixed one: see docs/tokens.md."""

    issuer: IssuerUrl
    """Its name, `https://…`, exactly as it stands in its tokens (`iss`); its keys are found from there."""
    audience: Annotated[str, Field(min_length=1)]
    """What its tokens for this door have as `aud`, or in it."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "PS256", "ES256", "EdDSA")
    """What its tokens may be signed with; never a shared secret."""
    claim: Annotated[str, Field(min_length=1)] | None = None
    """The claim that names the client; by default `client_id`, or `azp` where there is none."""
    typ: Literal["at+jwt"] | None = None
    """`at+jwt`: only tokens whose header says that they are access tokens (RFC 9068). By default also those that say
    `JWT` or nothing."""
    leeway: Annotated[Seconds, _within(300.0, "5m")] = 30.0
    """How far its clock may be from ours."""
    max_age: Annotated[Seconds, _within(604_800.0, "7d")] = 86_400.0
    """The longest life of a token."""
    refresh: Annotated[Seconds, _within(86_400.0, "1d")] = 600.0
    """How often its keys are read again, at least."""
    stale: Annotated[Seconds, _within(604_800.0, "7d")] = 86_400.0
    """For how long its last keys count while it does not answer."""
    allow: tuple[str, ...] = ()
    """Networks and host names it may lead to beside public addresses, `10.1.0.0/16`: docs/outbound.md."""
    ca: PemFile | None = None
    """The authority of its certificate, PEM; by default the machine's own."""
    proxy: Literal["none"] | ProxyUrl | None = None
    """The HTTP proxy on the way to it in place of `site.proxy`; `none`: directly."""


class SignedTokens(Section):
    """Short-lived tokens of our own, made by `andon token issue`: see docs/tokens.md."""

    key: SecretRef
    """What they are signed with, made by `andon token key`. A file may hold two lines: the first signs, both count."""
    max_age: Annotated[Seconds, _within(86_400.0, "1d")] = 3_600.0
    """The longest life of a token; one that was made for longer is refused."""
    audience: Annotated[str, Field(min_length=1)] = "andon"
    """Whom they are for: a door with another word here refuses them, even with the same key."""


class Access(Section):
    """Who may come in, beside the clients that show the fixed token of their source."""

    issuers: dict[str, Issuer] = {}
    """OIDC providers, by the name that sources call them by."""
    tokens: SignedTokens | None = None
    """Short-lived tokens of our own."""


class OAuth(Section):
    """Which client of a provider is the client of this source."""

    issuer: str
    """The provider, as it is called under `access.issuers`."""
    client: Annotated[str, Field(min_length=1)]
    """Its id there."""


class Bearer(Section):
    """What clients show as `Authorization: Bearer …`."""

    token: SecretRef | None = None
    """The fixed token of this client; `env:NAME` or `file:/path`. Two lines in the file are both valid (rotation)."""
    oauth: OAuth | None = None
    """Which client of an identity provider it is, `{issuer: NAME, client: ID}`: docs/tokens.md."""
