"""The receivers of one configuration version, ready to be served: their channels, policies and templates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec

from andon.config.computed import is_computed
from andon.config.limits import Limits, PersonLoad
from andon.config.plugs import ChannelPlug, PlugUnusable
from andon.config.proxies import proxy_of
from andon.config.published import Published
from andon.config.receivers import Receiver
from andon.config.settings import Settings
from andon.config.templates import is_structured, parts_of
from andon.core.policy import Limit, Merge, OnAmbiguous, Per, QueuePolicy, account_number
from andon.core.ports import (
    Channel,
    ChannelConfig,
    Clock,
    Coalesces,
    Context,
    CountsPeople,
    CountsRecipients,
    EventChannel,
    ForPrograms,
    HasWays,
    KeyedChannel,
    Link,
    NamesLines,
    Vault,
    Wire,
)
from andon.core.specimen import ChannelSpecimen
from andon.egress.holding import silences
from andon.egress.inhibition import Inhibition
from andon.egress.look import Look, look_of
from andon.egress.render import Renderer
from andon.egress.structure import Structure
from andon.runtime.registry import Registry

GROUP = "andon.channels"
# A broker, or an application, answers many at once, and a subject's own stay in order anyway.
_IN_FLIGHT = 32


class Served(msgspec.Struct, frozen=True):
    """A receiver with everything its deliveries need. `events` is its channel when that wants events, not texts;
    `structures` are the channel's structured kinds, `counts` its configuration when that has limits per person. What
    is for `programs` bears no mark for people. It is `named` if it says whom it is for. Without `ends` it hears of
    none."""

    channel: Channel
    kind: str
    look: Look
    policy: QueuePolicy
    events: EventChannel | None = None
    structures: Mapping[str, Structure] = {}
    counts: CountsPeople | None = None
    programs: bool = False
    named: bool = False
    ends: bool = True


class Receivers(Mapping[str, Served]):
    """Receivers by name. Builds every channel once; raises what a plug-in raises when it cannot be built."""

    def __init__(
        self,
        published: Published,
        registry: Registry,
        wire: Wire,
        clock: Clock,
        kafka: Link | None = None,
        vault: Vault | None = None,
    ) -> None:
        settings = published.settings
        self.version = published.version
        self.silences = silences(published)
        shared, kinds = settings.templates, structures(settings, published.files, registry)
        self.renderer = Renderer(published.files, shared.missing, kinds, shared.mask, shared.link)
        self.inhibition = Inhibition(settings.inhibit_rules)
        self._channels: dict[str, Channel] = {}
        self._wires: list[Wire] = []
        self._served: dict[str, Served] = {}
        configs: dict[str, ChannelConfig] = {}
        beside: dict[str, set[Limit]] = defaultdict(set)
        for name, plug in settings.channels.items():
            context = Context(name, Path(published.directory), clock, self._wire(plug, wire), kafka, vault)
            configs[name] = cast("ChannelConfig", registry.config(GROUP, plug))
            self._channels[name] = registry.build(GROUP, plug, context)
        for name, receiver in settings.receivers.items():
            served = self._serve(receiver, configs[receiver.channel], settings)
            beside[configs[receiver.channel].limit_domain()].update(served.policy.limits)
            self._served[name] = served
        for name, served in self._served.items():
            domain = configs[settings.receivers[name].channel].limit_domain()
            others = tuple(sorted(beside[domain].difference(served.policy.limits), key=msgspec.structs.astuple))
            policy = msgspec.structs.replace(served.policy, beside=others)
            self._served[name] = msgspec.structs.replace(served, policy=policy)

    def _serve(self, receiver: Receiver, config: ChannelConfig, settings: Settings) -> Served:
        """A receiver without what others of its limit domain add to its policy."""
        channel, plug = self._channels[receiver.channel], settings.channels[receiver.channel]
        policy = policy_of(receiver, config, settings.limits, plug.reserve_urgent)
        events = channel if isinstance(channel, EventChannel) else None
        if isinstance(channel, KeyedChannel):
            policy = _keyed(policy)
        programs = isinstance(config, ForPrograms) and config.for_programs()
        undigested = programs and not told_of_digests(self.renderer, receiver, plug.kind, settings)
        changes = self.renderer.changes(receiver.template, plug.kind, receiver.language or settings.site.language)
        if events or undigested or True in changes:
            policy = _one_by_one(policy)
        if False not in changes:
            policy = msgspec.structs.replace(policy, people=(), routine=())
        return Served(
            channel,
            plug.kind,
            look_of(receiver, settings),
            policy,
            events=events,
            structures=structures_of(type(channel)),
            counts=config if isinstance(config, CountsPeople) else None,
            programs=programs,
            named=bool(receiver.to),
            ends=receiver.send_resolved,
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


def structures(settings: Settings, files: Iterable[str], registry: Registry) -> dict[str, Mapping[str, Structure]]:
    """The structured kinds of every kind of channel that is used or that a file is for."""
    return {kind: structures_of(channel) for kind, channel in _used(settings, files, registry)}


def taken(settings: Settings, registry: Registry) -> dict[str, frozenset[str]]:
    """The kinds of content that every kind of channel in use takes, where it says so."""
    used = [(kind, getattr(channel, "specimen", None)) for kind, channel in _used(settings, (), registry)]
    return {kind: frozenset(shown.kinds) for kind, shown in used if isinstance(shown, ChannelSpecimen)}


def _used(settings: Settings, files: Iterable[str], registry: Registry) -> Iterator[tuple[str, type]]:
    """Classes of channels by kind. One that cannot be loaded is left out: whoever builds it says so."""
    named = {parts_of(file).channel for file in files if is_structured(file)} & set(registry.kinds(GROUP))
    for kind in sorted({plug.kind for plug in settings.channels.values()} | named):
        with suppress(PlugUnusable):
            yield kind, registry.plug_in(GROUP, kind)


def told_of_digests(renderer: Renderer, receiver: Receiver, kind: str, settings: Settings) -> bool:
    """Whether a program behind a channel of that kind can be told of what was merged."""
    return renderer.tells_digests(receiver.template, kind, receiver.language or settings.site.language)


def structures_of(channel: type) -> Mapping[str, Structure]:
    """The structured kinds a channel declares."""
    declared: Mapping[str, Structure] = getattr(channel, "structures", {})
    return declared


def policy_of(
    receiver: Receiver, channel: ChannelConfig, site: Limits | None = None, reserve: float = 0.0
) -> QueuePolicy:
    """How a receiver's queue is served: its own rules, its channel's limits, and those of the site. `reserve` is the
    share of a quota that is kept for what is urgent."""
    site = site or Limits()
    if isinstance(channel, HasWays):
        channel = channel.toward(receiver.to)
    limits = tuple(limit for limit in channel.limits() if limit.per is Per.CALL)
    people = tuple(limit for limit in channel.limits() if limit.per is not Per.CALL)
    merge: Merge | None
    if receiver.merge == "none":
        merge = None
    elif receiver.merge is None:
        merge = _half_of_people(people, receiver) if people else _half_of(limits, channel.lines())
    else:
        merge = receiver.merge.policy()
    policy = QueuePolicy(
        channel=receiver.channel,
        limits=limits,
        people=people,
        sender=channel.sender() if isinstance(channel, CountsRecipients) else "",
        lines=_lines(channel),
        merge=merge,
        routine=(*_load(site.per_person, channel), *_less(people, reserve)),
        cap=site.queue,
        on_ambiguous=receiver.on_ambiguous,
        coalesce=channel.coalesce if isinstance(channel, Coalesces) else 0.0,
    )
    return msgspec.structs.replace(policy, in_flight=_IN_FLIGHT) if people else policy


def _lines(channel: ChannelConfig) -> tuple[int, ...]:
    """The numbers of its accounts; without names they are their places."""
    if isinstance(channel, NamesLines):
        return tuple(map(account_number, channel.line_names()))
    return tuple(range(channel.lines()))


def _load(person: PersonLoad | str, channel: ChannelConfig) -> tuple[Limit, ...]:
    """What one person is told, where the channel knows persons."""
    if isinstance(person, str) or not isinstance(channel, CountsPeople):
        return ()
    return tuple(Limit(one.count, one.period, Per.RECIPIENT) for one in (person.notices, person.burst))


def _less(people: tuple[Limit, ...], reserve: float) -> tuple[Limit, ...]:
    """The quotas without what is kept for what is urgent."""
    quotas = [limit for limit in people if limit.per is Per.PERSON] if reserve else []
    return tuple(msgspec.structs.replace(one, count=max(1, int(one.count * (1 - reserve)))) for one in quotas)


def _keyed(policy: QueuePolicy) -> QueuePolicy:
    """The same for a channel whose other side knows a repeat: nothing need be marked."""
    again = policy.on_ambiguous is not OnAmbiguous.PARK_UNKNOWN
    return msgspec.structs.replace(policy, on_ambiguous=OnAmbiguous.RESEND_KEYED) if again else policy


def _one_by_one(policy: QueuePolicy) -> QueuePolicy:
    """The same where each is wanted by itself: the other side takes a digest in no form, or it is the change of one
    card."""
    return msgspec.structs.replace(policy, merge=None, single=True, in_flight=_IN_FLIGHT)


def _half_of_people(people: tuple[Limit, ...], receiver: Receiver) -> Merge | None:
    """Without a rule of its own a receiver of always the same people merges above half of what each of them may get in
    the shortest time. One whose people are computed has a rate for none of them, so it has to be given a rule."""
    each = [limit for limit in people if limit.per is Per.RECIPIENT]
    if not each or any(map(is_computed, receiver.to)):
        return None
    shortest = min(each, key=lambda limit: limit.period)
    return Merge(Limit(max(1, shortest.count // 2), shortest.period))


def _half_of(limits: tuple[Limit, ...], lines: int) -> Merge | None:
    """Without a rule of its own a receiver merges above half of the vendor's rate: room is left for what is urgent."""
    if not limits:
        return None
    slowest = min(limits, key=lambda limit: limit.count / limit.period)
    return Merge(Limit(max(1, slowest.count * lines // 2), slowest.period))
