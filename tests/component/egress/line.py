"""From an event to what people see, without Kafka: the router, the egress desk with its engine, a store in memory.

The clock is the test's. Every receiver has an account, and so a partition, of its own; what the desk publishes for
another receiver is read there, as from the topic.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Event, Home, Position
from andon.core.mute import Mute
from andon.core.outcome import OutcomeRecord, Skipped, name_of
from andon.core.ports import Reply
from andon.core.work import Holding, Note, Write
from andon.egress.desk import EgressWork
from andon.egress.inhibition import Causes
from andon.egress.receivers import Receivers
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, DLQ, OUTCOMES
from andon.routing.router import Router
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from andon.runtime.dlq import REDRIVE
from andon.runtime.failures import Failed, classify
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.store.memory import MemoryDeskStore
from andon.testing.builders import event
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC).timestamp()
OK = Reply(200, b'{"errcode":0,"errmsg":"ok"}', {})
TOKEN = Reply(200, b'{"errcode":0,"errmsg":"ok","access_token":"t","expires_in":7200}', {})
FILES = {
    "fault.j2": "{{ event.subject }} {{ labels.state }}",
    "same.j2": "{{ labels.state }}",
    "board.j2": '{"msgtype":"text","text":{"content":{{ event.subject | tojson }}}}',
    "every.j2": '{"msgtype":"text","text":{"content":"{{ digest.count if digest else event.subject }}"}}',
    "card.wecom_app.textcard.yaml": "title: '{{ event.subject }}'\ndescription: x\nurl: https://mes.corp/1\n",
    "taken.wecom_app.update_template_card.yaml": "response_code: c1\nbutton: '{{ event.subject }}'\n",
    "digest.j2": "{% for line in digest.lines %}{{ line.subject }} {{ line.text }}\n{% endfor %}{{ digest.count }}",
}


class Seen(msgspec.Struct, frozen=True):
    """What a group or a person was shown, so many seconds after the start; `to` is the robot's key or the members."""

    at: float
    to: str
    text: str


class Vendor(NoWire):
    """Records what it is sent. `answers` gives another answer for a key or a member, or raises for it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.seen: list[Seen] = []
        self.answers: dict[str, Callable[[], Reply]] = {}

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        if "/gettoken" in url:
            return TOKEN
        said = json.loads(body)
        changed = said.get("button", {}).get("replace_name") or said.get("textcard", {}).get("title")
        to = said.get("touser") or "|".join(said.get("userids", ())) or _account(url)
        reply = self.answers[to]() if to in self.answers else OK
        if b'"errcode":0' in reply.body:
            self.seen.append(Seen(round(self._line.now - START, 3), to, changed or said[said["msgtype"]]["content"]))
        return reply


def _account(url: str) -> str:
    """The key or the token in a robot's address."""
    return url.partition("key=")[2] or url.partition("access_token=")[2].partition("&")[0]


class Line:
    """`feed` an event, let time pass with `run`, look at `seen`, `outcomes` and `ended`; `restart` is kill -9."""

    def __init__(self, monkeypatch: Any, **sections: Any) -> None:
        self.now = START
        self.vendor = Vendor(self)
        self.store = MemoryDeskStore()
        self.causes = Causes()
        self.causes.known = True
        self.outcomes: list[OutcomeRecord] = []
        self.parked: list[Note] = []
        self.ended: list[Skipped] = []
        self.configure(monkeypatch, **sections)
        self._numbers = count(1)
        self._offsets = count(1)
        self._homes: dict[str, Home] = {}
        self.restart()

    def configure(self, monkeypatch: Any, *, version: int = 1, mutes: Sequence[Mute] = (), **sections: Any) -> None:
        for name in ("ROBOT", "OTHER", "THIRD", "CORP", "SECRET"):
            monkeypatch.setenv(name, name.lower())
        settings = Settings.model_validate({"version": 1, **sections})
        at = datetime.fromtimestamp(START, UTC)
        published = Published(version, at, "test", "/", settings, FILES, mutes=tuple(mutes))
        self._receivers = Receivers(published, Registry(), self.vendor, ManualClock())
        self._router = Router(settings, version, self.domains(settings), mutes=tuple(mutes))

    def domains(self, settings: Settings) -> Mapping[str, str]:
        """The limit domain of each receiver: one for each channel, whatever its account."""
        return {name: f"domain:{each.channel}" for name, each in settings.receivers.items()}

    def switch(self) -> None:
        """The running desk takes what was configured last."""
        self.work.receivers = self._receivers
        self.desk.reconsider()

    def restart(self) -> None:
        self.work = EgressWork(self._receivers, Metrics(), self.causes)
        self.desk = Desk(self.work, deadline=15.0)
        self._intake = Intake(self.desk, self.work, Metrics(), "egress")
        for home in self._homes.values():
            self.desk.adopt(self._holding(home), self.now)

    def _holding(self, home: Home) -> Holding:
        back, people = self.work.looks_back(), self.work.looks_back_on_people()
        return self.store.acquire(home, "line", self.now - back, self.now - people)

    # ---- what comes in

    def feed(
        self, subject: str = "M-07", state: str = "raise", facts: Mapping[str, Any] | None = None, **labels: str
    ) -> Event:
        """An event, accepted now."""
        return self.route(msgspec.structs.replace(self.event(subject, state, None, **labels), facts=dict(facts or {})))

    def event(self, subject: str, state: str, accepted: float | None = None, **labels: str) -> Event:
        """One that was accepted then, else now, and is not routed yet."""
        number, when = next(self._numbers), self.now if accepted is None else accepted
        origin = (Position("andon.events", 0, number, round(when * 1000)),)
        at = datetime.fromtimestamp(when, UTC)
        all_labels = {"state": state, **labels} if state else labels
        return event(id=f"e-{number}", subject=subject, time=at, labels=all_labels, origin=origin)

    def route(self, one: Event) -> Event:
        result = self._router.written(one)
        if isinstance(result.ended, Skipped):
            self.ended.append(result.ended)
        for delivery in result.outputs:
            self._take(delivery.domain, encode(delivery))
        return one

    def redrive(self) -> None:
        """Sends what was parked last again."""
        note = self.parked.pop()
        times = next(int(value) for name, value in note.headers if name == REDRIVE) + 1
        self._take(note.key.decode(), note.value or b"", ((REDRIVE, str(times).encode()),))

    def _take(self, domain: str, value: bytes, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        home = self._homes.get(domain)
        if home is None:
            home = self._homes[domain] = Home(DELIVERIES, len(self._homes))
            self.desk.adopt(self._holding(home), self.now)
        record = Record(
            home.topic, home.partition, next(self._offsets), round(self.now * 1_000), domain.encode(), value, headers
        )
        read = self._intake.read([record])
        writes, refused = self._intake.take(read, self.store.known(ids(read)), self.now)
        assert not refused
        self._commit(list(writes.values()))

    # ---- what goes out

    def run(self, seconds: float, *, calls: bool = True) -> list[Seen]:
        """Lets time pass; what was shown meanwhile. Without `calls` the process dies at the first one that begins."""
        before, until = len(self.vendor.seen), self.now + seconds
        while True:
            decision = self.desk.decide(self.now)
            self._commit(list(decision.writes.values()))
            if decision.calls and not calls:
                break
            for call in decision.calls:
                if write := self.desk.ended(call, asyncio.run(self._result(call)), self.now):
                    self._commit([write])
            if decision.calls or decision.writes:
                continue
            if decision.wake_at > until:
                self.now = until
                break
            self.now = max(self.now, decision.wake_at)
        return self.vendor.seen[before:]

    async def _result(self, call: Call) -> Success | Failed:
        try:
            return await self.work.call(call.item, call.entry.line, 15.0)
        except Exception as error:  # noqa: BLE001 - as the engine does
            return classify(error)

    def _commit(self, writes: list[Write]) -> None:
        """Stored, and at once published."""
        assert not self.store.commit(writes)
        for write in writes:
            for number, note in write.notes:
                self.store.commit([Write(write.home, write.epoch, published=number)])
                self._publish(note)

    def _publish(self, note: Note) -> None:
        if note.topic == DELIVERIES:
            self._take(note.key.decode(), note.value or b"", note.headers)
        elif note.topic == OUTCOMES:
            self.outcomes.append(msgspec.json.decode(note.value or b"", type=OutcomeRecord))
        elif note.topic == DLQ:
            self.parked.append(note)

    def told(self) -> dict[str, str]:
        """How each event ended, by its id, with its reason."""
        return {one.event: f"{name_of(one.outcome)}/{one.outcome.reason}" for one in self.outcomes}


def texts(seen: list[Seen]) -> list[str]:
    return [one.text for one in seen]
