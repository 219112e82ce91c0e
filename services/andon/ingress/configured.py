"""What a configuration makes of the door: its sources, its clients, who calls back, and its TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from andon.config.access import Access
from andon.config.plugs import SOURCES
from andon.config.published import Published
from andon.config.settings import Listen
from andon.core.ports import CallbackSource, Clock, Context, Source
from andon.ingress.entry.clients import Clients
from andon.ingress.sources.alertmanager import AlertmanagerSource
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.own import Own
from andon.ingress.tokens.provider import Provider
from andon.runtime.feeds import feeds_of
from andon.runtime.registry import Registry
from andon.web.nowire import NoWire

POSTED = (HttpSource, AlertmanagerSource)
"""What clients post to, each at addresses of its own; who has a token for such a source is let in."""


def sources_of(published: Published, registry: Registry, clock: Clock) -> dict[str, Source]:
    """The configured sources by name."""
    sources = {}
    channels = {name: plug.options for name, plug in published.settings.channels.items()}
    for name, plug in published.settings.sources.items():
        rules = None
        if plug.map:
            # Its languages take a tenth of the time in which a door is there again, and most doors have no map.
            from andon.ingress.mapping import EventMap

            rules = EventMap(plug.map, published.settings.site.zone)
        # Sources only parse.
        context = Context(name, Path(published.directory), clock, NoWire(), channels=channels, map=rules)
        sources[name] = registry.build(SOURCES, plug, context)
    return sources


def clients_of(
    sources: Mapping[str, Source], clock: Clock, access: Access, providers: Mapping[str, Provider]
) -> Clients:
    """The sources whose clients show a token."""
    with_token = {name: one for name, one in sources.items() if isinstance(one, POSTED)}
    return Clients(with_token, clock, providers, Own(access.tokens, clock.now()) if access.tokens else None)


def callbacks_of(sources: Mapping[str, Source]) -> dict[str, CallbackSource]:
    """The sources that vendors call."""
    return {name: one for name, one in sources.items() if isinstance(one, CallbackSource)}


def connections_of(published: Published, registry: Registry) -> dict[str, str]:
    """What the sources that keep a connection are connected to."""
    return {feed.source: feed.config.connection() for feed in feeds_of(published.settings, registry).values()}


def tls_of(listen: Listen) -> ssl.SSLContext | None:
    """TLS 1.3 with the configured certificate; None for plain HTTP, which `check` allows on loopback only."""
    if not listen.cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Whatever SSLKEYLOGFILE says: who has that file can read what is posted.
    context.keylog_filename = None  # type: ignore[assignment]
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if listen.client_ca:
        # Whom a vendor calls shows none; who has to show one, the gate asks.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(listen.client_ca.removeprefix("file:"))
    context.load_cert_chain(listen.cert.removeprefix("file:"), (listen.key or listen.cert).removeprefix("file:"))
    return context
