"""`kafka`: the log everything passes through, and how it is reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from andon.config.addresses import Bootstrap
from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Seconds

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
