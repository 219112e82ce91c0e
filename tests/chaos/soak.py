"""Many injections of every fault: `make soak [FAULT=F03,F12] [ROUNDS=4] [SEED=1]`.

`ROUNDS` is the number of injections wanted of each fault (some want a multiple), whatever number of them one round
carries. A soak goes over the faults of the common plant in four parts, each with a quarter of the injections, so that
what happens to its memory with time is not what one fault does to it; plants that only some faults need come after
them. Each round is appended to `$SOAK_OUT` (default `.bench/soak.jsonl`) as one line of JSON; a stopped soak goes
on where it was, and so does one of which more is wanted. Ends with the table, which also stands in `soak.md` beside it,
and with exit 1 if any invariant was violated. `python -m tests.chaos.soak --table` prints the table alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults import FAULTS, inject
from tests.chaos.plants import COMMON, Plants
from tests.chaos.table import COMPARED, PARTS, Line, markdown, sound

EMPTY_ROUNDS = 3


class Soak:
    """`wanted` injections of each of the faults `names`; `out` has what was done already."""

    def __init__(self, names: Sequence[str], wanted: int, seed: int, out: Path) -> None:
        # Those that need the same plant one after the other: to start one takes as long as a round.
        self._needs = [COMMON]
        for name in names:
            if (need := FAULTS[name].need) not in self._needs:
                self._needs.append(need)
        self._names = sorted(names, key=lambda name: self._needs.index(FAULTS[name].need))
        self._wanted = wanted
        self._seed = seed
        self._out = out
        self._parts = min(PARTS, wanted)
        self.lines = [one for one in read(out) if one.seed == seed and one.fault in names]

    def run(self) -> None:
        with Plants() as plants:
            for part in range(1, self._parts + 1):
                for name in self._names:
                    plants.keep(FAULTS[name].need)
                    self._part(name, part, plants)

    def _goal(self, name: str, part: int = PARTS) -> int:
        """How many injections there are to be when this part is over."""
        common = FAULTS[name].need == COMMON
        share = min(1.0, part / self._parts) if common else float(part >= self._parts)
        return math.ceil(self._wanted * FAULTS[name].times * share)

    def _done(self, name: str) -> int:
        return sum(one.injections for one in self.lines if one.fault == name)

    def _part(self, name: str, part: int, plants: Plants) -> None:
        """Rounds until there are as many injections as this part is to end with, or three came to nothing; of the
        common plant's one at least in the two parts whose memory is compared."""
        empty = 0
        compared = part in COMPARED and FAULTS[name].need == COMMON
        while empty < EMPTY_ROUNDS and (
            (wanted := self._goal(name, part) - self._done(name)) > 0
            or (compared and not any(one.fault == name and one.part == part for one in self.lines))
        ):
            line = self._round(name, part, plants, max(1, wanted))
            empty += not line.injections
            self.lines.append(line)
            with self._out.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(line._asdict(), ensure_ascii=False))
            self._tell(line)

    def _round(self, name: str, part: int, plants: Plants, wanted: int) -> Line:
        number = 1 + max((one.round for one in self.lines if one.fault == name), default=-1)
        began = time.time()
        try:
            plant = plants.of(FAULTS[name].need)
            run = inject(name, plant, number, self._seed, wanted=wanted)
        except Exception as error:  # noqa: BLE001 - what breaks a round must not end the soak
            found = [f"the round broke: {type(error).__name__}: {error}"]
            plants.drop(FAULTS[name].need)
            return Line(name, self._seed, number, part, 0, found, [], 0.0, {}, {}, time.time() - began)
        line = Line(
            name,
            self._seed,
            number,
            part,
            0 if run.void else run.injections,
            run.violations + run.late,
            run.void,
            run.recovery_s,
            plant.peak_mb() if FAULTS[name].need == COMMON else {},
            run.verdict.figures,
            time.time() - began,
        )
        if line.violations:
            plants.drop(FAULTS[name].need)  # what one fault has broken must not be held against the next
        return line

    def _tell(self, line: Line) -> None:
        left = self._seconds_left() / 60
        done = f"{self._done(line.fault)}/{self._goal(line.fault)} injections"
        found = f"{len(line.violations)} violations" + (f", {line.void[0]}" if line.void else "")
        print(
            f"part {line.part}  {line.fault:14} {done:20} {found}, recovered in {line.recovery_s:.1f} s, "
            f"lasted {line.lasted_s:.0f} s; about {left:.0f} min left",
            flush=True,
        )
        for one in line.violations[:5]:
            print(f"    {one}", flush=True)

    def _seconds_left(self) -> float:
        """What is open, at the pace so far; a fault that has not been seen yet takes as long as the others."""
        paces: dict[str, float] = {}
        for name in self._names:
            mine = [one for one in self.lines if one.fault == name]
            if done := sum(one.injections for one in mine):
                paces[name] = sum(one.lasted_s for one in mine) * self._goal(name) / done
        usual = sum(paces.values()) / len(paces) if paces else 0.0
        shares = {name: max(0.0, 1 - self._done(name) / self._goal(name)) for name in self._names}
        return sum(share * paces.get(name, usual) for name, share in shares.items())


def read(out: Path) -> list[Line]:
    """The rounds that were written down; a line that was cut off is none."""
    if not out.exists():
        return []
    return [Line(**json.loads(text)) for text in out.read_text(encoding="utf-8").split("\n") if text.endswith("}")]


def _can_be(name: str) -> bool:
    """Whether this machine has what the fault needs; says so if not."""
    if reason := FAULTS[name].lacks():
        print(f"{name} is left out: {reason}", flush=True)
    return not reason


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--fault", default="", help="one name, or several with commas; all when empty")
    parser.add_argument("--rounds", type=int, default=4, help="injections wanted of each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table of what was done, and do nothing")
    options = parser.parse_args(arguments)
    names = options.fault.split(",") if options.fault else list(FAULTS)
    if unknown := sorted(set(names) - set(FAULTS)):
        print(f"there is no fault {unknown[0]}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    if not options.table:
        names = [name for name in names if _can_be(name)]
    out = Path(os.environ.get("SOAK_OUT") or ".bench/soak.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)  # stages that run in this process tell of every fault
    soak = Soak(names, options.rounds, options.seed, out)
    if not options.table:
        soak.run()
    text = markdown(soak.lines)
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0 if sound(soak.lines) else 1


if __name__ == "__main__":
    sys.exit(main())
