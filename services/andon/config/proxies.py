"""The HTTP proxy that calls to the outside go through."""

from __future__ import annotations

from andon.config.addresses import ProxyUrl, host_port
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.core import ports


class Proxy(Section):
    """An HTTP proxy that wants an account; without one its address alone is written."""

    url: ProxyUrl
    """Its address, `http://host:port`."""
    user: SecretRef
    """The account's name."""
    password: SecretRef
    """Its password."""


def proxy_of(written: ProxyUrl | Proxy | None) -> ports.Proxy | None:
    """The proxy as the wire wants it."""
    if written is None:
        return None
    if isinstance(written, str):
        return ports.Proxy(*_proxy_place(written))
    user, password = written.user, written.password
    return ports.Proxy(*_proxy_place(written.url), lambda: (user.reveal(), password.reveal()))


def _proxy_place(url: ProxyUrl) -> tuple[str, int]:
    return host_port(url.partition("://")[2].removesuffix("/").rpartition("@")[2])
