"""Static members that leave or are taken out: the others have their partitions before the session ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from andon.kafka.connection import Connection
from andon.kafka.errors import Unreachable
from andon.kafka.members import Members
from tests.integration.stage.line import Line, until
from tests.integration.stage.process import SESSION, SESSION_S
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[3]


def names(kafka: Kafka, line: Line) -> dict[str | None, tuple[int, ...]]:
    return {one.instance: one.partitions for one in Members(kafka.connection).of(line.service)}


def test_a_member_that_is_told_to_end_leaves_its_partitions_to_the_others(kafka: Kafka) -> None:
    """Else a rolling restart would hold its subjects up until it is there again, or for its session."""
    line = Line(kafka, partitions=4)
    ids = line.send(40, subjects=20)
    zero = f"{line.service}-0"

    async def main() -> float:
        async with line.running(line.runner(slot=0, consumer=SESSION)) as stays:
            async with line.running(line.runner(slot=1, consumer=SESSION)) as leaves:
                await until(lambda: sorted(map(len, names(kafka, line).values())) == [2, 2])
                await line.finished(stays, leaves)
            began = time.monotonic()
            ids.extend(await asyncio.to_thread(line.send, 40, 20))
            await line.finished(stays)
            assert names(kafka, line) == {zero: (0, 1, 2, 3)}
            return time.monotonic() - began

    took = asyncio.run(main())
    print(f"the partitions of the one that left were served {took:.2f} s after it had ended")
    assert took < SESSION_S / 2
    line.exactly_once(ids)


def test_alone_it_keeps_its_place_which_nobody_else_could_use(kafka: Kafka) -> None:
    line = Line(kafka, partitions=4)
    ids = line.send(20)
    line.work(consumer=SESSION)
    assert names(kafka, line) == {f"{line.service}-0": (0, 1, 2, 3)}
    ids.extend(line.send(20))
    line.work(consumer=SESSION)
    line.exactly_once(ids)


def test_a_member_that_was_killed_is_taken_out_and_the_rest_serves_its_partitions(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    ids = line.send(20)
    module = [sys.executable, "-m", "tests.integration.stage.process"]
    arguments = [kafka.bootstrap, line.service, line.source, line.sink]
    process = subprocess.Popen([*module, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(line.finished())
    finally:
        process.kill()
        process.wait(10)

    async def main() -> float:
        async with line.running(line.runner(slot=1, consumer=SESSION)) as stays:
            ids.extend(await asyncio.to_thread(line.send, 20))
            began = time.monotonic()
            assert await asyncio.to_thread(Members(kafka.connection).remove, line.service, [0, 7]) == [0]
            await line.finished(stays)
            return time.monotonic() - began

    assert asyncio.run(main()) < SESSION_S / 2
    line.exactly_once(ids)


def test_a_member_that_still_works_joins_again_when_it_is_taken_out(kafka: Kafka) -> None:
    line = Line(kafka, partitions=2)
    ids = line.send(20)

    async def main() -> None:
        async with line.running(line.runner(consumer={"heartbeat.interval.ms": 500})) as works:
            await line.finished(works)
            assert await asyncio.to_thread(Members(kafka.connection).remove, line.service, [0]) == [0]
            ids.extend(await asyncio.to_thread(line.send, 20))
            await line.finished(works)

    asyncio.run(main())
    line.exactly_once(ids)


def test_nobody_is_in_a_group_that_never_was(kafka: Kafka) -> None:
    members = Members(kafka.connection)
    assert members.of("nobody") == []
    assert members.remove("nobody", [0, 1]) == []
    assert members.remove("nobody", []) == []


def test_no_broker_is_one_sentence() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=nowhere):
        Members(Connection(nowhere), within_s=0.3).of("egress")
