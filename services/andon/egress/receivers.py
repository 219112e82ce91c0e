"""The receivers of one configuration version, ready to be served: their channels, policies and templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import msgspec

from andon.config.published import Published
from andon.config.settings import ChannelPlug, Receiver, proxy_of
from andon.core.policy import Limit, Merge, OnAmbiguous, QueuePolicy
from andon.core.ports import Channel, ChannelConfig, Clock, Context, EventChannel, KeyedChannel, Link, Wire
from andon.egress.render import Renderer
from andon.runtime.registry import Registry

GROUP = "andon.channels"
# A broker answers many at once, and a subject's own stay in order anyway.
_IN_FLIGHT = 32


class Served(msgspec.Struct, frozen=True):
    """A receiver with everything its deliveries need. `events` is its channel when that wants events, not texts."""

    channel: Channel
    kind: str
    template: str
    policy: QueuePolicy
    events: EventChannel | None = None


class Receivers(Mapping[str, Served]):
    """Receivers by name. Builds every channel once; raises what a plug-in raises when it cannot be built."""

    def __init__(
        self, published: Published, registry: Registry, wire: Wire, clock: Clock, kafka: Link | None = None
    ) -> None:
        settings = published.settings
        self.renderer = Renderer(
            published.files, settings.templates.missing, settings.site.zone, settings.templates.mask
        )
        self._channels: dict[str, Channel] = {}
        self._wires: list[Wire] = []
        self._served: dict[str, Served] = {}
        configs: dict[str, ChannelConfig] = {}
        for name, plug in settings.channels.items():
            context = Context(name, Path(published.directory), clock, self._wire(plug, wire), kafka)
            configs[name] = cast("ChannelConfig", registry.config(GROUP, plug))
            self._channels[name] = registry.build(GROUP, plug, context)
        for name, receiver in settings.receivers.items():
            channel = self._channels[receiver.channel]
            policy = policy_of(receiver, configs[receiver.channel], settings.limits.queue)
            events = channel if isinstance(channel, EventChannel) else None
            if isinstance(channel, KeyedChannel):
                policy = _keyed(policy)
            self._served[name] = Served(
                channel,
                settings.channels[receiver.channel].kind,
                receiver.template,
                _of_events(policy) if events else policy,
                events,
            )

    def _wire(self, plug: ChannelPlug, wire: Wire) -> Wire:
        """The channel's way out: everybody's, unless it has a proxy of its own or goes without."""
        if plug.proxy is None:
            return wire
        proxy = None if plug.proxy == "none" else proxy_of(plug.proxy)
        self._wires.append(wire.apart(msgspec.structs.replace(wire.way, proxy=proxy)))
        return self._wires[-1]

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()
        for wire in self._wires:
            await wire.close()


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


def _keyed(policy: QueuePolicy) -> QueuePolicy:
    """The same for a channel whose other side knows a repeat: nothing need be marked."""
    again = policy.on_ambiguous is not OnAmbiguous.PARK_UNKNOWN
    return msgspec.structs.replace(policy, on_ambiguous=OnAmbiguous.RESEND_KEYED) if again else policy


def _of_events(policy: QueuePolicy) -> QueuePolicy:
    """The same for a channel that wants events: none becomes part of another."""
    return msgspec.structs.replace(policy, merge=None, in_flight=_IN_FLIGHT)


def _half_of(limits: tuple[Limit, ...], lines: int) -> Merge | None:
    """Without a rule of its own a receiver merges above half of the vendor's rate: room is left for what is urgent."""
    if not limits:
        return None
    slowest = min(limits, key=lambda limit: limit.count / limit.period)
    return Merge(Limit(max(1, slowest.count * lines // 2), slowest.period))
