"""The shape of andon.yaml. A map holds named things, a list holds an order; unknown keys are refused.

Sections of plug-ins (sources, connectors, channels, ticket systems) keep their own keys in `Plug.options`; the
plug-in's nested `Config` checks them (runtime.registry). The text below a field is its description in
docs/configuration.md and in the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from andon.config.access import Access
from andon.config.addresses import Address, Network, ProxyUrl, Zone
from andon.config.kafka import Kafka
from andon.config.limits import Limits
from andon.config.maintenance import Maintenance
from andon.config.plugs import ChannelPlug, Plug, SourcePlug
from andon.config.proxies import Proxy
from andon.config.receivers import DirectoryTable, Language, Receiver, Templates
from andon.config.routing import EnrichRule, EpisodeRule, InhibitRule, Route
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.times import Calendar
from andon.config.units import Rate
from andon.config.watching import Watch
from andon.core.policy import Limit


class Site(Section):
    """The plant, and how it is reached from the network."""

    name: str = "andon"
    """Its name, as people read it."""
    zone: Zone = "Asia/Shanghai"
    """The IANA time zone of every time of day in this file."""
    language: Language = "zh"
    """The language of notices and of built-in texts; a receiver may have its own."""
    proxy: ProxyUrl | Proxy | None = None
    """The HTTP proxy of calls to the outside, `http://host:port`; this machine itself is called without it."""


class Store(Section):
    """Where desks keep what is open."""

    url: str | None = None
    """`sqlite:////folder` (one file per desk, all processes on one host) or `postgresql+psycopg://host/name`, with a
    password as `env:NAME` or `file:/path` of the whole; by default SQLite within the data directory. See
    docs/store.md."""
    hosts: Annotated[int, Field(ge=1, le=1_000)] = 1
    """On how many hosts processes of the desks run. More than one needs PostgreSQL."""

    def address(self) -> str | None:
        """The url itself, also where the file only says where it is. Raises SecretMissing."""
        if self.url and self.url.startswith(("env:", "file:")):
            return SecretRef(self.url).reveal()
        return self.url


class Listen(Section):
    """The door. Plain HTTP is refused on any address but loopback."""

    address: Address = "127.0.0.1:8700"
    """`host:port`."""
    cert: str | None = None
    """The certificate, PEM."""
    key: str | None = None
    """Its key, PEM."""
    client_ca: str | None = None
    """The authority of the clients' certificates, PEM. With it a token alone is not enough: see `client_cert` of a
    source."""
    allow: tuple[Network, ...] = ()
    """From where anybody may call at all: `10.0.0.0/8`, `10.3.*.*`, one address; from everywhere by default. See
    docs/door.md."""
    trusted_proxies: tuple[Network, ...] = ()
    """The reverse proxies whose X-Forwarded-For or Forwarded is believed."""
    strangers: Rate | Literal["none"] = Field(default_factory=lambda: Limit(100, 10.0))
    """How many requests of one address (of IPv6: its /64) are refused in full before it shows who it is; more are
    answered 429. `none`: all of them."""


class Otel(Section):
    """OpenTelemetry."""

    endpoint: str
    """Where traces are sent, OTLP over HTTP: `http://host:4318`, without or with `/v1/traces`."""


class Settings(Section):
    """A whole andon.yaml."""

    version: Literal[1]
    """Of this format."""
    site: Site = Site()
    """The plant."""
    kafka: Kafka = Kafka()
    """The log."""
    store: Store = Store()
    """Where desks keep what is open."""
    listen: Listen = Listen()
    """The door."""
    access: Access = Access()
    """Who may come in."""
    limits: Limits = Limits()
    """Caps."""
    calendar: Calendar = Calendar()
    """Named times."""
    sources: dict[str, SourcePlug] = {}
    """Where events come from."""
    connectors: dict[str, Plug] = {}
    """What can be asked for facts."""
    enrich: tuple[EnrichRule, ...] = ()
    """Who is asked about what, in this order."""
    channels: dict[str, ChannelPlug] = {}
    """Accounts at vendors."""
    directory: DirectoryTable = DirectoryTable()
    """Who is who."""
    receivers: dict[str, Receiver] = {}
    """Named destinations."""
    ticket_systems: dict[str, Plug] = {}
    """Trackers."""
    episodes: dict[str, EpisodeRule] = {}
    """Which events are faults."""
    route: Route
    """Who hears of what."""
    inhibit_rules: tuple[InhibitRule, ...] = ()
    """What is not told while its cause is known."""
    maintenance: dict[str, Maintenance] = {}
    """What is not told at planned times."""
    templates: Templates = Templates()
    """How notices look."""
    watch: Watch = Watch()
    """What Andon tells of itself."""
    otel: Otel | None = None
    """Traces."""

    def employs(self, service: str) -> bool:
        """Whether a service has anything to do: ticketing has where events are faults."""
        return service != "ticketing" or bool(self.episodes)

    def parallel(self) -> frozenset[str]:
        """The sources that run beside another path."""
        return frozenset(name for name, plug in self.sources.items() if plug.parallel)
