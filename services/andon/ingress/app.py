"""Wires the ingress service."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from andon.config.access import Access
from andon.config.addresses import host_port, is_loopback
from andon.config.plugs import SOURCES
from andon.config.published import Published
from andon.config.settings import Listen
from andon.core.ports import CallbackSource, Clock, Context, Source, Wire
from andon.ingress.acceptance import Acceptance
from andon.ingress.admission import Admission
from andon.ingress.backlog import Backlog
from andon.ingress.door import Door, DoorLimits
from andon.ingress.entry.accepting import accepting
from andon.ingress.entry.clients import Clients
from andon.ingress.entry.gate import Gate
from andon.ingress.expected.expectations import Expectations
from andon.ingress.expected.hearing import Hearing, keep
from andon.ingress.feeds import Feeds, Reading
from andon.ingress.heartbeat import Pulse
from andon.ingress.log import KafkaActions, KafkaLog
from andon.ingress.mapping import EventMap
from andon.ingress.muting.active import Active, open_episodes
from andon.ingress.muting.mutes import Mutes, PublishedConfiguration
from andon.ingress.muting.reminders import Reminders
from andon.ingress.refusals import Refusals
from andon.ingress.requests import Requests
from andon.ingress.server import runner
from andon.ingress.sources.alertmanager import AlertmanagerSource
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.own import Own
from andon.ingress.tokens.provider import Provider
from andon.ingress.tokens.providers import Providers
from andon.ingress.works import Works
from andon.kafka.admin import Cluster
from andon.kafka.producer import Publisher
from andon.kafka.scan import Scan
from andon.kafka.topics import EVENTS
from andon.kafka.unread import Unread
from andon.runtime.feeds import Feed, feeds_of
from andon.runtime.health import CannotListen, listening
from andon.runtime.host import Host
from andon.runtime.registry import Registry
from andon.runtime.tracing import traced_log
from andon.store.requests import RequestIndex

# The door seldom reads, and its memory is for requests: little is fetched ahead.
_SPARING = {"queued.min.messages": 2_000, "queued.max.messages.kbytes": 8_192}


def sources_of(published: Published, registry: Registry, host: Host) -> dict[str, Source]:
    """The configured sources by name."""
    sources = {}
    channels = {name: plug.options for name, plug in published.settings.channels.items()}
    for name, plug in published.settings.sources.items():
        # Sources that only parse need no way out.
        rules = EventMap(plug.map, published.settings.site.zone) if plug.map else None
        context = Context(name, Path(published.directory), host.clock, cast("Wire", None), channels=channels, map=rules)
        sources[name] = registry.build(SOURCES, plug, context)
    return sources


def clients_of(
    sources: Mapping[str, Source], clock: Clock, access: Access, providers: Mapping[str, Provider]
) -> Clients:
    """The sources whose clients show a token."""
    with_token = {name: one for name, one in sources.items() if isinstance(one, HttpSource | AlertmanagerSource)}
    return Clients(with_token, clock, providers, Own(access.tokens, clock.now()) if access.tokens else None)


def callbacks_of(sources: Mapping[str, Source]) -> dict[str, CallbackSource]:
    """The sources that vendors call."""
    return {name: one for name, one in sources.items() if isinstance(one, CallbackSource)}


def connections_of(published: Published, registry: Registry) -> dict[str, str]:
    """What the sources that keep a connection are connected to."""
    return {feed.source: feed.config.connection() for feed in feeds_of(published.settings, registry).values()}


def tls_of(listen: Listen) -> ssl.SSLContext | None:
    """TLS 1.3 with the configured certificate; None for plain HTTP, which `check` allows on loopback only."""
    if not listen.cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if listen.client_ca:
        # Whom a vendor calls shows none; who has to show one, the gate asks.
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(listen.client_ca.removeprefix("file:"))
    context.load_cert_chain(listen.cert.removeprefix("file:"), (listen.key or listen.cert).removeprefix("file:"))
    return context


async def run(host: Host) -> None:
    """Runs the door until the host stops; then takes no more, and finishes what is being answered."""
    registry, settings = Registry(), host.published.settings
    address, tls = host.options.listen or settings.listen.address, tls_of(settings.listen)
    if tls is None and not is_loopback(host_port(address)[0]):
        raise CannotListen(f"{address} can be reached from outside: the door opens there only with listen.cert")
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def fatal(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    folder = host.options.data.absolute() / "store"
    folder.mkdir(parents=True, exist_ok=True)
    index = RequestIndex(folder / f"requests-{host.slot}.sqlite", EVENTS)
    requests = Requests(index, host.clock, fatal)
    await requests.start()
    publisher = Publisher(host.connection, f"andon-ingress-{host.slot}")
    publisher.start()
    limits, scan = settings.limits, Scan(host.connection, _SPARING)
    backlog = Backlog(Cluster(host.connection), Unread(scan), limits.backlog, host.clock, host.metrics)
    admission = Admission(limits.window, limits.backlog, lambda: backlog.waiting, host.clock)
    host.metrics.window_cap.labels("ingress").set(limits.window)
    host.metrics.refresh(lambda: host.metrics.window_in_flight.labels("ingress").set(admission.in_flight))
    sources = sources_of(host.published, registry, host)
    configuration = PublishedConfiguration(host.connection, publisher, host.published)
    providers = Providers(host.clock)
    feeds = Feeds(host.connection, host.clock, host.metrics, host.spans, host.slot, fatal)
    expectations = Expectations(publisher, host.clock, feeds.links)
    expectations.follow(host.published, connections_of(host.published, registry))

    def fed(published: Published, sources: Mapping[str, Source]) -> dict[str, tuple[Feed, Reading]]:
        found = feeds_of(published.settings, registry)
        return {
            service: (
                feed,
                Reading(feed.source, sources[feed.source], limits.body, admission.full, host.clock, expectations.heard),
            )
            for service, feed in found.items()
        }

    async def clients(published: Published, sources: Mapping[str, Source]) -> Clients:
        known = providers.of(published.settings, Path(published.directory))
        made = clients_of(sources, host.clock, published.settings.access, known)
        await providers.keep()
        return made

    def reminded() -> float | None:
        ahead = host.published.settings.watch.mute_ends
        return None if ahead == "none" else ahead

    appended = traced_log(KafkaLog(publisher, host.clock), host.spans, host.clock)
    reminders = Reminders(lambda: configuration.newest().mutes, reminded, appended, host.clock)
    gate = Gate(host.clock, limits.body)
    refusals = Refusals(host.metrics, KafkaActions(publisher), host.clock)
    heard = Hearing(host.metrics, expectations)
    door = Door(
        await clients(host.published, sources),
        Acceptance(appended, requests, admission, heard),
        gate,
        refusals,
        heard,
        DoorLimits(body=limits.body),
        callbacks_of(sources),
        Mutes(configuration, host.clock),
    )
    gate.take(settings.listen, settings.sources, door.callbacks)
    pulse = Pulse(publisher, lambda: Works(host.connection), host.ready, host.clock, host.metrics.heartbeat)
    await pulse.follow(settings)

    active = Active(lambda: open_episodes(host.connection))

    async def changed(published: Published) -> None:
        newer = sources_of(published, registry, host)
        configuration.take(published)
        door.clients, door.callbacks = await clients(published, newer), callbacks_of(newer)
        gate.take(published.settings.listen, published.settings.sources, door.callbacks)
        await feeds.take(fed(published, newer), limits.window, published.version)
        expectations.follow(published, connections_of(published, registry))
        await pulse.follow(published.settings)

    served = runner(door, active)
    await served.setup()
    host_name, port = host_port(address)
    with listening(address):
        await accepting(served, door, host_name, port, tls)
    await feeds.take(fed(host.published, sources), limits.window, host.published.version)
    host.on_change(changed)
    host.ready_when(lambda: requests.available and feeds.assigned)
    work = (backlog.run(), reminders.run(), refusals.run(), keep(expectations, host.connection), pulse.run())
    watching = [asyncio.create_task(each) for each in work]
    stopping = asyncio.create_task(host.stop.wait())
    try:
        await asyncio.wait([failed, *watching, stopping], return_when=asyncio.FIRST_COMPLETED)
        for ended in (failed, *watching):
            if ended.done():
                ended.result()
    finally:
        for task in (*watching, stopping):
            task.cancel()
        await asyncio.gather(served.cleanup(), feeds.close())
        await refusals.flush()
        await asyncio.gather(expectations.close(), pulse.close())
        await providers.close()
        await asyncio.wait(watching)
        await asyncio.to_thread(publisher.close)
        await requests.close()
        index.close()
        failed.cancel()
