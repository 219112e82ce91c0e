"""What is wrong with the sources of a configuration beyond their own keys, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from andon.config.mistakes import Path
from andon.config.plugs import SOURCES, PlugUnusable
from andon.config.settings import Settings
from andon.core.ports import TakesMap
from andon.ingress.mapping import EventMap, MapError
from andon.runtime.registry import Registry

Mistake = tuple[Path, str]


def check(settings: Settings, registry: Registry) -> list[Mistake]:
    """Every mistake in the maps of sources: its path and one sentence."""
    return list(_maps(settings, registry))


def doubts(settings: Settings) -> Iterator[Mistake]:
    """Maps by which two things that happened may be taken for one."""
    for name, plug in settings.sources.items():
        if plug.map is not None and plug.map.id is None and plug.map.time is None:
            yield (
                ("sources", name, "map"),
                "with neither `id` nor `time` two equal bodies are one event; map one of them, or write `id: new`",
            )


def _maps(settings: Settings, registry: Registry) -> Iterator[Mistake]:
    for name, plug in settings.sources.items():
        if plug.map is None:
            continue
        place: Path = ("sources", name, "map")
        try:
            if not isinstance(registry.plug_in(SOURCES, plug.kind), TakesMap):
                yield place, f"a source of kind `{plug.kind}` takes no map: what it is sent has a form of its own"
            EventMap(plug.map, settings.site.zone)
        except PlugUnusable:
            continue  # said by its kind
        except MapError as error:
            yield from ((((*place, *step), text)) for step, text in error.mistakes)
