"""Topics of others that sources read: each by a group of its own, whose name is the service's.

A source reads a topic when its `Config` has the keys of `Feed`: `topic`, and where a new one begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import msgspec

from andon.config.plugs import SOURCES
from andon.config.settings import Settings
from andon.kafka.topics import READERS
from andon.runtime.registry import Registry

PREFIX = "source-"


@runtime_checkable
class FeedConfig(Protocol):
    """What the `Config` of a source says that reads a topic."""

    @property
    def topic(self) -> str: ...

    @property
    def begin(self) -> Literal["earliest", "latest"]: ...


class Feed(msgspec.Struct, frozen=True):
    """A topic that a source reads. `begin` is where: at the first record kept, or at what comes next."""

    source: str
    topic: str
    begin: str


def feeds_of(settings: Settings, registry: Registry) -> dict[str, Feed]:
    """Service → the topic it reads, for every source that reads one. A plug-in that is not installed any more, as an
    older version may name it, reads none."""
    feeds = {}
    for name, plug in settings.sources.items():
        if plug.kind not in registry.kinds(SOURCES):
            continue
        config = registry.config(SOURCES, plug)
        if isinstance(config, FeedConfig):
            feeds[PREFIX + name] = Feed(name, config.topic, config.begin)
    return feeds


def readers_of(settings: Settings | None, registry: Registry) -> Mapping[str, str]:
    """Service → the topic it reads, sources among them."""
    feeds = feeds_of(settings, registry) if settings else {}
    return {**READERS, **{service: feed.topic for service, feed in feeds.items()}}
