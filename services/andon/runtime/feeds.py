"""Topics of others that sources read: each by a group of its own, whose name is the service's."""

from __future__ import annotations

import msgspec

from andon.config.plugs import SOURCES
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


def feeds_of(settings: Settings | None, registry: Registry) -> dict[str, Feed]:
    """Service → what it reads, for every source whose `Config` is a `ReadTopic`. A plug-in that is not installed any
    more, as an older version may name it, reads nothing."""
    feeds = {}
    for name, plug in settings.sources.items() if settings else ():
        if plug.kind not in registry.kinds(SOURCES):
            continue
        config = registry.config(SOURCES, plug)
        if isinstance(config, ReadTopic):
            feeds[PREFIX + name] = Feed(name, config)
    return feeds
