"""What `andon check` says of the part of a configuration that egress serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from andon.config.computed import COMPUTED
from andon.config.later import RECIPIENTS
from andon.config.mistakes import Path as Way
from andon.config.plugs import PlugUnusable
from andon.config.receivers import Receiver
from andon.config.settings import Settings
from andon.config.templates import is_structured, parts_of
from andon.core.policy import OnAmbiguous
from andon.core.ports import HasWays, KeyedChannel, NamesPeople
from andon.egress import names, render
from andon.egress.receivers import GROUP, structures, taken
from andon.runtime.registry import Registry

_NO_NAMES = (*RECIPIENTS, *COMPUTED)


def check(
    settings: Settings, files: Mapping[str, str], registry: Registry, folder: Path | None
) -> list[tuple[Way, str]]:
    """Pairs of a place in andon.yaml and a sentence. `folder` is where files that cards name are looked for, if
    they are here. What is wrong with a channel itself is said elsewhere (config.load)."""
    kinds = structures(settings, files, registry)
    found = render.check(settings, files, kinds, taken(settings, registry), folder)
    return [*found, *names.mistakes(settings, files, registry.kinds(GROUP)), *_receivers(settings, files, registry)]


def _receivers(settings: Settings, files: Mapping[str, str], registry: Registry) -> Iterator[tuple[Way, str]]:
    for name, receiver in settings.receivers.items():
        if receiver.long == "link" and settings.templates.link is None:
            text = "`link` needs `templates.link`, the address where the whole can be read"
            yield ("receivers", name, "long"), f"{text}; without one write `split`"
        if receiver.channel not in settings.channels:
            continue
        plug = settings.channels[receiver.channel]
        try:
            channel, config = registry.plug_in(GROUP, plug.kind), registry.config(GROUP, plug)
        except (PlugUnusable, ValidationError):
            continue
        if isinstance(config, NamesPeople):
            yield from _people(name, receiver, config)
        if isinstance(config, HasWays):
            yield from _unfit(name, receiver, plug.kind, config, files)
        if receiver.on_ambiguous is OnAmbiguous.RESEND_KEYED and not issubclass(channel, KeyedChannel):
            text = f"`resend_keyed` needs a channel whose other side knows a repeat; nobody behind a {plug.kind} does"
            yield ("receivers", name, "on_ambiguous"), f"{text}: write resend_marked or park_unknown"


def _unfit(
    name: str, receiver: Receiver, channel: str, config: HasWays, files: Mapping[str, str]
) -> Iterator[tuple[Way, str]]:
    """Cards that cannot go to whom a receiver names: its own, and the one of what was merged."""
    for file in filter(is_structured, files):
        of = parts_of(file)
        used = of.template in (receiver.template, "digest") and of.channel == channel
        if used and (text := config.unfit(receiver.to, of.kind)):
            yield ("receivers", name, "template"), f"template {file}: {text}"


def _people(name: str, receiver: Receiver, config: NamesPeople) -> Iterator[tuple[Way, str]]:
    """What is wrong with whom a receiver names, in the words of its channel. What names a fact is not known yet."""
    literal = {number: one for number, one in enumerate(receiver.to) if one.partition(":")[0] not in _NO_NAMES}
    if receiver.to and not literal:
        return
    place: Way = ("receivers", name, "to") if receiver.to else ("receivers", name)
    numbers = list(literal)
    for number, text in config.recipient_mistakes(tuple(literal.values())):
        yield (place if number is None else (*place, numbers[number])), text
