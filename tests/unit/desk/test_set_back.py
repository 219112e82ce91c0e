"""A clock that is set back by hours: what the ledger remembers of the time that is to come again stops nobody."""

from __future__ import annotations

import asyncio
from copy import copy
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.cli.main import _FORESEEN
from andon.core.policy import Limit, Merge, Per, QueuePolicy, Retry
from andon.core.reason import Reason
from andon.core.work import Entry, Holding, Item
from andon.runtime.clock import SystemClock
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.set_back import TOLERANCE_S, ClockSetBack, done_by
from andon.runtime.desk.work import Success
from andon.runtime.failures import Failed
from tests.unit.desk.items import HOME, START, ScriptedWork, item, limited
from tests.unit.desk.rig import GONE, TIMED_OUT, Rig
from tests.unit.desk.running import Plant, Run

HOUR = 3_600.0
BACK = 8 * HOUR
THROTTLED = Failed(Reason.THROTTLED, "45009", True, after=90.0)


def all_well(_: Call) -> Success:
    return Success()


def set_back(rig: Rig, by: float = BACK) -> None:
    """The clock goes back, and the desk starts anew."""
    rig.now -= by
    rig.restart()


def entry(started: float, ended: float | None = None, **more: Any) -> Entry:
    one = item()
    return Entry(one.id, 0, 0, 1, HOME, "robot", 0, 0, 1, started, "l3", ended=ended, **more)


def holding(*entries: Entry, items: list[Item] | None = None) -> Holding:
    return Holding(HOME, 1, None, items or [], list(entries), {}, [])


# ---- the rule


def test_what_was_done_later_than_now_was_done_now_and_what_was_to_follow_follows_as_long_after() -> None:
    ahead = entry(START + BACK, START + BACK + 2, reason=Reason.THROTTLED, until=START + BACK + 92)
    begun = entry(START + BACK)
    told = entry(START + BACK, START + BACK + 1, reason=Reason.DELIVERED)
    found = done_by(holding(ahead, begun, told), START).recent
    assert [(one.started, one.ended, one.until) for one in found] == [
        (START, START, START + 90),
        (START, None, 0.0),
        (START, START, 0.0),
    ]


def test_a_call_that_began_before_the_step_and_ended_after_it_keeps_its_end() -> None:
    (found,) = done_by(holding(entry(START + BACK, START - 5, until=START + 55)), START).recent
    assert (found.started, found.ended, found.until) == (START, START - 5, START + 55)


def test_what_lies_in_the_past_is_the_very_same() -> None:
    entries = [entry(START - 10), entry(START - 10, START - 5, until=START + 3_000), entry(START, START)]
    waiting = item(due=START + 500, expires=START + 900)
    waiting.entries = [entry(START - 10, START - 5)]
    before = copy(waiting)
    found = done_by(holding(*entries, items=[waiting]), START)
    assert all(one is other for one, other in zip(found.recent, entries, strict=True))
    assert found.items == [before]


def test_an_item_waits_and_lasts_as_long_as_it_would_have() -> None:
    tried = item(born=START + BACK - 60, due=START + BACK + 30, expires=START + BACK + 240)
    tried.entries = [entry(START + BACK - 1, START + BACK)]
    untried = item(2, born=START - 60, expires=START + 240)
    now = START
    first, second = done_by(holding(items=[tried, untried]), now).items
    assert (first.born, first.due, first.expires) == (now, now + 30, now + 300)
    assert (second.born, second.due, second.expires) == (START - 60, 0.0, START + 240)
    (last,) = done_by(holding(items=[item(born=START + BACK)]), now).items
    assert (last.born, last.due, last.expires) == (now, 0.0, inf)


TIMES = st.floats(-20 * HOUR, 20 * HOUR).map(lambda at: START + at)


@given(st.lists(st.tuples(TIMES, st.none() | TIMES, st.floats(0, HOUR))), TIMES)
def test_once_done_it_is_done_nothing_moves_forward_and_the_order_stays(
    rows: list[tuple[float, float | None, float]], now: float
) -> None:
    rows.sort(key=lambda row: row[0])
    entries = [
        entry(started, ended, until=(started if ended is None else ended) + left if left else 0.0)
        for started, ended, left in rows
    ]
    found = done_by(holding(*entries), now).recent
    assert done_by(holding(*found), now).recent == found
    assert [one.started for one in found] == sorted(one.started for one in found)
    for one, before, (_, _, left) in zip(found, entries, rows, strict=True):
        assert one.started <= min(before.started, now)
        assert one.ended is None or one.ended <= now
        assert one.until <= before.until
        if left:
            last = one.started if one.ended is None else one.ended
            assert one.until - last == pytest.approx(left, abs=1e-3), "left alone for as long"


# ---- what follows from it


def test_after_twenty_calls_the_next_leaves_within_a_period_and_never_more_than_the_limit_in_a_minute() -> None:
    rig = Rig(ScriptedWork(limited(20)))
    rig.admit(*(item(n, lane=f"m{n}") for n in range(1, 61)))
    before = [at for at, _ in rig.run(40, all_well)]
    assert len(before) == 20
    stepped = rig.now - START
    set_back(rig)
    after = [at + BACK for at, _ in rig.run(200, all_well)]
    assert len(after) == 40
    assert after[0] == pytest.approx(stepped + 62, abs=0.01), "all count as of the start"
    real = [*before, *after]
    assert all(later - first >= 60 for first, later in zip(real, real[20:], strict=False))


@given(st.lists(st.tuples(st.floats(0, 150), st.floats(0, 20 * HOUR), st.booleans()), max_size=5))
def test_however_often_it_steps_no_minute_holds_more_than_the_limit_and_none_waits_longer_than_a_period(
    steps: list[tuple[float, float, bool]],
) -> None:
    rig, behind = Rig(ScriptedWork(limited(5))), 0.0
    real: list[float] = []
    rig.admit(*(item(n, lane=f"m{n}") for n in range(1, 41)))
    for seconds, back, killed in [*steps, (62.0 * 9, 0.0, False)]:
        real += [at + behind for at, _ in rig.run(seconds, all_well)]
        if killed:
            real += [rig.now - START + behind for _ in rig.call()]  # and their results are lost
        set_back(rig, back)
        behind += back
    assert rig.store.closed.keys() == rig.store.items.keys()
    assert all(later - first >= 60 for first, later in zip(real, real[5:], strict=False))


def test_what_was_under_way_counts_in_the_limit_and_is_ambiguous_after_the_deadline() -> None:
    rig = Rig(ScriptedWork(limited(1)))
    rig.admit(item(1))
    rig.call()
    set_back(rig)
    began = rig.now
    seen = rig.run(100, all_well)
    assert [at + START - began for at, _ in seen] == [15 + 62]
    assert [(one.marked, one.ambiguous) for one in rig.entries(item(1))] == [(False, True), (True, False)]


def test_an_urgent_item_and_one_of_another_receiver_are_called_at_once() -> None:
    rig = Rig(ScriptedWork(policies={"l3": QueuePolicy("robot", merge=Merge(Limit(1, 30.0)))}))
    rig.admit(item(1), item(2))
    rig.run(1, all_well)
    set_back(rig)
    rig.admit(item(3, lane="x", urgent=True), item(4, lane="y", queue="l4"))
    assert [call.item.offset for call in rig.call()] == [3, 4]


def test_a_merge_rule_waits_its_pace_from_now() -> None:
    rig = Rig(ScriptedWork(policies={"l3": QueuePolicy("robot", merge=Merge(Limit(2, 60.0)))}))
    rig.admit(item(1, lane="a"), item(2, lane="b"))
    assert len(rig.run(1, all_well)) == 2
    set_back(rig)
    rig.admit(item(3))
    assert [round(at + BACK, 3) for at, _ in rig.run(100, all_well)] == [31.0]


def test_an_account_that_asked_to_be_left_alone_waits_so_long_and_no_longer() -> None:
    rig = Rig(ScriptedWork(QueuePolicy("robot")))
    rig.admit(item(1))
    rig.end(rig.call()[0], THROTTLED)
    rig.now += 30
    set_back(rig)
    rig.admit(item(2, lane="other"))
    began = rig.now - START
    assert [(round(at - began, 3), offset) for at, offset in rig.run(200, all_well)] == [(90.0, 1), (90.0, 2)]


def test_a_retry_is_due_after_its_wait() -> None:
    rig = Rig(ScriptedWork(QueuePolicy("robot", retry=Retry(first=100.0, most=100.0))))
    rig.admit(item(1))
    rig.end(rig.call()[0], GONE)
    wait = rig.stored(item(1)).due - rig.now
    set_back(rig)
    began = rig.now - START
    ((at, _),) = rig.run(200, all_well)
    assert at - began == pytest.approx(wait, abs=0.01)


def test_a_restart_later_gives_the_same_from_its_own_moment_on() -> None:
    rig = Rig(ScriptedWork(limited(2)))
    rig.admit(*(item(n, lane=f"m{n}") for n in range(1, 6)))
    assert len(rig.run(1, all_well)) == 2
    set_back(rig)
    rig.now += 61
    rig.restart()
    began = rig.now - START
    assert [at - began for at, _ in rig.run(100, all_well)] == [62, 62]
    rig.restart()
    assert next(at - began for at, _ in rig.run(100, all_well)) >= 124, "written with the right clock: it stays"


def test_people_and_recipients_are_told_again_within_their_periods() -> None:
    people = (Limit(1, 62.0, Per.RECIPIENT), Limit(10, 86_400.0, Per.PERSON, begins=0.0))
    rig = Rig(ScriptedWork(QueuePolicy("app", people=people, sender="app")))
    body = b'{"number":1,"to":["p"]}'
    rig.admit(item(1, body=body))
    assert len(rig.run(1, all_well)) == 1
    set_back(rig)
    rig.admit(item(2, body=body))
    assert [round(at + BACK - 1, 3) for at, _ in rig.run(100, all_well)] == [62.0]


def test_a_small_step_back_changes_no_order_and_costs_no_more_than_itself() -> None:
    rig = Rig(ScriptedWork(limited(3)))
    rig.admit(*(item(n, lane=f"m{n}") for n in range(1, 6)))
    assert [offset for _, offset in rig.run(10, all_well)] == [1, 2, 3]
    rig.now -= 0.9
    found = rig.run(100, all_well)
    assert [(round(at, 3), offset) for at, offset in found] == [(62.0, 4), (62.0, 5)], "by the clock, and not restarted"


def test_what_the_log_took_by_a_clock_ahead_is_born_as_it_comes() -> None:
    rig = Rig(ScriptedWork())
    rig.admit(item(1, born=rig.now + BACK, expires=rig.now + BACK + 60))
    rig.end(rig.call()[0], TIMED_OUT)
    stored = rig.stored(item(1))
    assert (stored.born, stored.expires) == (rig.now, rig.now + 60)


# ---- the desk that runs


class Wound:
    """The machine's clock, which can be set back."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.back = 0.0

    def now(self) -> float:
        return float(self._clock.now()) - self.back

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


def test_a_running_desk_ends_its_calls_in_order_and_says_that_its_clock_was_set_back(run: Run) -> None:
    async def scene(plant: Plant) -> None:
        clock = Wound(SystemClock())
        plant.fill(1)
        plant.work.gate = asyncio.Event()
        task = asyncio.create_task(plant.runner(clock=clock).run(plant.stop))
        await plant.until(lambda: plant.work.called)
        clock.back = TOLERANCE_S / 2
        await asyncio.sleep(0.1)
        assert not task.done()
        clock.back = BACK
        await plant.until(plant.stop.is_set)
        plant.work.gate.set()
        with pytest.raises(ClockSetBack) as raised:
            await task
        assert str(raised.value) == (
            "the clock of this machine was set back by 8:00:00: egress ends its calls and is to be started again, "
            "then it goes on by what its store holds; let a time server set the clock"
        )
        # What was under way has its result, and a new one goes on at once.
        assert [one.reason for one in plant.store.entries.values()] == [Reason.DELIVERED]
        plant.stop.clear()
        plant.broker.consumers.clear()
        plant.fill(1, first=1)
        async with plant.running(plant.runner(clock=clock)):
            await plant.until(lambda: len(plant.outcomes()) == 2)

    run(scene)


def test_it_is_a_foreseen_end_with_the_code_of_law_four() -> None:
    assert _FORESEEN[ClockSetBack.__module__, ClockSetBack.__name__] == 3
