"""What `andon check` says of the part of a configuration that egress serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from andon.config.mistakes import Path as Way
from andon.config.plugs import PlugUnusable
from andon.config.settings import Settings
from andon.core.policy import OnAmbiguous
from andon.egress import render
from andon.egress.receivers import GROUP, structures, taken
from andon.runtime.registry import Registry


def check(settings: Settings, files: Mapping[str, str], registry: Registry, folder: Path) -> list[tuple[Way, str]]:
    """Pairs of a place in andon.yaml and a sentence. `folder` is where files that cards name are looked for."""
    kinds = structures(settings, files, registry)
    found = render.check(settings, files, kinds, taken(settings, registry), folder)
    return [*found, *_receivers(settings, registry)]


def _receivers(settings: Settings, registry: Registry) -> Iterator[tuple[Way, str]]:
    for name, receiver in settings.receivers.items():
        if receiver.channel not in settings.channels:
            continue
        kind = settings.channels[receiver.channel].kind
        try:
            channel = registry.plug_in(GROUP, kind)
        except PlugUnusable:
            continue
        unfit = getattr(channel, "unfit", None)
        if unfit is not None and (text := unfit(receiver.to)):
            yield ("receivers", name, "to"), text
        if receiver.on_ambiguous is OnAmbiguous.RESEND_KEYED and not hasattr(channel, "key"):
            text = f"`resend_keyed` needs a channel whose other side knows a repeat; nobody behind a {kind} does"
            yield ("receivers", name, "on_ambiguous"), f"{text}: write resend_marked or park_unknown"
