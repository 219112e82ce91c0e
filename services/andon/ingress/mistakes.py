"""What is wrong with the sources of a configuration beyond their own keys, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from andon.config.mistakes import Path
from andon.config.plugs import SOURCES, PlugUnusable, SourcePlug
from andon.config.settings import Settings
from andon.config.units import duration_text
from andon.core.ports import CallbackSource, KeepsConnection, TakesMap
from andon.ingress.configured import POSTED
from andon.ingress.mapping import EventMap, MapError
from andon.ingress.tokens import mistakes as tokens
from andon.kafka.foreign import ReadTopic
from andon.runtime.registry import Registry

Mistake = tuple[Path, str]

LEAST_S = 60.0
LEAST_BEAT_S = 10.0


def check(settings: Settings, registry: Registry) -> list[Mistake]:
    """Every mistake in who may come in and how, in the maps of sources, in what is expected of them and in the
    heartbeat: its path and one sentence. Names that name nothing are found when the file is loaded."""
    expected = (one for name, plug in settings.sources.items() for one in _expect(name, plug, registry))
    ways = (one for name, plug in settings.sources.items() for one in _way_in(name, plug, registry))
    return [*tokens.check(settings, registry), *ways, *_maps(settings, registry), *expected, *_heartbeat(settings)]


def doubts(settings: Settings, registry: Registry) -> Iterator[Mistake]:
    """Maps by which two things that happened may be taken for one."""
    for name, plug in settings.sources.items():
        named = getattr(registry.plug_in(SOURCES, plug.kind), "own_ids", True)
        if plug.map is not None and not named and plug.map.id is None and plug.map.time is None:
            yield (
                ("sources", name, "map"),
                "with neither `id` nor `time` two equal bodies are one event; map one of them, or write `id: new`",
            )


def _way_in(name: str, plug: SourcePlug, registry: Registry) -> Iterator[Mistake]:
    try:
        kind, config = registry.plug_in(SOURCES, plug.kind), registry.config_type(SOURCES, plug.kind)
    except PlugUnusable:
        return  # said by its kind
    if not (issubclass(kind, (*POSTED, CallbackSource)) or issubclass(config, ReadTopic)):
        text = "has no way in: a source of your own is a CallbackSource, or derived from one of Andon's"
        yield ("sources", name, "kind"), f"kind `{plug.kind}` {text}"


def _maps(settings: Settings, registry: Registry) -> Iterator[Mistake]:
    for name, plug in settings.sources.items():
        if plug.map is None:
            continue
        place: Path = ("sources", name, "map")
        try:
            kind = registry.plug_in(SOURCES, plug.kind)
            if not isinstance(kind, TakesMap):
                yield place, f"a source of kind `{plug.kind}` takes no map: what it is sent has a form of its own"
            elif kind.own_ids and plug.map.id is not None:
                yield (*place, "id"), f"what a source of kind `{plug.kind}` is sent has an id already; leave this out"
            EventMap(plug.map, settings.site.zone)
        except PlugUnusable:
            continue  # said by its kind
        except MapError as error:
            yield from ((((*place, *step), text)) for step, text in error.mistakes)


def _expect(name: str, plug: SourcePlug, registry: Registry) -> Iterator[Mistake]:
    expect = plug.expect
    place: Path = ("sources", name, "expect")
    if expect is None:
        return
    if expect.event_within is None and not expect.connected:
        yield place, "it expects nothing; give `event_within`, or `connected: true`"
    if expect.event_within is not None and expect.event_within < LEAST_S:
        text = f"at least 1m, not {duration_text(expect.event_within)}: doors tell each other every 10 s what they hear"
        yield (*place, "event_within"), text
    if expect.connected and not _keeps_connection(plug, registry):
        text = (
            f"a source of kind `{plug.kind}` keeps no connection; give `event_within`, within which it sends something"
        )
        yield (*place, "connected"), text


def _heartbeat(settings: Settings) -> Iterator[Mistake]:
    beat = settings.watch.heartbeat
    if beat is not None and beat.every < LEAST_BEAT_S:
        yield ("watch", "heartbeat", "every"), f"at least 10s, not {duration_text(beat.every)}"


def _keeps_connection(plug: SourcePlug, registry: Registry) -> bool:
    try:
        return issubclass(registry.config_type(SOURCES, plug.kind), KeepsConnection)
    except PlugUnusable:
        return True  # said where its kind stands
