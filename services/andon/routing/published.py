"""The router of a published configuration, for the service and for whoever explains what it did."""

from __future__ import annotations

from typing import cast

from andon.config.published import Published
from andon.core.ports import ChannelConfig, CountsPeople
from andon.routing.once import Account
from andon.routing.router import Router
from andon.runtime.registry import Registry

_GROUP = "andon.channels"


def router_of(published: Published, registry: Registry) -> Router:
    """The router of a configuration version. Names each receiver's limit domain and account; needs no secret for it."""
    settings = published.settings
    configs = {
        name: cast("ChannelConfig", registry.config(_GROUP, settings.channels[receiver.channel]))
        for name, receiver in settings.receivers.items()
    }
    domains = {name: config.limit_domain() for name, config in configs.items()}
    accounts = {
        name: _account(domains[name], config) for name, config in configs.items() if isinstance(config, CountsPeople)
    }
    return Router(settings, published.version, domains, published.tables, published.mutes, accounts)


def _account(domain: str, config: CountsPeople) -> Account:
    return Account(f"{domain} {config.sender()}", lambda name: config.behind(name) is None)
