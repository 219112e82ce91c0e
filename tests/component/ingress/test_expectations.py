"""A source falls silent: told once, whatever doors there are and however they end, and its return is told too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from andon.core.event import Event
from andon.core.tables import Tables
from andon.core.workdays import Workdays
from tests.component.ingress.doors import EIGHT, Doors, Killed

HOUR = 3_600.0
TWO_HOURS = {"event_within": "2h", "receiver": "it"}
CONNECTED = {"connected": True, "receiver": "it"}


def run(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def inner(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return inner


def told(events: list[Event]) -> list[tuple[str, float]]:
    """What was told, and of which time, in seconds after eight o'clock."""
    return [(event.type.removeprefix("andon.source."), event.time.timestamp() - EIGHT) for event in events]


@run
async def test_silence_and_return_are_an_episode() -> None:
    doors = Doors(TWO_HOURS, site={"zone": "Asia/Shanghai"})
    door = doors.start()
    await doors.until(60)
    door.heard("mes")
    assert await doors.until(60 + 2 * HOUR + 10) == []
    (silent,) = await doors.until(60 + 2 * HOUR + 40)
    assert silent == Event(
        id="silent-mes-20261126T000100.000000-raise",
        source="andon",
        type="andon.source.silent",
        subject="source/mes",
        time=datetime(2026, 11, 26, 2, 1, tzinfo=UTC),
        data={"source": "mes", "last": "2026-11-26T08:01:00+08:00", "expected_within": "2h"},
        labels={"state": "raise", "severity": "major", "code": "silent", "watched": "mes"},
    )
    assert await doors.until(9 * HOUR) == [], "it is told once"
    door.heard("mes")
    (heard,) = await doors.until(9 * HOUR + 60)
    assert heard.type == "andon.source.heard"
    assert heard.labels == {**silent.labels, "state": "clear"}
    assert (heard.subject, heard.time.timestamp()) == (silent.subject, EIGHT + 9 * HOUR)
    assert heard.data == {**silent.data, "silent_for": "539m"}
    assert told(await doors.until(12 * HOUR)) == [("silent", 11 * HOUR)]
    assert len({event.id for event in doors.topic.events}) == 3


@run
async def test_a_source_that_never_sent_anything_is_silent_from_when_it_was_expected() -> None:
    doors = Doors(TWO_HOURS)
    doors.start()
    (silent,) = await doors.until(3 * HOUR)
    assert told([silent]) == [("silent", 2 * HOUR + 10)]
    assert "last" not in silent.data
    assert silent.data["waiting_since"].startswith("2026-11-26T08:00:10")


@run
async def test_an_event_at_one_door_counts_at_every_door() -> None:
    doors = Doors(TWO_HOURS)
    doors.start()
    other = doors.start()
    for hour in range(1, 12):
        assert await doors.until(1.9 * HOUR * hour, every=60) == []
        other.heard("mes")
    await doors.stop(other)
    assert told(await doors.until(30 * HOUR, every=60)) == [("silent", 1.9 * HOUR * 11 + 2 * HOUR)]


@run
async def test_two_doors_tell_one_silence_and_one_return() -> None:
    doors = Doors(TWO_HOURS)
    doors.start()
    other = doors.start()
    await doors.until(4 * HOUR)
    other.heard("mes")
    await doors.until(5 * HOUR)
    assert [event.type for event in doors.topic.events] == ["andon.source.silent", "andon.source.heard"]


@run
async def test_an_event_just_in_time_at_a_door_that_has_not_said_so_yet_is_no_silence() -> None:
    doors = Doors(TWO_HOURS)
    first, other = doors.start(), doors.start()
    first.heard("mes")
    await doors.until(2 * HOUR - 1)
    other.heard("mes")
    doors.clock.advance(5)
    await first.beat()
    doors.clock.advance(5)
    await first.beat()
    await other.beat()
    await doors.until(3 * HOUR)
    assert doors.topic.events == []


@run
async def test_while_no_door_was_there_no_silence_grows_and_none_is_forgotten() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    door.heard("mes")
    await doors.until(HOUR)
    await doors.stop(door)
    doors.clock.advance(5 * HOUR)
    doors.start()
    assert await doors.until(6.9 * HOUR) == []
    assert told(await doors.until(8 * HOUR)) == [("silent", 7 * HOUR + 10)], "the ten seconds up to its first beat"


@pytest.mark.parametrize("restarted", [False, True])
@run
async def test_after_the_clock_was_set_back_silence_is_told_as_ever(restarted: bool) -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    await doors.until(HOUR)
    door.heard("mes")
    await doors.until(HOUR + 30)
    door.heard("mes")
    doors.clock.advance(-8 * HOUR)
    if restarted:
        await doors.stop(door)
        door = doors.start()
    back = HOUR + 30 - 8 * HOUR
    assert await doors.until(back + 1.9 * HOUR) == []
    door.heard("mes")
    assert await doors.until(back + 3.8 * HOUR) == []
    assert told(await doors.until(back + 4.5 * HOUR)) == [("silent", back + 3.9 * HOUR)]
    door.heard("mes")
    assert told(await doors.until(back + 4.6 * HOUR)) == [("heard", back + 4.5 * HOUR)]


@run
async def test_after_the_clock_was_set_back_a_source_that_says_nothing_is_silent_from_then_on() -> None:
    doors = Doors(TWO_HOURS)
    doors.start().heard("mes")
    other = doors.start()
    await doors.until(HOUR)
    doors.clock.advance(-8 * HOUR)
    assert told(await doors.until(-4 * HOUR)) == [("silent", -7 * HOUR + 10 + 2 * HOUR)]
    other.heard("mes")
    assert [event.type for event in await doors.until(-3.9 * HOUR)] == ["andon.source.heard"]


@run
async def test_who_was_silent_when_the_clock_was_set_back_is_heard_as_soon_as_it_speaks() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    door.heard("mes")
    assert len(await doors.until(3 * HOUR)) == 1
    doors.clock.advance(-8 * HOUR)
    assert await doors.until(-4 * HOUR) == [], "it is still silent"
    door.heard("mes")
    (heard,) = await doors.until(-4 * HOUR + 60)
    assert (heard.type, heard.data["silent_for"]) == ("andon.source.heard", "2h"), "so long at least"
    assert told(await doors.until(0)) == [("silent", -2 * HOUR)]


@pytest.mark.parametrize("ahead", [-590.0, -90.0, 90.0, 590.0])
@run
async def test_doors_whose_clocks_differ_tell_of_a_silence_all_the_same(ahead: float) -> None:
    doors = Doors(TWO_HOURS)
    right = doors.start()
    doors.start(ahead=ahead)
    for half in range(1, 9):
        await doors.until(half * HOUR / 2)
        right.heard("mes")
    assert told(await doors.until(6 * HOUR + abs(ahead) + 40)) == [("silent", 6 * HOUR)]


@pytest.mark.parametrize("ahead", [-590.0, -90.0, 90.0, 590.0])
@run
async def test_a_door_whose_clock_is_ahead_takes_no_source_for_silent_that_another_hears(ahead: float) -> None:
    doors = Doors({"event_within": "10m", "receiver": "it"})
    right = doors.start()
    doors.start(ahead=ahead)
    for number in range(1, 12):
        assert await doors.until(540.0 * number) == []
        right.heard("mes")


@pytest.mark.parametrize("others", [1, 2])
@run
async def test_nor_does_it_where_beats_pass_each_other_or_there_are_more_doors(others: int) -> None:
    doors = Doors({"event_within": "10m", "receiver": "it"})
    right = doors.start()
    for _ in range(others):
        doors.start(ahead=90.0)
    for beat in range(1, 300):
        doors.topic.doors.reverse()
        assert await doors.until(10.0 * beat) == []
        if beat % 54 == 0:
            right.heard("mes")


@run
async def test_a_restart_within_a_minute_takes_nothing_off() -> None:
    doors = Doors(TWO_HOURS)
    for minutes in range(1, 125, 4):
        door = doors.start()
        if minutes == 1:
            door.heard("mes")
        await doors.until(60.0 * minutes)
        await doors.stop(door)
        doors.clock.advance(30)
    assert told(doors.topic.events) == [("silent", 2 * HOUR)]


@run
async def test_what_was_told_is_known_after_a_restart() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    await doors.until(3 * HOUR)
    await doors.stop(door)
    doors.clock.advance(HOUR)
    again = doors.start()
    assert len(doors.topic.events) == 1
    assert await doors.until(9 * HOUR) == []
    again.heard("mes")
    assert told(await doors.until(9 * HOUR + 60)) == [("heard", 9 * HOUR)]


@run
async def test_without_kafka_nobody_judges_and_no_silence_grows() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    door.heard("mes")
    await doors.until(HOUR)
    doors.topic.away = True
    await doors.until(6 * HOUR)
    doors.topic.away = False
    assert await doors.until(6.9 * HOUR) == []
    assert told(await doors.until(8 * HOUR)) == [("silent", 7 * HOUR + 10)]


@pytest.mark.parametrize("appends", range(8))
@run
async def test_a_door_that_is_killed_tells_the_same_again_or_nothing(appends: int) -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    door.heard("mes")
    await doors.until(2 * HOUR)

    async def whole(kill: int | None) -> None:
        doors.topic.kill = kill
        await doors.until(2 * HOUR + 40)
        for one in doors.topic.doors:
            one.heard("mes")
        await doors.until(2 * HOUR + 80)

    with pytest.raises(Killed):
        await whole(appends)
    doors.topic.kill = None
    doors.topic.doors.clear()
    again = doors.start()
    await doors.until(2 * HOUR + 100)
    again.heard("mes")
    await doors.until(2 * HOUR + 200)
    by_id = {event.id: event for event in doors.topic.events}
    assert [event.labels["state"] for event in by_id.values()] == ["raise", "clear"]
    assert all(event == by_id[event.id] for event in doors.topic.events), "what has one id has one content"


@run
async def test_a_night_without_production_is_no_silence() -> None:
    calendar = {
        "holidays": "china",
        "time_intervals": {"production": [{"days": ["workday"], "times": ["08:00-24:00"]}]},
    }
    known = Tables(workdays=Workdays((2026,), off=(date(2026, 11, 27),)))
    doors = Doors({**TWO_HOURS, "during": "production"}, known, calendar=calendar, site={"zone": "Asia/Shanghai"})
    doors.clock.advance(15 * HOUR)
    doors.start().heard("mes")  # 23:00 on Thursday; Friday is a day off
    (silent,) = await doors.until(5 * 24 * HOUR, every=60)
    assert silent.time == datetime(2026, 11, 30, 1, 0, tzinfo=UTC), "one hour on Thursday, one on Monday"
    assert silent.data["during"] == "production"


@run
async def test_a_lost_connection_and_its_return() -> None:
    doors = Doors(CONNECTED)
    doors.start()
    assert await doors.until(HOUR) == []
    doors.links["mes"] = False
    (lost,) = await doors.until(HOUR + 120)
    doors.links["mes"] = True
    (back,) = await doors.until(HOUR + 240)
    assert told([lost, back]) == [("disconnected", HOUR + 60), ("connected", HOUR + 130)]
    assert (lost.data["connection"], lost.labels["code"]) == ("alarms at k:9092", "disconnected")
    assert [one.labels["state"] for one in (lost, back)] == ["raise", "clear"]


@run
async def test_a_connection_of_one_door_is_enough() -> None:
    doors = Doors(CONNECTED)
    doors.start(linked=False)
    second = doors.start(linked=True)
    assert await doors.until(HOUR) == []
    await doors.stop(second)
    assert told(await doors.until(2 * HOUR)) == [("disconnected", HOUR + 60)]


@run
async def test_what_is_not_expected_any_more_is_forgotten() -> None:
    doors = Doors({**TWO_HOURS, "connected": True})
    doors.start()
    await doors.until(3 * HOUR)
    assert len(doors.topic.kept) == 4
    doors.configure(None)
    assert [one.type for one in await doors.until(4 * HOUR)] == ["andon.source.unwatched"], "of the silence alone"
    assert list(doors.topic.kept) == [b"doors"]
    doors.configure(TWO_HOURS)
    assert told(await doors.until(7 * HOUR)) == [("silent", 6 * HOUR + 10)], "it is waited for anew"


@pytest.mark.parametrize("saw", [True, False], ids=["both saw it", "one slept through it"])
@run
async def test_what_is_expected_once_more_is_waited_for_anew_whichever_door_heard_the_source(saw: bool) -> None:
    doors = Doors({**TWO_HOURS, "connected": True})
    door, other = doors.start(), doors.start()
    door.heard("mes")
    other.heard("mes")
    (first,) = await doors.until(3 * HOUR)
    assert told([first]) == [("silent", 2 * HOUR)]
    if not saw:
        doors.topic.doors.remove(other)
    doors.configure(None)
    ended = await doors.until(4 * HOUR)
    assert {event.type for event in ended} == {"andon.source.unwatched"}
    if not saw:
        doors.topic.doors.append(other)
    doors.configure(TWO_HOURS)
    (again,) = await doors.until(7 * HOUR)
    assert told([again]) == [("silent", 6 * HOUR + 10)]
    assert (again.id != first.id, "waiting_since" in again.data) == (True, True)


@run
async def test_what_was_heard_before_it_was_expected_is_no_sign_of_it() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    await doors.until(HOUR)
    door.heard("mes")
    doors.configure(None)
    await doors.until(2 * HOUR)
    door.heard("mes")
    await doors.until(5 * HOUR)
    doors.configure(TWO_HOURS)
    assert told(await doors.until(8 * HOUR)) == [("silent", 7 * HOUR + 10)]


@run
async def test_what_a_source_has_said_counts_whatever_else_is_expected_of_it_from_now_on() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    await doors.until(HOUR)
    door.heard("mes")
    doors.configure({**TWO_HOURS, "connected": True})
    assert told(await doors.until(4 * HOUR)) == [("silent", 3 * HOUR)]


@run
async def test_what_was_told_ends_when_it_is_not_expected_any_more() -> None:
    doors = Doors(TWO_HOURS)
    doors.start()
    doors.start()
    (silent,) = await doors.until(3 * HOUR)
    doors.configure(None)
    doors.topic.away = True
    assert await doors.until(3.5 * HOUR) == []
    doors.topic.away = False
    over = await doors.until(4 * HOUR)
    assert {one.id for one in over} == {silent.id.replace("raise", "v1")}, "whichever door says it, and however often"
    assert over[0] == over[-1]
    assert over[0].labels == {**silent.labels, "state": "clear"}
    assert (over[0].subject, over[0].data) == (silent.subject, {"source": "mes", "version": 1})
    assert await doors.until(6 * HOUR) == []


@run
async def test_what_is_heard_and_told_is_not_told_again_when_it_is_no_longer_expected() -> None:
    doors = Doors(TWO_HOURS)
    door = doors.start()
    assert len(await doors.until(3 * HOUR)) == 1
    door.heard("mes")
    assert told(await doors.until(3.5 * HOUR)) == [("heard", 3 * HOUR)]
    doors.configure(None)
    assert await doors.until(4 * HOUR) == []


def test_nothing_expected_writes_nothing() -> None:
    async def main() -> None:
        doors = Doors(TWO_HOURS)
        doors.configure(None)
        door = doors.start()
        work = asyncio.create_task(door.run())
        waiting = asyncio.create_task(door.wanted())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert doors.clock.sleepers == 1
        door.heard("mes")
        await door.close()
        assert (doors.topic.kept, waiting.done()) == ({}, False)
        doors.configure(TWO_HOURS)
        await waiting
        work.cancel()

    asyncio.run(main())


@run
async def test_what_stands_in_the_topic_and_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    doors = Doors(TWO_HOURS)
    odd = [b"seen", b"seen/odd/mes", b"\xff/event/mes", b"seen/event/mes", b"doors", b"lost/event/mes"]
    doors.topic.kept = dict.fromkeys(odd, b"{]")
    doors.start()
    assert told(await doors.until(3 * HOUR)) == [("silent", 2 * HOUR + 10)]
    assert caplog.text.count("not readable") == len(odd)


def test_a_short_time_has_a_short_beat() -> None:
    async def main() -> list[float]:
        return [Doors({"event_within": text, "receiver": "it"}).start().beat_s for text in ("2h", "1m", "30s", "1s")]

    assert asyncio.run(main()) == [10.0, 10.0, 5.0, 0.5]


# ---- whatever happens

_STEP = 10.0
_WITHIN = 600.0
_steps = st.lists(
    st.tuples(st.sampled_from(["none", "first", "other", "stop", "outage"]), st.integers(1, 90)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(_steps)
@example([("none", 1), ("none", 60), ("other", 66)])
def test_whatever_happens_silence_is_told_when_it_is_one(steps: list[tuple[str, int]]) -> None:
    """Against a count kept beside: seconds in which some door had Kafka, since the last event."""

    async def main() -> None:
        doors = Doors({"event_within": "10m", "receiver": "it"})
        pair = [doors.start(), doors.start()]
        quiet, silent = 0.0, False
        await doors.until(_STEP)
        for what, length in steps:
            if what in ("first", "other"):
                pair[what == "other"].heard("mes")
                quiet, silent = 0.0, False
            elif what == "stop":
                for door in pair:
                    await doors.stop(door)
                doors.clock.advance(61 + length * _STEP)
                pair = [doors.start(), doors.start()]
            doors.topic.away = what == "outage"
            before = doors.clock.now() - EIGHT
            events = await doors.until(before + length * _STEP)
            if what == "outage":
                assert not events
                doors.topic.away = False
                quiet += 0.0 if length > 6 else length * _STEP
                continue
            quiet += length * _STEP
            raised = [event for event in events if event.labels["state"] == "raise"]
            if what in ("first", "other"):
                # A silence is told some seconds late: it may have been one when the event that ended it came.
                raised = [event for event in raised if event.time.timestamp() > EIGHT + before]
            if quiet <= _WITHIN - 2 * _STEP or silent:
                assert not raised
            if quiet >= _WITHIN + 6 * _STEP and not silent:
                assert len(raised) == 1
            silent = silent or bool(raised)
        states = [event.labels["state"] for event in doors.topic.events]
        assert states == ["raise", "clear"] * (len(states) // 2) + ["raise"] * (len(states) % 2)

    asyncio.run(main())
