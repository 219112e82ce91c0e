"""A mute tells once that it is about to end: not before its time, not again after a restart, never after its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from andon.core.event import Event, Position
from andon.core.failure import Retryable
from andon.core.mute import Mute
from andon.core.reason import Reason
from andon.ingress.bodies.draft import Draft
from andon.ingress.muting.reminders import TYPE, Reminders
from andon.runtime.desk.work import fingerprint
from andon.testing.clock import ManualClock

BEGIN = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)
MUTE = Mute("m12", ('line="L3"', 'code="E1"'), BEGIN, BEGIN + timedelta(hours=2), "wang", "换模")
AHEAD = 900.0
DUE = 2 * 3_600 - AHEAD


class Door:
    """One door's reminders: `at` so many seconds after the mute began it says what it tells."""

    def __init__(self, *mutes: Mute, ahead: float | None = AHEAD) -> None:
        self.mutes = mutes
        self.ahead = ahead
        self.away = False
        self.events: list[Event] = []
        self._clock = ManualClock(BEGIN.timestamp())
        self._reminders = Reminders(lambda: self.mutes, lambda: self.ahead, self, self._clock)

    async def append(self, drafts: Sequence[Draft], late: object = None, /) -> Sequence[Position | Retryable]:
        if self.away:
            return [Retryable(Reason.UNAVAILABLE, "no broker", ambiguous=True)] * len(drafts)
        self.events += [draft.event for draft in drafts]
        return [Position("andon.events", 0, 0)] * len(drafts)

    def at(self, seconds: float) -> list[Event]:
        self._clock.advance(BEGIN.timestamp() + seconds - self._clock.now())
        before = len(self.events)
        asyncio.run(self._reminders.tell())
        return self.events[before:]


def test_it_is_told_once_so_long_before_the_end_and_says_whose_and_why() -> None:
    door = Door(MUTE)
    assert door.at(DUE - 1) == []
    (event,) = door.at(DUE)
    assert (event.type, event.subject) == (TYPE, "mute/m12")
    assert (event.time, event.facts) == (MUTE.ends - timedelta(seconds=AHEAD), {"mute": {"creator": "wang"}})
    assert event.data["why"] == "换模"
    assert event.data["matchers"] == 'line="L3", code="E1"'
    assert datetime.fromisoformat(event.data["ends"]) == MUTE.ends
    assert door.at(DUE + 10) == door.at(7_199) == door.at(7_200) == []


def test_after_a_restart_and_from_another_door_it_is_the_same_news() -> None:
    (first,) = Door(MUTE).at(DUE)
    (again,) = Door(MUTE, ahead=600.0).at(7_000)
    assert (again.source, again.id) == (first.source, first.id)
    assert fingerprint(again) == fingerprint(first)


def test_a_mute_that_is_extended_after_its_reminder_reminds_of_its_new_end() -> None:
    door, ends = Door(MUTE), MUTE.ends + timedelta(hours=6)
    (first,) = door.at(DUE)
    door.mutes = (msgspec.structs.replace(MUTE, ends=ends),)
    assert door.at(DUE + 60) == []
    (again,) = door.at(DUE + 6 * 3_600)
    assert (again.subject, datetime.fromisoformat(again.data["ends"])) == (first.subject, ends)
    assert again.id != first.id


def test_what_the_log_did_not_take_is_told_later_and_after_the_end_no_more() -> None:
    door = Door(MUTE)
    door.away = True
    assert door.at(DUE) == []
    door.away = False
    assert len(door.at(DUE + 10)) == 1
    late = Door(MUTE)
    assert late.at(7_200) == []


def test_each_mute_has_its_own_and_one_that_was_ended_before_has_none() -> None:
    other = Mute("m13", ('line="L4"',), BEGIN, MUTE.ends, "li", "清扫")
    door = Door(MUTE, other)
    assert [one.subject for one in door.at(DUE)] == ["mute/m12", "mute/m13"]
    gone = Door(MUTE, other)
    gone.mutes = (other,)
    assert [one.subject for one in gone.at(DUE)] == ["mute/m13"]


@pytest.mark.parametrize(("minutes", "ahead", "told"), [(30, AHEAD, 1), (29, AHEAD, 0), (29, 600.0, 1), (120, None, 0)])
def test_a_short_mute_needs_none_and_nobody_may_want_one(minutes: int, ahead: float | None, told: int) -> None:
    mute = Mute("m14", ('line="L3"',), BEGIN, BEGIN + timedelta(minutes=minutes), "wang", "换模")
    assert len(Door(mute, ahead=ahead).at(60 * minutes - 1)) == told


def test_it_looks_again_and_again() -> None:
    async def run() -> None:
        clock, events = ManualClock(BEGIN.timestamp() + DUE - 15), Door()
        running = asyncio.create_task(Reminders(lambda: (MUTE,), lambda: AHEAD, events, clock).run())
        for told in (0, 0, 1):
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(events.events) == told
            clock.advance(10)
        running.cancel()

    asyncio.run(run())
