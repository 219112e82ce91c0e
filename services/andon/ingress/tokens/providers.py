"""The identity providers of one door process, as the configuration in force names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from andon.config.proxies import proxy_of
from andon.config.settings import Settings
from andon.core.ports import Clock, Way
from andon.ingress.tokens.provider import Provider
from andon.web.wire import HttpWire

_IN_FLIGHT = 2


class Providers:
    """One `Provider` for each entry of `access.issuers`. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[object, Provider]] = {}
        self._made: dict[str, tuple[object, Provider]] = {}

    def of(self, settings: Settings, directory: Path) -> Mapping[str, Provider]:
        """The providers of a configuration by name: those that run, where nothing about them is another, and new ones.
        They do nothing before `keep`."""
        self._made = {}
        for name, issuer in settings.access.issuers.items():
            proxy = settings.site.proxy if issuer.proxy is None else None if issuer.proxy == "none" else issuer.proxy
            ca = str(directory / issuer.ca) if issuer.ca else None
            wanted, kept = (issuer, proxy, ca), self._kept.get(name)
            if kept is not None and kept[0] == wanted:
                self._made[name] = kept
            else:
                wire = HttpWire(Way(proxy_of(proxy), allow=issuer.allow, ca=ca), in_flight=_IN_FLIGHT)
                self._made[name] = wanted, Provider(name, issuer, wire, self._clock)
        return {name: provider for name, (_, provider) in self._made.items()}

    async def keep(self) -> None:
        """Begins with those that `of` has made last, and ends those that it did not name any more."""
        before, self._kept = self._kept, self._made
        for name, (_, provider) in self._kept.items():
            if before.get(name) != self._kept[name]:
                provider.start()
        for name, (_, provider) in before.items():
            if self._kept.get(name) != before[name]:
                await provider.close()

    async def close(self) -> None:
        """Ends them all."""
        self._made = {}
        await self.keep()
