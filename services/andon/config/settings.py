"""The shape of andon.yaml. A map holds named things, a list holds an order; unknown keys are refused.

Sections of plug-ins (sources, connectors, channels, ticket systems) keep their own keys in `Plug.options`; the
plug-in's nested `Config` checks them (runtime.registry). The text below a field is its description in
docs/configuration.md and in the JSON Schema.
"""

from __future__ import annotations

from inspect import getdoc
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from andon.config.access import Access
from andon.config.addresses import Address, Bootstrap, Network, ProxyUrl, Zone, host_port
from andon.config.maintenance import Maintenance
from andon.config.maps import Map
from andon.config.receivers import DirectoryTable, Language, Receiver, Templates
from andon.config.secrets import SecretRef
from andon.config.section import Section as Section  # plug-ins import it from here
from andon.config.units import Bytes, Rate, Seconds, Share
from andon.config.watching import Expect, Watch
from andon.core import ports
from andon.core.policy import Limit

CodecTopic = Literal[
    "default",
    "andon.events",
    "andon.enriched",
    "andon.deliveries",
    "andon.outcomes",
    "andon.tickets",
    "andon.active",
    "andon.actions",
]


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


class Sasl(Section):
    """The account at the cluster."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the account proves itself."""
    user: SecretRef
    """Its name."""
    password: SecretRef
    """Its password."""


class Tls(Section):
    """TLS to the cluster; files in PEM form. An empty map `{}` uses the machine's own authorities."""

    ca: str | None = None
    """The authority's certificate."""
    cert: str | None = None
    """The client's certificate, where the cluster asks for one."""
    key: str | None = None
    """The client's key."""


class SchemaRegistry(Section):
    """A schema registry with Confluent's API. Without one the schemas are those of `schemas/index.json`."""

    model_config = ConfigDict(populate_by_name=True)

    url: str
    """Its address, `https://host:port` with the path of its API, if it has one."""
    user: SecretRef | None = None
    """The name it wants, with `password`."""
    password: SecretRef | None = None
    """Its password."""
    token: SecretRef | None = None
    """A bearer token, in place of name and password."""
    ca: str | None = None
    """The authority of its certificate, PEM; by default the machine's own."""
    register_: Annotated[bool, Field(alias="register")] = True
    """Whether schemas that it lacks are registered; otherwise somebody else has to."""


class Kafka(Section):
    """The log everything passes through."""

    bootstrap: Bootstrap = "embedded"
    """`embedded` starts our own node; otherwise `host:port`, … of your own cluster."""
    data: str | None = None
    """Where the embedded node keeps its log; by default within the data directory."""
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 12
    """Partitions of a topic, fixed when it is created."""
    replication: Annotated[int | None, Field(ge=1, le=7)] = None
    """Copies of a topic; by default 3, and embedded as many as there are nodes, 1 or 3."""
    retention: Seconds = 190 * 86_400.0
    """How long topics keep records."""
    sasl: Sasl | None = None
    """The account at the cluster."""
    tls: Tls | None = None
    """TLS to the cluster."""
    codec: dict[CodecTopic, Literal["json", "avro"]] = {}
    """What the records of a topic are written in; `default` stands for every topic that is not named, and is `json`
    itself by default. Both are read at any time: docs/schemas.md."""
    registry: SchemaRegistry | None = None
    """The schema registry, for topics in Avro."""


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


_DEEP = "above 1000 it breaks the promised queue depth"


def _window(value: int) -> int:
    if not 500 <= value <= 1_000:
        raise ValueError(f"must be 500 to 1000, not {value}: a smaller window wastes transactions, {_DEEP}")
    return value


def _queue(value: int) -> int:
    if not 500 <= value <= 1_000:
        raise ValueError(f"must be 500 to 1000, not {value}: a shorter one merges what would be delivered, {_DEEP}")
    return value


_SCHEMA = WithJsonSchema({"type": "integer", "minimum": 500, "maximum": 1_000})


class PersonLoad(Section):
    """How much of what is not urgent one person is told; what exceeds it waits and comes as one digest. It is counted
    for each application or mail account, over all its receivers."""

    model_config = ConfigDict(populate_by_name=True)

    notices: Rate = Field(default_factory=lambda: Limit(12, 3_600.0))
    """So many in an hour."""
    burst: Rate = Field(default_factory=lambda: Limit(10, 600.0))
    """So many in a shorter time."""
    then: Literal["digest"] = "digest"
    """What becomes of the rest."""
    except_: Annotated[Literal["urgent"], Field(alias="except")] = "urgent"
    """What is told at any time."""


class StormRule(Section):
    """When too much of one kind comes for one receiver: what exceeds the rate waits, and comes as one digest."""

    over: Rate
    """So many of a kind are told one by one, urgent ones at any time. A digest counts as all that it tells."""
    by: tuple[str, ...] = ()
    """Labels whose equal values make a kind; without them all is of one kind."""
    then: Literal["digest"] = "digest"
    """What becomes of the rest."""


class Limits(Section):
    """Caps of the whole system. `window` and `queue` stay within 500 to 1000: see docs/limits.md for the reason."""

    window: Annotated[int, AfterValidator(_window), _SCHEMA] = 1_000
    """Records a service takes in one transaction, 500 to 1000."""
    queue: Annotated[int, AfterValidator(_queue), _SCHEMA] = 500
    """Open deliveries of one receiver before its merge rule combines them, 500 to 1000."""
    backlog: Annotated[int, Field(ge=1_000)] = 50_000
    """Open deliveries of all receivers before intake pauses and the door answers 429."""
    body: Bytes = 1 << 20
    """The largest request the door takes."""
    in_flight: Annotated[int, Field(ge=1, le=1_000)] = 64
    """Calls to the outside at one time."""
    per_person: PersonLoad | Literal["none"] = PersonLoad()
    """How much one person is told: what the vendors allow is more than anybody can read. `none`: as much as they
    allow."""
    storm: StormRule | Literal["none"] = "none"
    """How much of one kind each receiver is told. `none`: all of it, as far as its other rules let it."""


def _or_a_file(schema: dict[str, Any]) -> None:
    """What andon.yaml may name in place of a map: load.py reads it."""
    schema["anyOf"].insert(1, {"type": "string"})


class Plug(Section):
    """A configured plug-in: its kind and the keys that are its own."""

    kind: str
    """Which plug-in it is."""
    options: dict[str, Any] = {}

    @classmethod
    def own_keys(cls) -> frozenset[str]:
        """The keys that are ours; every other is the plug-in's."""
        return frozenset(cls.model_fields) - {"options"}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if isinstance(value, dict) and "kind" in value and "options" not in value:
            ours = cls.own_keys()
            options = {key: inner for key, inner in value.items() if key not in ours}
            return {key: inner for key, inner in value.items() if key in ours} | {"options": options}
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # As it is written, not as it is kept: the plug-in's keys stand beside ours.
        written = handler.resolve_ref_schema(handler(schema))
        ours = {key: inner for key, inner in written["properties"].items() if key != "options"}
        for inner in ours.values():
            inner.pop("title", None)
        return {"type": "object", "description": getdoc(cls), "properties": ours, "required": ["kind"]}


class SourcePlug(Plug):
    """A configured source: its kind, the keys that all sources have, and those that are its own."""

    allow: tuple[Network, ...] = ()
    """From where its client may call: `10.0.0.0/8`, `10.3.*.*`, one address; from everywhere by default. See
    docs/door.md."""
    rate: Rate | None = None
    """How many events its client may send; more are answered 429 with the time to wait. No limit by default."""
    client_cert: str | None = None
    """The name in its client's certificate, the common name or an alternative one; `none`: it needs no certificate. By
    default any of `listen.client_ca` where a token is shown, and none where a vendor calls."""
    map: Annotated[Map | None, Field(json_schema_extra=_or_a_file)] = None
    """How what it is sent becomes an event, for kinds that take what others have written: a map, or the name of a file
    with one beside this file. See docs/mapping.md."""
    parallel: bool = False
    """Beside another path that goes on telling: its events are taken in and decided upon, and nobody is told, nor is a
    ticket opened. `andon parallel report` says who would have heard. See docs/parallel.md."""
    expect: Expect | None = None
    """What is expected of it, and who hears when it falls silent."""


class ChannelPlug(Plug):
    """A configured channel: its kind, the keys that all channels have, and those that are its own."""

    proxy: Literal["none"] | ProxyUrl | Proxy | None = None
    """The HTTP proxy of this channel in place of `site.proxy`; `none`: it goes out directly."""
    reserve_urgent: Annotated[Share, Field(json_schema_extra={"default": "0%"})] = 0.0
    """The share of a quota by the day that is kept for what is urgent."""


PLUGS: dict[str, type[Plug]] = {"sources": SourcePlug, "channels": ChannelPlug}
"""What a plug-in of a section is; in every other one a plain `Plug`."""


class EnrichRule(Section):
    """Ask `connector` about the events that match; `by` names the value it is asked with: subject, labels.x, data.x."""

    matchers: tuple[str, ...] = ()
    """Which events; all when empty."""
    connector: str
    """The connector's name; the answer is `facts.<name>`."""
    by: str = "subject"
    """The value it is asked with: `subject`, `labels.x` or `data.x`."""
    wait: Seconds = 1.0
    """After this long the fact is marked missing and the event goes on."""
    labels: dict[str, str] = {}
    """Labels to set from the answer."""


class Days(Section):
    """One time interval, in Alertmanager's sense: it holds when every named field holds."""

    days: tuple[str, ...] = ()
    """Days of the week, `monday` or `monday:friday`; `workday` and `holiday` by the working calendar."""
    times: tuple[str, ...] = ()
    """Times of day, `08:00-20:00`; one may pass midnight."""
    days_of_month: tuple[str, ...] = ()
    """Days of the month, `1`, `1:5`, or from its end: `-3:-1`."""
    months: tuple[str, ...] = ()
    """Months, `january:march` or `1:3`."""
    years: tuple[str, ...] = ()
    """Years, `2026` or `2026:2028`."""
    location: Zone | None = None
    """Its time zone, where it is not `site.zone`."""


class Calendar(Section):
    """Named times."""

    holidays: Literal["china"] | None = None
    """Whose public holidays and make-up days tell workdays from holidays: `china` (法定节假日 and 调休)."""
    overrides: str | None = None
    """A CSV file of the days on which the plant does otherwise: `date`, `day` (work or off), `note`."""
    time_intervals: dict[str, tuple[Days, ...]] = {}
    """Each holds when one of its entries holds."""


class Route(Section):
    """A node of the route tree. Children inherit `receiver`; without `continue` the first matching child decides."""

    model_config = ConfigDict(populate_by_name=True)

    receiver: str | None = None
    """Who hears of it; at the root it is the default and must be there."""
    matchers: tuple[str, ...] = ()
    """All must hold; none at the root."""
    continue_: Annotated[bool, Field(alias="continue")] = False
    """Whether the next routes are tried too."""
    active_time_intervals: tuple[str, ...] = ()
    """Only within one of these times."""
    mute_time_intervals: tuple[str, ...] = ()
    """Not within these times."""
    urgent: bool | None = None
    """Goes before all that is not; inherited."""
    group_by: tuple[str, ...] | None = None
    """Labels whose equal values make a group, which speaks with one voice; `...`: all of them. Inherited, as the three
    times are; without it there are no groups. See docs/routing.md."""
    group_wait: Seconds | None = None
    """How long the first event of a group waits for others to leave with it; 0 by default."""
    group_interval: Seconds | None = None
    """How long after a notice the next one of its group leaves at the earliest; 0 by default."""
    repeat_interval: Seconds | None = None
    """How long a state that was told stays untold when it is reported again; 0 by default: every report is told."""
    routes: tuple[Route, ...] = ()
    """Its children, in order."""


class InhibitRule(Section):
    """What is not told while its cause is known, in Alertmanager's sense: see docs/routing.md."""

    source_matchers: tuple[str, ...]
    """The cause: an open episode whose fault matches these, on its type, subject, source and labels."""
    target_matchers: tuple[str, ...]
    """What is held back while there is such a cause."""
    equal: tuple[str, ...] = ()
    """Labels that have equal values in both."""


class EpisodeRule(Section):
    """Which events are faults, what makes two of them the same fault, and where its ticket goes."""

    matchers: tuple[str, ...] = ()
    """Which events; all when empty."""
    key: tuple[str, ...] = ("subject", "code")
    """Two events with equal values of these are one fault."""
    ticket_system: str | None = None
    """The ticket system's name; without one no ticket is opened, and the fault is only a cause for `inhibit_rules`."""


class Otel(Section):
    """OpenTelemetry."""

    endpoint: str
    """Where traces are sent, OTLP over HTTP."""


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
