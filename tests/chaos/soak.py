"""Many rounds of every fault: `python -m tests.chaos.soak`, by way of `make soak [FAULT=F03] [ROUNDS=20] [SEED=1]`.

Each round is appended to `$SOAK_OUT` (default `.bench/soak.jsonl`) as one line of JSON; a stopped soak goes on where
it was. Ends with a table and with exit 1 if any invariant was violated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults import FAULTS, inject
from tests.rig.plant import Plant

COLUMNS = ("fault", "rounds", "injections", "violations", "worst recovery s", "bound (95 %)")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--fault", default="", help="one name, or several with commas; all when empty")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    names = options.fault.split(",") if options.fault else list(FAULTS)
    if unknown := sorted(set(names) - set(FAULTS)):
        print(f"there is no fault {unknown[0]}; there are {', '.join(FAULTS)}", file=sys.stderr)
        return 2
    out = Path(os.environ.get("SOAK_OUT") or ".bench/soak.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        done = {one["round"] for one in _lines(out) if (one["fault"], one["seed"]) == (name, options.seed)}
        _rounds(name, [n for n in range(options.rounds) if n not in done], options.seed, out)
    return _table([one for one in _lines(out) if one["fault"] in names and one["seed"] == options.seed])


def _rounds(name: str, numbers: Sequence[int], seed: int, out: Path) -> None:
    if not numbers:
        return
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    broken = False
    try:
        with Plant(home, **(FAULTS[name].limits or {})) as plant:
            for number in numbers:
                plant.mend()
                began = time.time()
                run = inject(name, plant, number, seed)
                line = {
                    "fault": name,
                    "seed": seed,
                    "round": number,
                    "injections": run.injections,
                    "violations": run.verdict.violations,
                    "recovery_s": run.recovery_s,
                    "figures": run.verdict.figures,
                    "lasted_s": time.time() - began,
                }
                broken = broken or bool(run.verdict.violations)
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                print(
                    f"{name} {number}: {len(run.verdict.violations)} violations, {line['lasted_s']:.0f} s", flush=True
                )
    finally:
        if broken:
            print(f"what is left of it is in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _lines(out: Path) -> list[dict[str, Any]]:
    if not out.exists():
        return []
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _table(lines: Sequence[dict[str, Any]]) -> int:
    rows = [COLUMNS]
    for name in dict.fromkeys(one["fault"] for one in lines):
        mine = [one for one in lines if one["fault"] == name]
        broken = sum(1 for one in mine if one["violations"])
        bound = f"{min(1.0, 3 / len(mine)):.0%}" if not broken else ""
        worst = max(one["recovery_s"] for one in mine)
        injections = sum(one["injections"] for one in mine)
        rows.append((name, str(len(mine)), str(injections), str(broken), f"{worst:.1f}", bound))
    widths = [max(len(row[n]) for row in rows) for n in range(len(COLUMNS))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 1 if any(one["violations"] for one in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
