"""A simulated day in which a group gets more than its robots may say: the legal rate is used, and never exceeded.

The clock is the test's, the store is in memory, and the vendor counts as it says it does: 20 calls of a robot in any 60
seconds, by its own clock, at the moment a call arrives. The process is killed some times, with calls under way.
"""

from __future__ import annotations

import heapq
import random
from itertools import count
from typing import Any

from andon.config.receivers import Receiver
from andon.core.work import Write
from andon.egress.channels.wecom_robot import WecomRobot
from andon.egress.receivers import policy_of
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from andon.runtime.metrics import Metrics
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.items import HOME, START, Said, ScriptedWork, record

DAY_S = 86_400.0
ALLOWED, PER_S = 20, 60.0
WAITING = 60
KILLS = 12
KEPT_S = 600.0
SLOWEST_S = 0.8  # from the call to its answer
SKEW_S = 0.5  # the vendor's clock runs up to so much faster or slower within a minute

CONFIG = WecomRobot.Config.model_validate({"keys": ["env:ROBOT"]})
POLICY = policy_of(Receiver.model_validate({"channel": "robot", "merge": "none"}), CONFIG)


class Vendor:
    """When each call arrived, by its own clock."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.arrived: list[float] = []

    def takes(self, at: float) -> None:
        self.arrived.append(at + self._chance.uniform(-SKEW_S, SKEW_S))

    def refused(self) -> int:
        """How many calls it would have thrown back."""
        times = sorted(self.arrived)
        return sum(b - a < PER_S for a, b in zip(times, times[ALLOWED:], strict=False))


class Day:
    """One process after the other on one store."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.vendor = Vendor(self.chance)
        self.store = MemoryDeskStore()
        self.now = START
        self.numbers = count(1)
        self._ends: list[tuple[float, int, Call]] = []
        self._order = count()
        self.lost = 0
        self._pruned = START
        self._start()

    def _start(self) -> None:
        work = ScriptedWork(POLICY)
        self.desk = Desk(work, deadline=15.0)
        self.desk.adopt(self.store.acquire(HOME, "day", self.now - work.looks_back()), self.now)
        self.intake = Intake(self.desk, work, Metrics(), "egress")

    def _kill(self) -> None:
        """What was under way arrives, and nobody is there to hear the answer."""
        self.lost += len(self._ends)
        self._ends.clear()
        self._start()

    def run(self) -> None:
        kills = sorted(self.chance.uniform(START, START + DAY_S) for _ in range(KILLS))
        while self.now < START + DAY_S:
            if kills and self.now >= kills[0]:
                kills.pop(0)
                self._kill()
            self._top_up()
            decision = self.desk.decide(self.now)
            self._commit(list(decision.writes.values()))
            for call in decision.calls:
                if self.desk.begins(call):
                    took = self.chance.uniform(0.05, SLOWEST_S)
                    self.vendor.takes(self.now + took * self.chance.random())
                    heapq.heappush(self._ends, (self.now + took, next(self._order), call))
            self._advance(decision.wake_at)

    def _advance(self, wake_at: float) -> None:
        """To the next thing that happens."""
        self.now = max(self.now, min([wake_at, self.now + 30.0, *(end for end, _, _ in self._ends[:1])]))
        writes = []
        while self._ends and self._ends[0][0] <= self.now:
            _, _, call = heapq.heappop(self._ends)
            if write := self.desk.ended(call, Success(), self.now):
                writes.append(write)
        self._commit(writes)
        if self.now > self._pruned + KEPT_S:
            self._pruned = self.now
            self.store.prune(self.now - KEPT_S, 1 << 30)

    def _top_up(self) -> None:
        missing = WAITING - len(self.desk.items)
        read = self.intake.read([self._record() for _ in range(missing)])
        writes, _ = self.intake.take(read, self.store.known(ids(read)), self.now)
        self._commit(list(writes.values()))

    def _record(self) -> Any:
        number = next(self.numbers)
        return record(number, Said(number, lane=f"M-{number % 7}"))

    def _commit(self, writes: list[Write]) -> None:
        """Stored, and at once published."""
        told = [number for write in writes for number, _ in write.notes]
        if writes:
            self.store.commit([*writes, Write(HOME, self.desk.epochs[HOME], published=max(told, default=None))])


def test_a_robot_says_all_it_may_and_nothing_is_thrown_back() -> None:
    day = Day(seed=20_261_126)
    day.run()
    assert day.vendor.refused() == 0
    assert day.lost > 0, "no kill hit a call that was under way"
    legal = ALLOWED * DAY_S / PER_S
    assert len(day.vendor.arrived) >= 0.95 * legal
