"""Topics of others that sources read: each by a group of its own, whose name is the service's."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from pydantic import ValidationError

from andon.config.plugs import SOURCES, Plug, PlugUnusable
from andon.config.settings import Settings
from andon.kafka.foreign import ReadTopic
from andon.runtime.registry import Registry

PREFIX = "source-"


class Feed(msgspec.Struct, frozen=True):
    """A topic that the source of that name reads."""

    source: str
    config: ReadTopic

    @property
    def place(self) -> tuple[str | None, str]:
        """The other cluster, if it is in one, and the topic."""
        return self.config.bootstrap, self.config.topic


def feeds_of(settings: Settings, registry: Registry) -> dict[str, Feed]:
    """Service → what it reads, for every source whose `Config` is a `ReadTopic`. A plug-in that is not installed reads
    nothing. Raises PlugUnusable, and pydantic's ValidationError."""
    feeds = (_feed(name, plug, registry) for name, plug in settings.sources.items())
    return {PREFIX + feed.source: feed for feed in feeds if feed}


def feeds_in_force(settings: Settings | None, registry: Registry) -> dict[str, Feed]:
    """The same of what was published, maybe by another Andon: a source that this one does not take is passed over. A
    version must not keep back the one that mends it."""
    found = {}
    for name, plug in settings.sources.items() if settings else ():
        with suppress(PlugUnusable, ValidationError):
            if feed := _feed(name, plug, registry):
                found[PREFIX + name] = feed
    return found


def new_feeds(settings: Settings, before: Settings | None, registry: Registry) -> dict[str, Feed]:
    """Those that do not read the same topic in the version before. A source that stays as it is is none of them, even
    where it is not taken any more. Raises as `feeds_of` does."""
    known = feeds_in_force(before, registry)
    found = {}
    for name, plug in settings.sources.items():
        old = before.sources.get(name) if before else None
        if old and (old.kind, old.options) == (plug.kind, plug.options):
            continue
        feed, service = _feed(name, plug, registry), PREFIX + name
        if feed and not (service in known and known[service].place == feed.place):
            found[service] = feed
    return found


def _feed(name: str, plug: Plug, registry: Registry) -> Feed | None:
    if plug.kind not in registry.kinds(SOURCES):
        return None
    config = registry.config(SOURCES, plug)
    return Feed(name, config) if isinstance(config, ReadTopic) else None
