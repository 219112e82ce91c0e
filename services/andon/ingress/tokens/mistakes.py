"""What is wrong with who may come in, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import ValidationError

from andon.config.access import Bearer, Issuer
from andon.config.mistakes import Path as Way
from andon.config.plugs import SOURCES, PlugUnusable
from andon.config.secrets import SecretMissing
from andon.config.settings import Settings
from andon.ingress.tokens.own import WeakKey, require_strong
from andon.runtime.registry import Registry
from andon.web.guard import Guard, require_entry


def check(settings: Settings, registry: Registry) -> list[tuple[Way, str]]:
    """Pairs of a place in andon.yaml and a sentence."""
    found = [*_signing_key(settings), *_clients(settings, registry)]
    owners: dict[str, str] = {}
    for name, issuer in settings.access.issuers.items():
        found += _issuer(("access", "issuers", name), issuer)
        if (other := owners.setdefault(issuer.issuer, name)) != name:
            found.append((("access", "issuers", name, "issuer"), f"`{other}` is this issuer already"))
    return found


def _issuer(place: Way, issuer: Issuer) -> Iterator[tuple[Way, str]]:
    for index, entry in enumerate(issuer.allow):
        try:
            require_entry(entry)
        except ValueError as error:
            yield (*place, "allow", index), str(error)
            return
    host = urlsplit(issuer.issuer).hostname or ""
    try:
        kind = Guard(issuer.allow).refuses(host, host)
    except ValueError:
        kind = None if host != "localhost" or Guard(issuer.allow).trusts(host) else "a loopback"
    if kind:
        yield (*place, "issuer"), f"{host} is {kind} address; name it or its network in `allow`"


def _signing_key(settings: Settings) -> Iterator[tuple[Way, str]]:
    """The key itself is looked at where this machine has it, and never shown."""
    if settings.access.tokens is None:
        return
    try:
        for value in settings.access.tokens.key.values():
            require_strong(value.get_secret_value())
    except WeakKey as weak:
        yield ("access", "tokens", "key"), str(weak)
    except SecretMissing:
        return  # whoever needs it says so


def _clients(settings: Settings, registry: Registry) -> Iterator[tuple[Way, str]]:
    owners: dict[tuple[str, str], str] = {}
    for name, plug in settings.sources.items():
        try:
            config = registry.config(SOURCES, plug)
        except (PlugUnusable, ValidationError):
            continue  # said elsewhere
        if not isinstance(config, Bearer):
            continue
        if config.token is None and config.oauth is None and settings.access.tokens is None:
            yield ("sources", name), "no client can come in here: write `token` or `oauth`, or `access.tokens`"
        if config.oauth is not None:
            client = (config.oauth.issuer, config.oauth.client)
            if (other := owners.setdefault(client, name)) != name:
                yield ("sources", name, "oauth", "client"), f"this is the client of the source `{other}` already"
