"""What a desk does by the clock, over some hours that take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from andon.core.event import Home
from andon.core.work import Note, Write
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.gauges import DeskGauges
from andon.runtime.desk.meter import Quota
from andon.runtime.desk.standing import Standing
from andon.runtime.desk.upkeep import Upkeep

START = 1_800_000_000.0
DAY_S = 86_400.0
HOME = Home("andon.deliveries", 3)
NOTE = Note("andon.events", b"robot", b"{}")
QUOTA = Quota(total=100, left=10, begun=START, out=START + 60)


class Hours:
    """A clock that runs as it is waited on, and ends the test after `seconds`. `back` are the steps it makes backwards
    at those times."""

    def __init__(self, seconds: float, back: Mapping[float, float] = {}) -> None:
        self.at = START
        self._end = START + seconds
        self._back = dict(back)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.at -= self._back.pop(self.at - START, 0.0)
        if self.at > self._end:
            raise asyncio.CancelledError


class Kept:
    """In the place of everything the upkeep asks."""

    def __init__(self, old: int = 0) -> None:
        self.old = old
        self.epochs = {HOME: 7}
        self.refreshed: list[float] = []
        self.repeated: list[float] = []
        self.pruned: list[tuple[float, int]] = []
        self.looked: list[float] = []
        self.written: list[Write] = []
        self.noted: list[Note] = []
        self.set_back: list[float] = []
        self.low = False
        self.passed = 0

    def quotas(self, _now: float) -> Sequence[tuple[Home, str, Quota]]:
        return [(HOME, "robot", QUOTA)]

    def note(self, _write: Write, notes: Sequence[Note]) -> None:
        self.noted.extend(notes)

    def refresh(self, now: float) -> None:
        self.refreshed.append(now)

    async def pass_marks(self) -> None:
        self.passed += 1

    def repeat(self) -> None:
        self.repeated.append(self.refreshed[-1])

    async def prune(self, before: float, most: int) -> int:
        gone = min(self.old, most)
        self.old -= gone
        self.pruned.append((before, gone))
        return gone

    def watch(self, channel: str, quota: Quota, now: float) -> Sequence[Note]:
        assert (channel, quota) == ("robot", QUOTA)
        self.looked.append(now)
        return [NOTE] if self.low else []

    def keep(
        self, seconds: float, looks_back: float = 0.0, *, watched: bool = True, back: Mapping[float, float] = {}
    ) -> None:
        clock: Any = Hours(seconds, back)
        parts = cast("Desk", self), cast("Standing", self), cast("DeskGauges", self)
        watch = self.watch if watched else None
        upkeep = Upkeep(
            *parts,
            clock,
            pass_marks=self.pass_marks,
            looks_back=lambda: looks_back,
            prune=self.prune,
            submit=self.written.append,
            set_back=self.set_back.append,
            watch=watch,
        )
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(upkeep.run())


def test_gauges_each_second_quotas_each_minute_and_offsets_each_hour() -> None:
    kept = Kept()
    kept.keep(2.5 * 3_600)
    assert len(kept.refreshed) == 9_000
    assert 145 <= len(kept.looked) <= 150
    assert [round((at - START) / 3_600) for at in kept.repeated] == [1, 2]
    assert kept.passed == 2


def test_what_ended_a_month_ago_is_forgotten_in_portions_and_all_of_it() -> None:
    kept = Kept(old=2_500)
    kept.keep(3_700)
    assert [gone for _, gone in kept.pruned] == [1_000, 1_000, 500]
    assert {round((START - before) / DAY_S) for before, _ in kept.pruned} == {30}


def test_nothing_is_forgotten_that_a_limit_still_counts() -> None:
    kept = Kept()
    kept.keep(3_700, looks_back=31 * DAY_S)
    (before, _), *_ = kept.pruned
    assert kept.repeated[0] - before == 31 * DAY_S + 3_600, "an attempt counts from its end"


def test_a_quota_that_runs_low_is_told_by_the_home_that_counts_it() -> None:
    kept = Kept()
    kept.low = True
    kept.keep(70)
    assert [(one.home, one.epoch) for one in kept.written] == [(HOME, 7)]
    assert kept.noted == [NOTE]
    kept = Kept()
    kept.low = True
    kept.keep(3_700, watched=False)
    assert kept.written == []


def test_a_clock_that_goes_back_is_told_with_by_how_much_it_is_behind() -> None:
    kept = Kept()
    kept.keep(102, back={100.0: 8.0})
    assert kept.set_back == [], "that much is waited out"
    kept = Kept()
    kept.keep(101, back={100.0: 8 * 3_600.0, 101.0 - 8 * 3_600.0: -1e9})
    assert kept.set_back == [8 * 3_600.0 - 1.0]
    kept = Kept()
    kept.keep(102, back={100.0: 7.5, 93.5: 7.0, 87.5: -1e9})
    assert kept.set_back == [12.5], "in two steps"
