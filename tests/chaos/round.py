"""What one round of a fault is given, and what it comes to."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.rig.client import Sent
from tests.rig.plant import Plant
from tests.rig.record import Record
from tests.rig.verdict import Verdict


@dataclass
class Round:
    """One injection of a fault into a running plant. `prefix` is unique: the events of this round and no others."""

    plant: Plant
    rng: random.Random
    prefix: str
    injuries: list[float] = field(default_factory=list)
    injections: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    recovery_s: float = 0.0

    def expect(self, kept: object, sentence: str) -> None:
        self.verdict.expect(kept, sentence)

    def injured(self, at: float) -> None:
        """Something was broken at this moment."""
        self.injuries.append(at)
        self.injections += 1

    def pause(self, low: float, high: float) -> None:
        """Random timing is part of a fault."""
        time.sleep(self.rng.uniform(low, high))

    def judge(self, sent: Sequence[Sent], within_s: float = 90.0) -> Record:
        """Waits for the end of everything and holds the standing invariants against it."""
        found = self.plant.verdict(self.prefix, sent, within_s)
        self.verdict.violations += found.violations
        self.verdict.figures |= found.figures
        record = self.plant.record()
        self.recovery_s = max((_recovery(at, sent, record) for at in self.injuries), default=0.0)
        return record


def _recovery(at: float, sent: Sequence[Sent], record: Record) -> float:
    """Seconds from an injury until the first event that was accepted after it reached the sink."""
    later = {one.id for one in sent if one.accepted and one.accepted > at}
    return min((one.at - at for one in record.effects if one.id in later), default=0.0)
