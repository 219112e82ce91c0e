"""The receivers of one configuration version, ready to be served: their channels, policies and templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from andon.config.published import Published
from andon.config.settings import Receiver
from andon.core.policy import Limit, Merge, QueuePolicy
from andon.core.ports import Channel, ChannelConfig, Clock, Context, Wire
from andon.egress.render import Renderer
from andon.runtime.registry import Registry

GROUP = "andon.channels"


class Served(msgspec.Struct, frozen=True):
    """A receiver with everything its deliveries need."""

    channel: Channel
    kind: str
    template: str
    policy: QueuePolicy


class Receivers(Mapping[str, Served]):
    """Receivers by name. Builds every channel once; raises what a plug-in raises when it cannot be built."""

    def __init__(self, published: Published, registry: Registry, wire: Wire, clock: Clock) -> None:
        settings = published.settings
        self.renderer = Renderer(published.files, settings.templates.missing, settings.site.zone)
        self._channels: dict[str, Channel] = {}
        self._served: dict[str, Served] = {}
        configs: dict[str, ChannelConfig] = {}
        for name, plug in settings.channels.items():
            context = Context(name, Path(published.directory), clock, wire)
            configs[name] = cast("ChannelConfig", registry.config(GROUP, plug))
            self._channels[name] = registry.build(GROUP, plug, context)
        for name, receiver in settings.receivers.items():
            self._served[name] = Served(
                self._channels[receiver.channel],
                settings.channels[receiver.channel].kind,
                receiver.template,
                policy_of(receiver, configs[receiver.channel], settings.limits.queue),
            )

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


def policy_of(receiver: Receiver, channel: ChannelConfig, cap: int) -> QueuePolicy:
    """How a receiver's queue is served: its own rules, and its channel's limits."""
    limits = channel.limits()
    merge: Merge | None
    if receiver.merge == "none":
        merge = None
    elif receiver.merge is None:
        merge = _half_of(limits, channel.lines())
    else:
        merge = receiver.merge.policy()
    return QueuePolicy(
        channel=receiver.channel,
        limits=limits,
        lines=channel.lines(),
        merge=merge,
        cap=cap,
        on_ambiguous=receiver.on_ambiguous,
    )


def _half_of(limits: tuple[Limit, ...], lines: int) -> Merge | None:
    """Without a rule of its own a receiver merges above half of the vendor's rate: room is left for what is urgent."""
    if not limits:
        return None
    slowest = min(limits, key=lambda limit: limit.count / limit.period)
    return Merge(Limit(max(1, slowest.count * lines // 2), slowest.period))
