"""The egress desk of one process over SQLite and the real channel, on a clock that is moved by hand: whole minutes of
the vendor's true limits pass in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.delivery import Delivery
from andon.core.event import Home
from andon.core.outcome import OutcomeRecord
from andon.core.work import Write
from andon.dev.wecom_app import WecomAppStandIn
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, OUTCOMES
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from andon.runtime.failures import Failed, classify
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.store.desk import SqlDeskStore
from andon.testing.builders import delivery, event
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire

HOME = Home(DELIVERIES, 0)
DOMAIN = "wecom_app:env:APP_CORP"


class Process:
    """One life of the desk. `kill_after` so many calls the vendor has seen ends it like kill -9: their intents are
    stored and their results are not."""

    def __init__(
        self,
        folder: Path,
        vendor: WecomAppStandIn,
        wire: HttpWire,
        clock: ManualClock,
        deadline: float = 15.0,
        **more: Any,
    ) -> None:
        files = {"plain.j2": "{{ event.subject }}", "digest.j2": "{{ digest.count }} 条", **more.pop("files", {})}
        receivers = {"office": {"channel": "app", "to": ["wang"]}, **more.pop("receivers", {})}
        settings = Settings.model_validate(
            {
                "version": 1,
                "limits": {"per_person": "none"},  # the vendor's limits are looked at here
                "channels": {
                    "app": {
                        "kind": "wecom_app",
                        "corp_id": "env:APP_CORP",
                        "agent_id": 1000002,
                        "secret": "env:APP_SECRET",
                        "base_url": vendor.url,
                        **more,
                    }
                },
                "receivers": receivers,
                "route": {"receiver": "office"},
            }
        )
        published = Published(1, datetime.now(UTC), "test", str(folder), settings, files)
        self.clock = clock
        self.store = SqlDeskStore(f"sqlite:///{folder}", "egress")
        self.work = EgressWork(Receivers(published, Registry(), wire, clock, None, self.store.vault()), Metrics())
        self.desk = Desk(self.work, deadline=deadline)
        self.intake = Intake(self.desk, self.work, Metrics(), "egress")
        now = clock.now() - 3_600
        since, people = now - self.work.looks_back(), now - self.work.looks_back_on_people()
        holding = self.store.acquire(HOME, "egress-0", since, people)
        self.desk.adopt(holding, clock.now())
        self.notes = [note for _, note in holding.notes]
        self.calls: list[tuple[str, ...]] = []
        self.kill_after: int | None = None
        self.dead = False

    def take(self, deliveries: Sequence[Delivery], first: int = 0) -> None:
        records = [
            Record(HOME.topic, HOME.partition, first + number, 0, one.domain.encode(), encode(one))
            for number, one in enumerate(deliveries)
        ]
        read = self.intake.read(records)
        writes, refused = self.intake.take(read, self.store.known(ids(read)), self.clock.now())
        assert not refused
        self._commit(writes.values())

    def _commit(self, writes: Any) -> None:
        some: list[Write] = list(writes)
        assert self.store.commit(some) == set()
        self.notes += [note for write in some for _, note in write.notes]

    async def run(self, seconds: float) -> None:
        """Works until that much time has passed on its clock, or it is killed."""
        until = self.clock.now() + seconds
        while not self.dead:
            decision = self.desk.decide(self.clock.now())
            self._commit(decision.writes.values())
            if decision.calls:
                results = await asyncio.gather(*map(self._call, decision.calls))
                self.calls += [call.entry.reach.recipients for call in decision.calls if call.entry.reach]
                if self.kill_after is not None and len(self.calls) >= self.kill_after:
                    self.kill()
                    return
                ended = [
                    self.desk.ended(call, result, self.clock.now())
                    for call, result in zip(decision.calls, results, strict=True)
                ]
                self._commit(write for write in ended if write is not None)
                continue
            if decision.wake_at > until:
                self.clock.advance(max(0.0, until - self.clock.now()))
                return
            self.clock.advance(max(0.001, decision.wake_at - self.clock.now()))

    async def _call(self, call: Call) -> Success | Failed:
        try:
            return await self.work.call(call.item, call.entry.line, 15.0)
        except Exception as error:  # noqa: BLE001 - as runtime.desk.calls does
            return classify(error)

    def kill(self) -> None:
        self.dead = True
        self.store.close()

    def outcomes(self) -> dict[UUID, OutcomeRecord]:
        found = [msgspec.json.decode(n.value or b"", type=OutcomeRecord) for n in self.notes if n.topic == OUTCOMES]
        return {one.id: one for one in found}


def notices(count: int, receiver: str = "office", to: Sequence[str] = ("wang",), **changes: Any) -> list[Delivery]:
    """So many notices about as many machines."""
    name = changes.pop("name", receiver)
    return [
        delivery(
            event(id=f"{name}-{number}", subject=f"{name}/{number:03}"),
            receiver=receiver,
            recipients=tuple(to),
            domain=DOMAIN,
            **changes,
        )
        for number in range(count)
    ]
