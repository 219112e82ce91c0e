"""Plug-ins as they stand in the file, and what loading it needs to know of them: `andon.runtime.registry.Registry`."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import getdoc
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from andon.config.addresses import Network, ProxyUrl
from andon.config.maps import Map
from andon.config.proxies import Proxy
from andon.config.section import Section
from andon.config.units import Rate, Share
from andon.config.watching import Expect

SOURCES = "andon.sources"
CONNECTORS = "andon.connectors"
CHANNELS = "andon.channels"
TICKET_SYSTEMS = "andon.ticket_systems"

GROUPS = {
    "sources": SOURCES,
    "connectors": CONNECTORS,
    "channels": CHANNELS,
    "ticket_systems": TICKET_SYSTEMS,
}
"""The entry-point group of each section of the file that holds plug-ins."""


class PlugUnusable(Exception):  # noqa: N818 - a state of the installation, read by people
    """A plug-in is not there, cannot be imported or is no plug-in; the text says which and why."""


class PlugChecker(Protocol):
    """Knows the plug-ins that are installed."""

    def kinds(self, group: str) -> Sequence[str]:
        """The kinds registered in an entry-point group, sorted."""

    def config_type(self, group: str, kind: str) -> type[BaseModel]:
        """The nested `Config` of a plug-in. Raises PlugUnusable."""


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


def _tuple(value: Any) -> Any:
    """A list as the tuple that is asked for: behind `Plug._gather` it is one of Python, whose kind is looked at."""
    return tuple(value) if isinstance(value, list) else value


class SourcePlug(Plug):
    """A configured source: its kind, the keys that all sources have, and those that are its own."""

    allow: Annotated[tuple[Network, ...], BeforeValidator(_tuple)] = ()
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
