"""The sum of a short run is right while the vendors fail; `make bench ONLY=conservation` makes a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.bench_conservation import Size, run

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("proof")]


def test_nothing_is_lost_while_robots_and_an_app_fail(tmp_path: Path) -> None:
    verdict = run(tmp_path, Size(events=1_200, robots=10, members=200, blocked=False, faulty_s=8.0, within_s=90.0))
    assert not verdict.violations, f"{verdict.violations[:10]}\n{verdict.figures}"
    assert min(verdict.figures[kind] for kind in ("delivered", "merged", "parked", "passed_over", "marked")) > 0
