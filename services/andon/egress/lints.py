"""What is allowed in the egress part of a configuration but probably not intended."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import cast

from pydantic import ValidationError

from andon.config.mistakes import Path
from andon.config.plugs import PlugUnusable
from andon.config.settings import Settings
from andon.config.templates import is_of
from andon.core.ports import ChannelConfig, ForPrograms
from andon.egress.receivers import GROUP, told_of_digests
from andon.egress.render import Renderer
from andon.runtime.registry import Registry

_DIGEST = "digest"
_CALL = re.compile(r"@|<at\s")
# A template that another one names by an expression: which one it is, only an event says.
_BY_EXPRESSION = re.compile(r"\{%[-+]?\s*(?:include|extends|import|from)\s+[^\s\"']")


def check(settings: Settings, files: Mapping[str, str], registry: Registry) -> Iterator[tuple[Path, str]]:
    """`files` are the texts of the templates by name."""
    yield from _unused(settings, files)
    renderer = Renderer(files)
    yield from _never_merged(settings, renderer, registry)
    yield from _never_called(settings, files, renderer, registry)


def moved(before: Settings, after: Settings, registry: Registry) -> Iterator[str]:
    """Receivers whose limits are counted anew although something may wait for them: their limit domain is another."""
    was, now = _domains(before, registry), _domains(after, registry)
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(was.keys() & now.keys()):
        (old, _), (new, limited) = was[name], now[name]
        if limited and old != new:
            names[old, new].append(name)
    for (old, new), moving in names.items():
        verb = "moves" if len(moving) == 1 else "move"
        yield (
            f"{', '.join(moving)} {verb} from {old} to {new}: what waits there goes by the accounts of now, and is not "
            "counted with what comes here. Until it is gone, they may be called twice as often as their limit allows"
        )


def _domains(settings: Settings, registry: Registry) -> dict[str, tuple[str, bool]]:
    """The limit domain of each receiver, and whether there are limits. A version that was published once may have
    channels that cannot be used today."""
    found: dict[str, tuple[str, bool]] = {}
    for name, receiver in settings.receivers.items():
        with suppress(PlugUnusable, ValidationError):
            config = cast("ChannelConfig", registry.config(GROUP, settings.channels[receiver.channel]))
            found[name] = config.limit_domain(), bool(config.limits())
    return found


def _never_merged(settings: Settings, renderer: Renderer, registry: Registry) -> Iterator[tuple[Path, str]]:
    """Receivers whose programs have no form for what was merged."""
    for name, receiver in settings.receivers.items():
        plug = settings.channels[receiver.channel]
        config = registry.config(GROUP, plug)
        programs = isinstance(config, ForPrograms) and config.for_programs()
        if programs and not told_of_digests(renderer, receiver, plug.kind, settings):
            text = f"template {receiver.template} has no form for what was merged, so every notice is sent alone"
            yield ("receivers", name, "template"), f"{text}; use `digest` in it, or write digest.{plug.kind}.j2"


def _never_called(
    settings: Settings, files: Mapping[str, str], renderer: Renderer, registry: Registry
) -> Iterator[tuple[Path, str]]:
    """Receivers whose people no call by name reaches: their template is of a kind in which their channel calls none of
    them, and names nobody itself."""
    for name, receiver in settings.receivers.items():
        channel = settings.channels[receiver.channel].kind
        calls: Collection[str] | None = getattr(registry.plug_in(GROUP, channel), "calls_by_name", None)
        if not receiver.to or calls is None:
            continue
        for file in renderer.used(receiver.template, channel, receiver.language or settings.site.language):
            kind = renderer.kind(file)
            if kind not in calls and not _calls_somebody(file, files):
                text = f"nobody of `to` is called by the template {file}, for a {channel} calls by name in"
                so = f"{' and '.join(calls)}, and this is {kind}; name whom it calls in the template, or make it a text"
                yield ("receivers", name, "to"), f"{text} {so}"


def _calls_somebody(file: str, files: Mapping[str, str]) -> bool:
    """Whether a template may call somebody by itself, or by what it includes."""
    text = files.get(file, "")
    parts = [text, *(part for name, part in files.items() if mentions(text, name))]
    return any(map(_CALL.search, parts)) or _BY_EXPRESSION.search(text) is not None


def _unused(settings: Settings, files: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Templates that no receiver is sent by: neither its own, nor its digests', nor a part of another file."""
    kinds = {plug.kind for plug in settings.channels.values()}
    looks = {(receiver.template, settings.channels[receiver.channel].kind) for receiver in settings.receivers.values()}
    if any(map(_BY_EXPRESSION.search, files.values())):
        return
    for file in files:
        own = any(is_of(file, template, kind) for template, kind in looks | {(_DIGEST, kind) for kind in kinds})
        if not own and not any(mentions(text, file) for name, text in files.items() if name != file):
            yield ("templates", "dir"), f"no receiver uses the template {file}; name it at one, or delete the file"


def mentions(text: str, file: str) -> bool:
    """Whether a template may include, extend or import a file."""
    return f'"{file}"' in text or f"'{file}'" in text
