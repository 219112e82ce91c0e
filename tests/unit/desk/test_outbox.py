"""The outbox: in order, again until the broker has it, forgotten only then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from andon.core.event import Position
from andon.core.work import Note, Write
from andon.kafka.producer import Written
from andon.kafka.records import Outgoing
from andon.runtime.desk.outbox import Outbox
from andon.testing.clock import ManualClock
from tests.unit.desk.items import HOME, OTHER


class Log:
    """Takes records; `fail` names keys that are refused as often as given, `gate` holds an append back."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.fail: dict[bytes, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, records: Sequence[Outgoing], /) -> Sequence[Written]:
        await self.gate.wait()
        return [self._one(record) for record in records]

    def _one(self, record: Outgoing) -> Written:
        key = record.key or b""
        if self.fail.get(key, 0):
            self.fail[key] -= 1
            return "timed out"
        self.keys.append(key)
        return Position(record.topic, 0, len(self.keys))


class Scene:
    def __init__(self) -> None:
        self.log = Log()
        self.clock = ManualClock()
        self.writes: list[Write] = []
        self.outbox = Outbox(self.log, self.writes.append, self.clock)

    def put(self, *numbers: int, home: object = HOME) -> None:
        self.outbox.put(home, 1, [(n, Note("t", b"%d" % n, b"v")) for n in numbers])  # type: ignore[arg-type]

    def forgotten(self) -> list[int]:
        return [write.published for write in self.writes if write.published is not None]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def play(scene: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def whole() -> Scene:
        made = Scene()
        running = asyncio.create_task(made.outbox.run())
        await scene(made)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return made

    return asyncio.run(whole())


def test_notes_are_published_in_order_and_then_forgotten() -> None:
    async def scene(at: Scene) -> None:
        at.put(*range(2_500))
        await at.outbox.drained()
        assert len(at.outbox) == 0

    at = play(scene)
    assert at.log.keys == [b"%d" % n for n in range(2_500)]
    assert at.forgotten() == [999, 1_999, 2_499]


def test_after_a_failure_everything_from_there_on_is_published_again() -> None:
    async def scene(at: Scene) -> None:
        at.log.fail = {b"2": 2}
        at.put(1, 2, 3)
        await at.settle()
        assert at.log.keys == [b"1", b"3"]
        for _ in range(2):
            at.clock.advance(0.2)
            await at.settle()
        await at.outbox.drained()

    at = play(scene)
    assert at.log.keys == [b"1", b"3", b"3", b"2", b"3"]  # readers keep one of each; the last of a key is the newest
    assert at.forgotten() == [3]


def test_the_topic_that_takes_nothing_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """It may be gone, or forbidden: what the library says does not tell of which."""

    async def scene(at: Scene) -> None:
        at.log.fail = {b"2": 1_000}
        at.put(1, 2)
        for _ in range(450):
            await at.settle()
            at.clock.advance(0.2)

    play(scene)
    assert [(vars(one)["topic"], vars(one)["problem"]) for one in caplog.records] == [("t", "timed out")] * 2


def test_it_is_stuck_when_nothing_of_it_was_taken_for_ten_seconds() -> None:
    async def waits(at: Scene, seconds: float) -> bool:
        at.clock.advance(seconds)
        await at.settle()
        return at.outbox.stuck

    async def scene(at: Scene) -> None:
        assert not at.outbox.stuck
        at.log.fail = {b"2": 5}
        at.put(1, 2, 3)
        await at.settle()
        assert [await waits(at, seconds) for seconds in (0.2, 9.5, 0.5, 60.0)] == [False, False, True, True]
        assert not await waits(at, 0.2)
        at.clock.advance(60.0)
        at.log.fail = {b"4": 1}
        at.put(4)
        await at.settle()
        assert not at.outbox.stuck, "what was refused before is no part of it"

    play(scene)


def test_what_goes_on_a_little_is_not_stuck() -> None:
    async def scene(at: Scene) -> None:
        for number in range(0, 40, 2):
            at.log.fail = {b"%d" % (number + 1): 1}
            at.put(number, number + 1)
            await at.settle()
            at.clock.advance(3.0)
            await at.settle()
            assert not at.outbox.stuck

    play(scene)


def test_it_is_not_drained_while_something_waits() -> None:
    async def scene(at: Scene) -> None:
        at.log.gate.clear()
        at.put(1)
        drained = asyncio.create_task(at.outbox.drained())
        await at.settle()
        assert not drained.done()
        at.log.gate.set()
        await drained

    play(scene)


def test_a_home_that_left_is_no_longer_published() -> None:
    async def scene(at: Scene) -> None:
        at.log.fail = {b"1": 1}
        at.put(1, 2)
        at.put(7, home=OTHER)
        await at.settle()
        at.outbox.forget(HOME)
        await at.outbox.still()
        at.clock.advance(0.2)
        await at.outbox.drained()

    at = play(scene)
    assert at.log.keys == [b"2", b"7", b"7"]
    assert at.forgotten() == [7]


def test_what_is_under_way_when_its_home_leaves_is_waited_for() -> None:
    async def scene(at: Scene) -> None:
        at.log.gate.clear()
        at.put(1)
        await at.settle()
        at.outbox.forget(HOME)
        still = asyncio.create_task(at.outbox.still())
        await at.settle()
        assert not still.done()
        at.log.gate.set()
        await still
        await at.outbox.drained()

    at = play(scene)
    assert at.log.keys == [b"1"]
    assert at.forgotten() == []  # the next owner finds it in the store and publishes it once more


def test_forgetting_the_last_notes_leaves_it_drained() -> None:
    async def scene(at: Scene) -> None:
        at.log.fail = {b"1": 99}
        at.put(1)
        await at.settle()
        assert len(at.outbox) == 1
        at.outbox.forget(HOME)
        await at.outbox.drained()

    at = play(scene)
    assert (len(at.outbox), at.log.keys, at.forgotten()) == (0, [], [])
