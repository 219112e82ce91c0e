"""Items, homes and a desk's work for tests: a record's value is a small JSON object, a call is a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Any
from uuid import UUID, uuid5

import msgspec

from andon.core.digest import Digest, Line
from andon.core.event import Home
from andon.core.outcome import Outcome, RecipientState, Skipped, name_of
from andon.core.policy import Limit, QueuePolicy
from andon.core.reason import Reason
from andon.core.work import AUDIENCE, Item, Note, Reach
from andon.kafka.codecs import Json, encode
from andon.kafka.records import Record
from andon.runtime.desk.work import Advance, Held, Success, Taken, Together, Told

NAMESPACE = UUID("5f0f52a8-3e4d-5f0a-8a51-64b0f2f7c9d3")
HOME = Home("deliveries", 0)
OTHER = Home("deliveries", 1)
START = 1_700_000_000.0
WIDE = {"everybody": 5}


def item(number: int = 1, *, lane: str = "M-07", **changes: Any) -> Item:
    """The item of record `number`."""
    whole = Item(
        id=uuid5(NAMESPACE, str(number)),
        home=HOME,
        offset=number,
        queue="l3",
        domain="robot",
        lane=lane,
        content=b"c%d" % number,
        born=START,
        body=encode(Said(number, lane=lane)),
        group="",
    )
    return msgspec.structs.replace(whole, entries=[], **changes)


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of a record; under one number another text makes it a conflict, the same a repeat. One that says
    nothing `new` is skipped at its turn, unless it carries others."""

    number: int
    queue: str = "l3"
    domain: str = "robot"
    lane: str = "M-07"
    urgent: bool = False
    text: str = ""
    memo: str = ""
    to: tuple[str, ...] = ()
    new: bool = True


def record(offset: int, said: Said, *, home: Home = HOME, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    """The record with that value."""
    return Record(home.topic, home.partition, offset, 0, said.domain.encode(), encode(said), headers)


class Ended(msgspec.Struct, frozen=True):
    """The outcome record of the test desk."""

    id: UUID
    outcome: str
    into: UUID | None
    redrive: int


class ScriptedWork:
    """A Work whose policies are a table and whose calls succeed; subclasses script them."""

    def __init__(self, policy: QueuePolicy | None = None, policies: Mapping[str, QueuePolicy] | None = None) -> None:
        self.standard = policy or QueuePolicy(channel="robot")
        self.policies = dict(policies or {})
        self.memos: dict[Home, dict[str, bytes]] = {}
        self._codec = Json(Said)

    def read(self, record: Record) -> Taken | Advance:
        said = self._codec.decode(record.value)
        notes: tuple[Note, ...] = ()
        if said.memo:
            self.memos.setdefault(record.home, {})[said.memo] = record.value
            notes = (Note("memos", said.memo.encode(), record.value),)
        made = item(
            said.number,
            lane=said.lane,
            home=record.home,
            offset=record.offset,
            queue=said.queue,
            domain=said.domain,
            content=said.text.encode(),
            urgent=said.urgent,
            body=record.value,
            group=f"{AUDIENCE}{','.join(said.to)}{AUDIENCE}" if said.to else "",
            batch=None if said.new else "",
        )
        return Taken(made, (said.memo,) if said.memo else (), notes)

    def memo(self, home: Home, name: str) -> bytes:
        return self.memos[home][name]

    def policy(self, queue: str) -> QueuePolicy:
        return self.policies.get(queue, self.standard)

    def looks_back(self) -> float:
        return max(one.looks_back() for one in (self.standard, *self.policies.values()))

    def looks_back_on_people(self) -> float:
        return max(one.looks_back_on_people() for one in (self.standard, *self.policies.values()))

    def reach(self, item: Item) -> Reach:
        """Those who are left over in `parts`, else all that the record names."""
        names = self._codec.decode(item.body).to
        left = tuple(item.parts.decode().split(",")) if item.parts else names
        return Reach("app", left, {name: people for name, people in WIDE.items() if name in left})

    def turn(self, item: Item, behind: Sequence[Item], now: float) -> float | Held | Skipped:
        needed = item.carried is not None or self._codec.decode(item.body).new
        return now if needed else Skipped(Reason.REPEATED, "told before")

    def speaks(self, item: Item, now: float) -> Mapping[str, bytes]:
        return {}

    def gathers(self, item: Item, now: float) -> Mapping[str, bytes]:
        return {}

    def patience(self, item: Item) -> float:
        return inf

    def stormed(self, item: Item) -> bool:
        return False

    def equals(self, item: Item) -> Sequence[UUID]:
        return ()

    def together(self, item: Item, others: Sequence[Item], now: float) -> Together:
        return Together((), b"")

    def keep(self, home: Home, memos: Mapping[str, bytes], now: float) -> None:
        self.memos[home] = dict(memos)

    def digest(self, item: Item) -> Digest:
        at = datetime.fromtimestamp(item.born, UTC)
        return Digest(1, at, at, (Line(item.lane, str(self._codec.decode(item.body).number), at),))

    def closed(self, item: Item, outcome: Outcome, recipients: Sequence[RecipientState], now: float) -> Told:
        told = Ended(
            item.id if not item.redrive else uuid5(item.id, str(item.redrive)),
            f"{name_of(outcome)}/{outcome.reason}",
            getattr(outcome, "into", None),
            item.redrive,
        )
        return Told((Note("outcomes", item.lane.encode(), encode(told)),))

    async def call(self, item: Item, line: int, deadline: float) -> Success:
        return Success()


def limited(count: int, period: float = 62.0, **more: Any) -> QueuePolicy:
    """A policy with one limit."""
    return QueuePolicy(channel="robot", limits=(Limit(count, period),), **more)
