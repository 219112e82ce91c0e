"""What one round of a fault is given, and what it comes to."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.rig.client import Sent, wait_for
from tests.rig.plant import Plant
from tests.rig.record import Record
from tests.rig.verdict import Verdict

RECOVERY_S = 30.0
VOID = "void"


@dataclass
class Round:
    """Some injections of a fault into a running plant, and one verdict. `prefix` is unique: the events of this round
    and no others. After each injury the plant must work again within `recovery_bound_s`.

    A sentence that begins with "void" says that the fault was not hit: then nothing was shown, and nothing broken.
    """

    plant: Plant
    rng: random.Random
    prefix: str
    injuries: list[float] = field(default_factory=list)
    injections: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    recoveries: list[float] = field(default_factory=list)
    recovery_bound_s: float = RECOVERY_S
    missed: list[str] = field(default_factory=list)
    wanted: int = 0
    """How many injections a soak still wants of it; 0 in a test."""

    @property
    def soak(self) -> bool:
        return self.wanted > 0

    def turns(self, most: int) -> range:
        """How often a round does its injection: once in a test, which has little time."""
        return range(max(1, min(most, self.wanted)))

    def rate(self, per_s: float) -> float:
        """Events a second: in a test a third, where each fault would take its core from all other tests."""
        return per_s if self.soak else per_s / 3

    def expect(self, kept: object, sentence: str) -> None:
        self.verdict.expect(kept, sentence)

    def in_time(self, kept: object, sentence: str) -> None:
        """Like `expect`, for a bar of time, which a soak judges and a test does not."""
        if not kept:
            self.missed.append(sentence)

    @property
    def violations(self) -> list[str]:
        return [one for one in self.verdict.violations if not one.startswith(VOID)]

    @property
    def void(self) -> list[str]:
        """Why the round shows nothing; empty when it does."""
        return [one for one in self.verdict.violations if one.startswith(VOID)]

    def injured(self, at: float) -> None:
        """Something was broken at this moment."""
        self.injuries.append(at)
        self.injections += 1

    def pause(self, low: float, high: float) -> None:
        """Random timing is part of a fault."""
        time.sleep(self.rng.uniform(low, high))

    def delivers_again(self, sent: Sequence[Sent], since: float, within_s: float = 90.0) -> list[str]:
        """Returns once something that was accepted after `since` has ended: what is broken before that is one injection
        with what was broken last, and nobody could tell how long each took. Services that left meanwhile are started
        again, as their supervisor does; their names."""
        restarted: list[str] = []

        def ended() -> bool:
            restarted.extend(self.plant.revive())
            late = {one.id for one in sent if one.accepted and one.accepted > since}
            return any(event in late for event, _ in self.plant.case(self.prefix, sent).ended())

        self.expect(wait_for(ended, within_s, every_s=0.3), "nothing is delivered any more")
        return restarted

    def judge(self, sent: Sequence[Sent], within_s: float = 90.0) -> Record:
        """Waits for the end of everything and holds the standing invariants against it."""
        found = self.plant.verdict(self.prefix, sent, within_s)
        self.verdict.violations += found.violations
        self.verdict.figures |= found.figures
        record = self.plant.record()
        self.recoveries = [_recovery(at, sent, record) for at in self.injuries]
        return record

    @property
    def recovery_s(self) -> float:
        """The worst of them."""
        return max(self.recoveries, default=0.0)

    @property
    def late(self) -> list[str]:
        """Each injection after which the plant needed longer, and each bar of time that was missed. Judged by a soak; a
        test may share its machine."""
        took = enumerate(self.recoveries, 1)
        late = [f"I7: it worked again {s:.1f} s after injection {n}" for n, s in took if s > self.recovery_bound_s]
        return late + self.missed


def _recovery(at: float, sent: Sequence[Sent], record: Record) -> float:
    """Seconds from an injury until the first event that was accepted after it reached the sink; 0 when none was."""
    later = {one.id for one in sent if one.accepted and one.accepted > at}
    return min((one.at - at for one in record.effects if one.id in later), default=0.0)
