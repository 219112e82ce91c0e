"""A stage on topics of its own, and what an outside reader finds that came of its input."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import confluent_kafka
import msgspec

from andon.core.event import Event
from andon.core.outcome import OutcomeRecord
from andon.core.ports import Result, Stage
from andon.kafka.connection import Connection
from andon.kafka.topics import DLQ, OUTCOMES
from andon.runtime.clock import SystemClock
from andon.runtime.metrics import Metrics
from andon.runtime.stage import StageRunner, StageSettings
from andon.testing.builders import event
from tests.rig.kafka import Kafka

PATIENCE_S = 40.0


async def passing(batch: Sequence[Event]) -> Sequence[Result[Event]]:
    """The stage that lets everything pass."""
    return [Result((one,)) for one in batch]


class Line:
    """One source and one sink. What it reads back, it reads with a consumer that is not Andon's."""

    def __init__(self, kafka: Kafka, partitions: int = 1, **topic: str) -> None:
        self.kafka = kafka
        self.source = kafka.topic("in", partitions, **topic)
        self.sink = kafka.topic("out", partitions, **topic)
        self.service = kafka.service(self.source)
        self.sent = 0

    # ---- input

    def send(self, count: int, subjects: int = 5) -> list[str]:
        """Appends events numbered on from the last ones; their ids."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        events = [event(id=f"e-{n}", subject=f"m-{n % subjects}", data={"n": n}) for n in numbers]
        self.kafka.write(self.source, [(one.subject.encode(), msgspec.json.encode(one)) for one in events])
        return [one.id for one in events]

    def send_raw(self, values: Iterable[bytes]) -> None:
        """Appends values as they are, to the first partition."""
        given = list(values)
        self.sent += len(given)
        self.kafka.write(self.source, given, partition=0)

    # ---- the stage

    def runner(
        self,
        stage: Stage[Event, Event] = passing,
        *,
        metrics: Metrics | None = None,
        connection: Connection | None = None,
        **settings: Any,
    ) -> StageRunner[Event]:
        """A runner of the stage on this line, which may reach Kafka by another way than the witness."""
        given = {"service": self.service, "source": self.source, "sink": self.sink, "key": _subject, **settings}
        link = connection or self.kafka.connection
        return StageRunner(StageSettings(**given), lambda: stage, link, SystemClock(), metrics or Metrics(), lambda: 7)

    @asynccontextmanager
    async def running(self, runner: StageRunner[Event]) -> AsyncIterator[asyncio.Task[None]]:
        """The runner at work; stopped in order at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(runner.run(stop))
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait([task], timeout=PATIENCE_S)
            assert task.done(), "the stage does not stop"
        await task

    async def finished(self, *tasks: asyncio.Task[None]) -> None:
        """Returns when every input is committed; at once when a stage ended before that."""
        await until(lambda: self.committed() >= self.sent or any(task.done() for task in tasks))
        assert self.committed() == self.sent

    def work(self, stage: Stage[Event, Event] = passing, **settings: Any) -> None:
        """Runs the stage until every input is committed."""

        async def main() -> None:
            async with self.running(self.runner(stage, **settings)) as task:
                await self.finished(task)

        asyncio.run(main())

    def committed(self) -> int:
        """How many inputs the group has committed."""
        return sum(self.kafka.committed(self.service, self.source).values())

    # ---- the witness

    def outputs(self) -> list[Event]:
        """What stands in the sink, committed."""
        return [msgspec.json.decode(one.value() or b"", type=Event) for one in self.kafka.read(self.sink)]

    def ids(self) -> list[str]:
        return [one.id for one in self.outputs()]

    def outcomes(self) -> dict[str, OutcomeRecord]:
        """Event id → its outcome; of this line's events only."""
        values = [one.value() or b"" for one in self.kafka.read(OUTCOMES)]
        found = [msgspec.json.decode(one, type=OutcomeRecord) for one in values if one[:1] == b"{"]
        return {one.event: one for one in found if one.origin[0].topic == self.source}

    def parked(self) -> dict[int, confluent_kafka.Message]:
        """Offset → the dead letter; of the first partition of this line's source only."""
        found = [(dict(one.headers() or ()), one) for one in self.kafka.read(DLQ)]
        ours = [(h, one) for h, one in found if h.get("andon-topic") == self.source.encode()]
        assert all(h["andon-partition"] == b"0" for h, _ in ours)
        offsets = [int(h["andon-offset"] or b"") for h, _ in ours]
        assert len(set(offsets)) == len(offsets), "parked twice"
        return dict(zip(offsets, (one for _, one in ours), strict=True))

    def exactly_once(self, ids: Sequence[str]) -> None:
        """Fails unless every one of `ids` stands in the sink once, those of one subject in their order."""
        found = self.outputs()
        assert sorted(one.id for one in found) == sorted(ids)
        for subject in {one.subject for one in found}:
            numbers = [one.data["n"] for one in found if one.subject == subject]
            assert numbers == sorted(numbers), f"{subject} lost its order"


async def until(reached: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
    """Returns when `reached` says so, asked on a thread of its own."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(reached):
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.02)


def headers_of(record: confluent_kafka.Message) -> dict[str, bytes]:
    """Its headers, each of which has a value."""
    found: dict[str, bytes] = {}
    for name, value in dict(record.headers() or ()).items():
        assert isinstance(value, bytes), name
        found[name] = value
    return found


def _subject(one: Event) -> str:
    return one.subject
