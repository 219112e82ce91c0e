"""What loading a configuration needs to know of plug-ins. `andon.runtime.registry.Registry` is it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

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
