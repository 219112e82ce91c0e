"""A plant's names and ports."""

from __future__ import annotations

from pathlib import Path

from tests.rig.plant import Plant
from tests.rig.ports import free_port


def test_a_name_keeps_its_port_and_takes_no_other(tmp_path: Path) -> None:
    """A soak starts processes by the thousand, and a test process has some hundred ports."""
    one = Plant(tmp_path)
    given = {one._port(name) for name in ("egress", "egress-1", "egress") for _ in range(500)}
    assert len(given) == 2
    assert free_port() not in given
