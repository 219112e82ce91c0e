"""Our own sign of life, to somebody else's monitor: it is called while the whole works, and raises the alarm when no
call comes (as Healthchecks and the push monitors of Uptime Kuma do)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from andon.config.addresses import ProxyUrl
from andon.config.proxies import Proxy, proxy_of
from andon.config.secrets import SecretMissing
from andon.config.settings import Settings
from andon.config.watching import Heartbeat
from andon.core.event import Position
from andon.core.failure import Failure
from andon.core.ports import Clock, Way, Wire
from andon.ingress.expected.signs import HEARTBEAT
from andon.ingress.works import needed
from andon.kafka.errors import KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import SOURCES
from andon.web.wire import HttpWire

log = logging.getLogger(__name__)

DEADLINE_S = 10.0


class Sight(Protocol):
    """What `works.Works` does."""

    def problem(self, services: Sequence[str], now: float, /) -> str | None: ...


class Writes(Protocol):
    """What `kafka.producer.Publisher` does."""

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Position | str]: ...


class Pulse:
    """Calls the address of `watch.heartbeat` every so often, while this door is ready, Kafka acknowledges a record,
    every service has a process, and none stands still before what waits for it. Belongs to one event loop.

    `counted` is told `sent`, `failed` or `withheld` each time. The address is a secret: nothing tells it.
    """

    def __init__(
        self,
        writes: Writes,
        sight: Callable[[], Sight],
        ready: Callable[[], bool],
        clock: Clock,
        counted: Callable[[str], None],
        wire: Callable[[Way], Wire] = HttpWire,
    ) -> None:
        self._writes = writes
        self._sight = sight
        self._ready = ready
        self._clock = clock
        self._counted = counted
        self._new_wire = wire
        self._wire: Wire | None = None
        self._heartbeat: Heartbeat | None = None
        self._proxy: ProxyUrl | Proxy | None = None
        self._services: Sequence[str] = ()
        self._changed = asyncio.Event()
        self._looking: Sight | None = None
        self._said: str | None = None

    async def follow(self, settings: Settings) -> None:
        """Brings a configuration into force. What is new of the heartbeat holds at once, with a beat of its own; a
        version without anything new of it, as each mute makes one, changes nothing."""
        self._services = needed(settings)
        heartbeat = settings.watch.heartbeat
        proxy = (heartbeat.proxy or settings.site.proxy) if heartbeat else None
        if (heartbeat, proxy) == (self._heartbeat, self._proxy):
            return
        before = self._wire
        self._heartbeat, self._proxy = heartbeat, proxy
        way = Way(proxy=None if proxy == "none" else proxy_of(proxy))
        self._wire = self._new_wire(way) if heartbeat else None
        self._changed.set()
        if before is not None:
            await before.close()

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            self._changed.clear()
            if self._heartbeat is None:
                await self._changed.wait()
            else:
                every = self._heartbeat.every
                await self.beat()
                await self._waited(every)

    async def _waited(self, seconds: float) -> None:
        """So long, or less when something of the heartbeat changes."""
        waiting = [asyncio.ensure_future(one) for one in (self._clock.sleep(seconds), self._changed.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def beat(self) -> None:
        """One sign of life, if there is reason for it."""
        if (problem := await self._problem()) is not None:
            self._tell("withheld", problem)
        elif (problem := await self._call()) is not None:
            self._tell("failed", problem)
        else:
            self._tell("sent", None)

    async def _problem(self) -> str | None:
        """Why all is not well."""
        if not self._ready():
            return "this door is not ready"
        (fate,) = await self._writes.append([Outgoing(SOURCES, HEARTBEAT, None)])
        if isinstance(fate, str):
            return f"Kafka takes no record ({fate})"
        self._looking = self._looking or self._sight()
        try:
            return await asyncio.to_thread(self._looking.problem, self._services, self._clock.now())
        except KafkaFailure as failure:
            return str(failure)

    async def _call(self) -> str | None:
        """Why the call did not arrive. The words of a failure name the host, which is part of the secret."""
        if self._heartbeat is None or self._wire is None:
            return None
        try:
            reply = await self._wire.request("GET", self._heartbeat.url.reveal(), deadline=DEADLINE_S)
        except SecretMissing as missing:
            return str(missing)
        except Failure as failure:
            return f"the monitor was not reached ({failure.reason})"
        return None if 200 <= reply.status < 300 else f"the monitor answered {reply.status}"

    def _tell(self, outcome: str, problem: str | None) -> None:
        self._counted(outcome)
        if problem is not None and problem != self._said:
            log.warning("no heartbeat", extra={"outcome": outcome, "problem": problem})
        elif problem is None and self._said is not None:
            log.info("the heartbeat goes out again")
        self._said = problem

    async def close(self) -> None:
        before, self._wire = self._wire, None
        if before is not None:
            await before.close()
