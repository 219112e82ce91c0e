"""The door on a free port, in front of a log that does what the test says."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from andon.config.maps import Map
from andon.config.plugs import SourcePlug
from andon.config.published import Published
from andon.config.settings import Listen, Settings
from andon.core.action import Action
from andon.core.event import Event, Position
from andon.core.failure import Retryable
from andon.core.fate import Fate, Late
from andon.core.mute import Mute
from andon.core.ports import CallbackSource, Clock, Context
from andon.core.reason import Reason
from andon.core.ticket import EpisodeRecord
from andon.ingress.acceptance import Acceptance, Log
from andon.ingress.admission import Admission
from andon.ingress.bodies.draft import Draft
from andon.ingress.door import Door, DoorLimits
from andon.ingress.entry.accepting import accepting
from andon.ingress.entry.clients import Clients
from andon.ingress.entry.gate import Gate
from andon.ingress.mapping import EventMap
from andon.ingress.muting.active import Active
from andon.ingress.muting.mutes import Mutes
from andon.ingress.refusals import Refusals
from andon.ingress.requests import Requests
from andon.ingress.server import IDLE_S, runner
from andon.ingress.sources.alertmanager import AlertmanagerSource
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.passes import Signer
from andon.kafka.errors import KafkaFailure
from andon.runtime.changes import Change, action_of
from andon.runtime.clock import SystemClock
from andon.runtime.follower import Board
from andon.store.requests import RequestIndex
from tests.unit.versions.boards import stand

TOPIC = "andon.events"
OAUTH = {"oauth": {"issuer": "plant", "client": "mes-client"}}
MAY = {name: {"may": ["mutes"]} for name in ("mes", "grafana")}
MAPPED = Map.model_validate(
    {"type": "wms.{kind}", "subject": "{bin}", "id": "{no}", "labels": {"code": {"from": "code", "else": ""}}}
)
PLANT = {"version": 1, "route": {"receiver": "it"}}


class FakeLog:
    """Appends when `open` is set; `answers` says what comes back for the next events instead of a position."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.events: list[Event] = []
        self.appends: list[int] = []
        self.asked = 0
        self.moved = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.answers: list[Retryable | None] = []
        self.short = 0
        self.late: Late | None = None
        self.before: Fate | None = None  # what is told of each before the answer

    async def append(self, drafts: Sequence[Draft], late: Late | None = None, /) -> Sequence[Fate]:
        self.late = late
        self.asked += len(drafts)
        self.moved.set()
        try:
            async with asyncio.timeout(self.deadline):
                await self.open.wait()
        except TimeoutError:
            return [Retryable(Reason.UNAVAILABLE, "no acknowledgement", ambiguous=True)] * len(drafts)
        self.appends.append(len(drafts))
        results: list[Position | Retryable] = []
        for draft in drafts:
            answer = self.answers.pop(0) if self.answers else None
            if answer is None:
                results.append(Position(TOPIC, 0, len(self.events), 1_760_000_000_000))
                self.events.append(draft.event)
            else:
                results.append(answer)
        if late is not None and self.before is not None:
            for index in range(len(results)):
                late(index, self.before)
        return results[: len(results) - self.short]

    async def until_asked(self, count: int) -> None:
        """Returns when that many events have come to the log, acknowledged or not."""
        async with asyncio.timeout(5):
            while self.asked < count:
                self.moved.clear()
                await self.moved.wait()


class Counts:
    """The door's metrics, as plain counters."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.no: Counter[str] = Counter()
        self.left: Counter[str] = Counter()

    def accepted(self, source: str, count: int, /) -> None:
        self.taken[source] += count

    def refused(self, reason: str, /) -> None:
        self.no[reason] += 1

    def left_out(self, source: str, count: int, /) -> None:
        self.left[source] += count


class FakeConfiguration:
    """Versions in memory, made as they are in Kafka; `failing` says that it does not answer."""

    def __init__(self) -> None:
        self.board = Board()
        stand(self.board, Published(1, datetime.now(UTC), "wang", "/", Settings.model_validate(PLANT), {}))
        self.actions: list[Action] = []
        self.followers: list[Callable[[Published], object]] = []
        self.failing = False

    def configure(self, more: Mapping[str, Any], mutes: tuple[Mute, ...] = ()) -> None:
        """Publishes a version of the plant with these sections, and these mutes alone."""
        newest = self.newest()
        settings = Settings.model_validate(PLANT | dict(more))
        now = datetime.now(UTC)
        self._stand(replace(newest, version=newest.version + 1, at=now, settings=settings, mutes=mutes))

    def mutes(self) -> tuple[Mute, ...]:
        return self.newest().mutes

    def newest(self) -> Published:
        assert self.board.newest
        return self.board.newest

    def follow(self, told: Callable[[Published], object]) -> None:
        self.followers.append(told)
        told(self.newest())

    def _stand(self, after: Published) -> None:
        stand(self.board, after)
        for told in self.followers:
            told(after)

    async def publish(self, change: Change) -> Published:
        self._require()
        assert self.board.newest
        after = change.make(self.board, self.board.newest.version + 1, datetime.now(UTC))
        assert after
        self._stand(after)
        self.actions.append(action_of(change, after))
        return after

    async def record(self, action: Action) -> None:
        self._require()
        self.actions.append(action)

    def _require(self) -> None:
        if self.failing:
            raise KafkaFailure("no broker answers")


class FakeActions:
    """Keeps records; `failing` says that it does not."""

    def __init__(self) -> None:
        self.kept: list[Action] = []
        self.failing = False

    async def append(self, actions: Sequence[Action], _lost: object, /) -> Sequence[bool]:
        if not self.failing:
            self.kept += actions
        return [not self.failing] * len(actions)


class Stand:
    """A running door. `waiting` is the backlog the door sees; `fatal` is what it reported, once, under law L4."""

    def __init__(self, client: httpx2.AsyncClient, port: int, index: RequestIndex, deadline: float) -> None:
        self.client = client
        self.port = port
        self.index = index
        self.log = FakeLog(deadline)
        self.counts = Counts()
        self.configuration = FakeConfiguration()
        self.waiting = 0
        self.open: list[EpisodeRecord] = []
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.requests: Requests
        self.actions = FakeActions()
        self.refusals: Refusals
        self.gate: Gate
        self.door: Door

    def episodes(self) -> list[EpisodeRecord]:
        """What is open, as the door reads it."""
        if self.configuration.failing:
            raise KafkaFailure("no broker answers")
        return self.open

    async def post(self, body: object, *, path: str = "/v1/events", **headers: str) -> httpx2.Response:
        names = {"authorization": "Bearer alpha", "content-type": "application/json"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        names = {name: value for name, value in names.items() if value}
        if isinstance(body, bytes):
            return await self.client.post(path, content=body, headers=names)
        return await self.client.post(path, json=body, headers=names)

    async def batch(self, events: object, **headers: str) -> httpx2.Response:
        return await self.post(events, path="/v1/events:batch", **headers)


@asynccontextmanager
async def standing(
    folder: Path,
    *,
    deadline: float = 5.0,
    window: int = 500,
    body: int = 1 << 20,
    log: Log | None = None,
    callbacks: Mapping[str, CallbackSource] = {},
    listen: Listen = Listen(),  # noqa: B008 - frozen
    plugs: Mapping[str, SourcePlug] = {},
    tls: ssl.SSLContext | None = None,
    mapped: Map = MAPPED,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    providers: Mapping[str, Signer] = {},
    idle: float = IDLE_S,
) -> AsyncIterator[Stand]:
    """A door whose index lies in `folder`; entered again with the same folder it is the door after a restart. `log`
    takes the place of the stand's own, `mapped` is the map of the source `wms`; `mes-client` of the provider `plant`,
    if there is one, is the client of `mes`."""
    tokens = (("mes", "alpha"), ("erp", "beta"), ("wms", "delta"), ("prometheus", "scrape"), ("grafana", "panel"))
    for name, token in tokens:
        (folder / name).write_text(token, encoding="utf-8")
    kinds: dict[str, Any] = {
        **dict.fromkeys(("mes", "erp", "wms"), HttpSource),
        **dict.fromkeys(("prometheus", "grafana"), AlertmanagerSource),
    }
    maps = {"wms": EventMap(mapped, "Asia/Shanghai")}
    sources = {
        name: kind(
            kind.Config.model_validate(
                {"token": f"file:{folder / name}"} | MAY.get(name, {}) | (OAUTH if name == "mes" and providers else {})
            ),
            Context(name, folder, clock, None, map=maps.get(name)),  # type: ignore[arg-type]  # no calls go out
        )
        for name, kind in kinds.items()
    }
    index = RequestIndex(folder / "requests.sqlite", TOPIC)
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        stand = Stand(client, 0, index, deadline)
        stand.requests = Requests(index, clock, stand.fatal.set_result)
        await stand.requests.start()
        admission = Admission(window, 1_000, lambda: stand.waiting, clock)
        stand.gate = gate = Gate(clock, body, listen)
        gate.take(listen, plugs, callbacks)
        stand.refusals = Refusals(stand.counts, stand.actions, clock)
        door = Door(
            Clients(sources, clock, providers),
            Acceptance(log or stand.log, stand.requests, admission, stand.counts),
            gate,
            stand.refusals,
            stand.counts,
            DoorLimits(body),
            callbacks,
            Mutes(stand.configuration, clock),
            clock=clock,
        )
        served = runner(door, Active(stand.episodes), leaves_s=0.1, idle_s=idle)
        await served.setup()
        await accepting(served, door, "127.0.0.1", 0, tls)
        stand.door = door
        stand.port = served.addresses[0][1]
        client.base_url = f"http://127.0.0.1:{stand.port}"
        try:
            yield stand
            assert admission.in_flight == 0, "every place was given back"
        finally:
            await served.cleanup()
            await stand.requests.close()
            index.close()


def unavailable(after: float | None = None) -> Retryable:
    return Retryable(Reason.UNAVAILABLE, "no broker", after=after)
