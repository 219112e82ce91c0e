"""Places, turns and the time to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from andon.ingress import admission
from andon.ingress.admission import Admission, Drain, Over
from andon.testing.clock import ManualClock


def door(window: int = 500, waiting: Callable[[], int] = lambda: 0) -> Admission:
    return Admission(window, 1_000, waiting, ManualClock())


def test_places_are_counted_in_events() -> None:
    room = door(window=500)
    assert room.enter(499)
    assert room.enter(1)
    assert not room.enter(1)
    room.leave(499)
    assert room.enter(499)
    assert room.in_flight == 500


def test_turns_come_in_order_and_a_big_batch_is_not_starved() -> None:
    async def run() -> list[str]:
        room = door(window=500)
        assert room.enter(500)
        order: list[str] = []

        async def ask(name: str, events: int) -> None:
            await room.wait(events)
            order.append(name)

        tasks = [asyncio.create_task(ask(name, events)) for name, events in (("big", 400), ("small", 1), ("late", 200))]
        await asyncio.sleep(0)
        room.leave(100)
        assert not room.enter(1), "newcomers do not overtake those who wait"
        await asyncio.sleep(0)
        assert order == []
        room.leave(400)
        await asyncio.sleep(0.01)
        assert order == ["big", "small"]
        assert (room.in_flight, room.queued) == (401, 200)
        room.leave(401)
        await asyncio.gather(*tasks)
        assert (room.in_flight, room.queued) == (200, 0)
        return order

    assert asyncio.run(run()) == ["big", "small", "late"]


def test_whoever_waits_too_long_or_goes_away_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 0.02)

    async def run() -> None:
        room = door(window=500)
        assert room.enter(450)
        gone = asyncio.create_task(room.wait(500))
        await asyncio.sleep(0)
        small = asyncio.create_task(room.wait(50))
        await asyncio.sleep(0)
        gone.cancel()
        await small
        assert (room.in_flight, room.queued) == (500, 0)
        with pytest.raises(Over) as caught:
            await room.wait(100)
        assert caught.value.after == 1
        assert (room.in_flight, room.queued) == (500, 0)
        room.leave(500)
        assert room.in_flight == 0

    asyncio.run(run())


def test_a_turn_that_comes_too_late_by_a_hair_is_given_back() -> None:
    async def run() -> None:
        room = door(window=500)
        assert room.enter(500)
        late = asyncio.create_task(room.wait(300))
        await asyncio.sleep(0)
        room.leave(500)
        late.cancel()  # after its turn came, before it could take note
        await asyncio.gather(late, return_exceptions=True)
        assert late.cancelled()
        assert (room.in_flight, room.queued) == (0, 0)

    asyncio.run(run())


def test_the_waiting_room_is_bounded() -> None:
    async def run() -> None:
        room = door(window=500)
        assert room.enter(500)
        waiting = [asyncio.create_task(room.wait(500)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Over):
            await room.wait(1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert room.queued == 0

    asyncio.run(run())


@pytest.mark.parametrize(("waiting", "open_"), [(999, True), (1_000, False), (50_000, False)])
def test_a_full_backlog_closes_the_door(waiting: int, open_: bool) -> None:
    room = door(waiting=lambda: waiting)
    if open_:
        assert room.enter(1)
        return
    with pytest.raises(Over) as caught:
        room.enter(1)
    assert caught.value.after == 60, "nothing is known of the rate yet"
    assert room.in_flight == 0


def test_retry_after_follows_the_rate_at_which_the_backlog_shrinks() -> None:
    clock = ManualClock()
    drain = Drain(clock)
    drain.read(10_000)
    clock.advance(10)
    drain.admitted = 500
    drain.read(9_500)  # 500 let in and 500 fewer wait: 1,000 ended in 10 s
    assert [drain.seconds(events) for events in (1, 100, 101, 1_000, 100_000)] == [1, 1, 2, 10, 60]
    clock.advance(30)
    drain.read(9_500)  # a reading that has not changed is no news
    assert drain.seconds(1_000) == 10
    drain.read(12_000)
    assert drain.seconds(1) == 60, "it grows"
