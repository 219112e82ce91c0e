"""One JSON line per figure, and the median of interleaved runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median


def report(name: str, values: list[float], unit: str, bar: str = "") -> float:
    """Writes the median of the runs to `$BENCH_OUT` (default .bench/results.jsonl) and to the terminal."""
    value = round(median(values), 4)
    line = {"name": name, "value": value, "unit": unit, "runs": [round(one, 4) for one in values], "bar": bar}
    out = Path(os.environ.get("BENCH_OUT", ".bench/results.jsonl"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
    return value


def ratio(name: str, ours: list[float], bare: list[float], bar: str) -> float:
    """Reports the median of the pairwise ratios ours / bare."""
    return report(name, [one / other for one, other in zip(ours, bare, strict=True)], "ratio", bar)
