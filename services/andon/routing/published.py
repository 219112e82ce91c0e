"""The router of a published configuration, for the service and for whoever explains what it did."""

from __future__ import annotations

from typing import cast

from andon.config.published import Published
from andon.core.ports import ChannelConfig
from andon.routing.router import Router
from andon.runtime.registry import Registry

_GROUP = "andon.channels"


def router_of(published: Published, registry: Registry) -> Router:
    """The router of a configuration version. Names each receiver's limit domain; needs no secret for it."""
    settings = published.settings
    domains = {
        name: cast("ChannelConfig", registry.config(_GROUP, settings.channels[receiver.channel])).limit_domain()
        for name, receiver in settings.receivers.items()
    }
    return Router(settings, published.version, domains, published.tables, published.mutes)
