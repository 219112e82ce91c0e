"""From the start of `andon up --demo`, with the environment and caches present, to the first delivered notice."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import report

RUNS = 3


def bench() -> None:
    values = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
            summary = Path(name) / "summary.json"
            command = [sys.executable, "-m", "andon.cli.main", "up", "--demo", "--for", "5s", "--summary", str(summary)]
            subprocess.run([*command, "--data", f"{name}/data"], check=False, capture_output=True, timeout=240)
            values.append(float(json.loads(summary.read_text())["first_delivery_s"]))
    report("first_delivery_s", values, "s", "<= 15")
