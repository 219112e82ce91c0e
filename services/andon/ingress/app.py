"""The ingress service: the door, and all that works beside it in one process."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from andon.config.addresses import host_port, is_loopback
from andon.config.published import Published
from andon.core.ports import Source
from andon.ingress.acceptance import Acceptance
from andon.ingress.admission import Admission
from andon.ingress.backlog import Backlog
from andon.ingress.configured import callbacks_of, clients_of, connections_of, sources_of, tls_of
from andon.ingress.door import Door, DoorLimits
from andon.ingress.entry.accepting import accepting
from andon.ingress.entry.clients import Clients
from andon.ingress.entry.gate import Gate
from andon.ingress.expected.expectations import Expectations
from andon.ingress.expected.hearing import Hearing, keep
from andon.ingress.feeds import Feeds, Reading
from andon.ingress.heartbeat import Pulse
from andon.ingress.log import KafkaActions, KafkaLog
from andon.ingress.muting.active import Active, open_episodes
from andon.ingress.muting.mutes import Mutes, PublishedConfiguration
from andon.ingress.muting.reminders import Reminders
from andon.ingress.refusals import Refusals
from andon.ingress.requests import Requests
from andon.ingress.server import runner
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

# How long an event may be on its way into the log. Its sender is told after ten seconds that it is not there yet.
_PATIENCE_S = 300.0
# The door seldom reads, and its memory is for requests: little is fetched ahead.
_SPARING = {"queued.min.messages": 2_000, "queued.max.messages.kbytes": 8_192}


async def run(host: Host) -> None:
    """Runs the door until the host stops; then takes no more, and finishes what is being answered."""
    listen = host.published.settings.listen
    address, tls = host.options.listen or listen.address, tls_of(listen)
    if tls is None and not is_loopback(host_port(address)[0]):
        raise CannotListen(f"{address} can be reached from outside: the door opens there only with listen.cert")
    await Ingress(host).serve(address, tls)


class Ingress:
    """The parts of the service, and how a version of the configuration comes into force in them. Belongs to one event
    loop. The caps of `limits` are those of the start."""

    def __init__(self, host: Host) -> None:
        link, clock, metrics, limits = host.connection, host.clock, host.metrics, host.published.settings.limits
        self._host = host
        self._limits = limits
        self._registry = Registry()
        self._failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        folder = host.options.data.absolute() / "store"
        folder.mkdir(parents=True, exist_ok=True)
        self._index = RequestIndex(folder / f"requests-{host.slot}.sqlite", EVENTS)
        self._requests = Requests(self._index, clock, self._fatal)
        self._publisher = Publisher(link, f"andon-ingress-{host.slot}", patience_s=_PATIENCE_S)
        unread = Unread(Scan(link, _SPARING))
        self._backlog = Backlog(Cluster(link), unread, limits.backlog, clock, metrics)
        self._admission = Admission(limits.window, limits.backlog, lambda: self._backlog.waiting, clock)
        self._configuration = PublishedConfiguration(link, self._publisher, host.published)
        self._providers = Providers(clock)
        self._feeds = Feeds(link, clock, metrics, host.spans, host.slot, self._fatal)
        self._expectations = Expectations(self._publisher, clock, self._feeds.links)
        log = traced_log(KafkaLog(self._publisher, clock), host.spans, clock)
        self._reminders = Reminders(lambda: self._configuration.newest().mutes, self._reminded, log, clock)
        self._gate = Gate(clock, limits.body, host.published.settings.listen)
        self._refusals = Refusals(metrics, KafkaActions(self._publisher), clock)
        heard = Hearing(metrics, self._expectations)
        self._door = Door(
            Clients({}, clock),
            Acceptance(log, self._requests, self._admission, heard),
            self._gate,
            self._refusals,
            heard,
            DoorLimits(body=limits.body),
            mutes=Mutes(self._configuration, clock),
            clock=clock,
        )
        self._pulse = Pulse(self._publisher, lambda: Works(link), host.ready, clock, metrics.heartbeat)
        metrics.window_cap.labels("ingress").set(limits.window)
        metrics.refresh(lambda: metrics.window_in_flight.labels("ingress").set(self._admission.in_flight))

    async def serve(self, address: str, tls: ssl.SSLContext | None) -> None:
        """Listens at the address until the host stops or a part fails, which is raised. Raises CannotListen."""
        host = self._host
        await self._requests.start()
        self._publisher.start()
        sources = await self._take(host.published)
        served = runner(self._door, Active(lambda: open_episodes(host.connection)))
        await served.setup()
        name, port = host_port(address)
        with listening(address):
            await accepting(served, self._door, name, port, tls)
        await self._feed(host.published, sources)
        host.on_change(self._changed)
        host.ready_when(lambda: self._requests.available and self._feeds.assigned)
        keeping = keep(self._expectations, host.connection)
        work = (self._backlog.run(), self._reminders.run(), self._refusals.run(), keeping, self._pulse.run())
        watching = [asyncio.create_task(each) for each in work]
        stopping = asyncio.create_task(host.stop.wait())
        try:
            await asyncio.wait([self._failed, *watching, stopping], return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._failed, *watching):
                if ended.done():
                    ended.result()
        finally:
            for task in (*watching, stopping):
                task.cancel()
            await asyncio.gather(served.cleanup(), self._feeds.close())
            await self._refusals.flush()
            await asyncio.gather(self._expectations.close(), self._pulse.close())
            await self._providers.close()
            await asyncio.wait(watching)
            await asyncio.to_thread(self._publisher.close)
            await self._requests.close()
            self._index.close()
            self._failed.cancel()

    async def _changed(self, published: Published) -> None:
        await self._feed(published, await self._take(published))

    async def _take(self, published: Published) -> Mapping[str, Source]:
        """Brings a version into force at the door; its sources. What may refuse it comes first, and leaves all as it
        was."""
        settings, clock = published.settings, self._host.clock
        sources = sources_of(published, self._registry, clock)
        providers = self._providers.of(settings, Path(published.directory))
        clients = clients_of(sources, clock, settings.access, providers)
        callbacks, connections = callbacks_of(sources), connections_of(published, self._registry)
        self._expectations.follow(published, connections)
        self._configuration.take(published)
        await self._providers.keep()
        self._door.clients, self._door.callbacks = clients, callbacks
        self._gate.take(settings.listen, settings.sources, callbacks)
        await self._pulse.follow(settings)
        return sources

    async def _feed(self, published: Published, sources: Mapping[str, Source]) -> None:
        """Reads the topics of other systems that a version names."""
        feeds = {
            service: (feed, self._reading(feed, sources))
            for service, feed in feeds_of(published.settings, self._registry).items()
        }
        await self._feeds.take(feeds, self._limits.window, published.version)

    def _reading(self, feed: Feed, sources: Mapping[str, Source]) -> Reading:
        source, clock = sources[feed.source], self._host.clock
        return Reading(feed.source, source, self._limits.body, self._admission.full, clock, self._expectations.heard)

    def _reminded(self) -> float | None:
        """How long before its end a mute reminds of it."""
        ahead = self._host.published.settings.watch.mute_ends
        return None if ahead == "none" else ahead

    def _fatal(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
