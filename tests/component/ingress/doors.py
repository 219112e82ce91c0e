"""Doors that share a topic, without Kafka: what one of them appends all of them read, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Event, Position
from andon.core.tables import NO_TABLES, Tables
from andon.ingress.expected.expectations import Expectations
from andon.kafka.records import Outgoing
from andon.kafka.topics import EVENTS, SOURCES
from andon.testing.clock import ManualClock

EIGHT = datetime(2026, 11, 26, 0, 0, tzinfo=UTC).timestamp()  # Thursday, 08:00 in Shanghai


class Killed(Exception):  # noqa: N818 - kill -9, which no door survives
    """The process ended."""


class Topic:
    """`andon.sources`, compacted, and `andon.events`. While it is `away` nothing is acknowledged. `kill` says after
    how many more appends the process that makes the next one dies."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.events: list[Event] = []
        self.away = False
        self.kill: int | None = None
        self.doors: list[Expectations] = []

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Position | str]:
        if self.kill is not None:
            self.kill -= 1
            if self.kill < 0:
                raise Killed
        if self.away:
            return ["away"] * len(records)
        for record in records:
            if record.topic == EVENTS:
                self.events.append(msgspec.json.decode(record.value or b"", type=Event))
                assert self.events[-1].subject.encode() == record.key
                continue
            assert record.topic == SOURCES
            assert record.key is not None
            self.kept.pop(record.key, None)
            if record.value is not None:
                self.kept[record.key] = record.value
            for door in self.doors:
                door.take(record.key, record.value or b"")
        return [Position(records[0].topic, 0, 0)] * len(records)


class Wrong:
    """A clock that is ahead of another one, or behind it."""

    def __init__(self, right: ManualClock, ahead: float) -> None:
        self._right = right
        self._ahead = ahead

    def now(self) -> float:
        return self._right.now() + self._ahead

    async def sleep(self, seconds: float, /) -> None:
        await self._right.sleep(seconds)


class Doors:
    """A plant with doors that may come and go; time passes by `until`, with beats of every door."""

    def __init__(self, expect: dict[str, Any] | None, tables: Tables = NO_TABLES, **sections: Any) -> None:
        self.topic = Topic()
        self.clock = ManualClock(EIGHT)
        self.links: dict[str, bool] = {}
        self.configure(expect, tables, **sections)

    def configure(self, expect: dict[str, Any] | None, tables: Tables = NO_TABLES, **sections: Any) -> None:
        """Publishes a version in which this is expected of the one source."""
        source = {"kind": "http", "token": "env:T", **({} if expect is None else {"expect": expect})}
        written = {"version": 1, "sources": {"mes": source}, "route": {"receiver": "it"}, **sections}
        settings = Settings.model_validate(written)
        self.published = Published(1, datetime.now(UTC), "me", "/", settings, {}, tables)
        for door in self.topic.doors:
            door.follow(self.published, {"mes": "alarms at k:9092"})

    def start(self, *, linked: bool | None = None, ahead: float = 0.0) -> Expectations:
        """One more door, which reads what the compacted topic has kept; its clock is `ahead` by so many seconds."""

        async def stands() -> bool:
            return self.links.get("mes", True) if linked is None else linked

        clock = Wrong(self.clock, ahead) if ahead else self.clock
        door = Expectations(self.topic, clock, lambda: {"mes": stands})
        door.follow(self.published, {"mes": "alarms at k:9092"})
        for key, value in self.topic.kept.items():
            door.take(key, value)
        door.read()
        self.topic.doors.append(door)
        return door

    async def stop(self, door: Expectations) -> None:
        """Ends a door in order."""
        self.topic.doors.remove(door)
        await door.close()

    async def until(self, seconds: float, every: float = 10.0) -> list[Event]:
        """Lets time pass up to so many seconds after eight o'clock; the events that were told meanwhile."""
        before = len(self.topic.events)
        while self.clock.now() < EIGHT + seconds:
            self.clock.advance(min(every, EIGHT + seconds - self.clock.now()))
            for door in list(self.topic.doors):
                await door.beat()
        return self.topic.events[before:]
