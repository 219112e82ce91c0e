"""Every target for a number of runs: nothing but its named refusals comes out of it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

RUNS, LONG = 3_000, 300_000
WITHIN_S = 900

pytestmark = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has no wheel for this machine: nothing is fuzzed"
)


@pytest.mark.parametrize("runs", [RUNS, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_are_refused_in_so_many_words(name: str, runs: int, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        name,
        str(tmp_path),
        f"-runs={runs}",
        "-seed=1",
        "-print_final_stats=1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    (made,) = re.findall(r"number_of_executed_units: (\d+)", done.stderr)
    assert int(made) >= runs
