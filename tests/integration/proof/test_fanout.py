"""One event for 3,000 members is three deliveries and three calls; `make bench ONLY=fanout` makes 100,000 of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.bench_fanout import run

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("proof")]


def test_everybody_sees_one_event_once_by_as_few_calls_as_may_be(tmp_path: Path) -> None:
    found = run(tmp_path, groups=3, events=2)
    assert (found.calls, found.deliveries) == ([3.0, 3.0], [3.0, 3.0])
