"""A round of every fault; `make soak` runs many of each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, inject
from tests.chaos.plants import COMMON
from tests.chaos.soak import EMPTY_ROUNDS
from tests.rig.plant import Plant

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("chaos")]

SEED = 20_261_122


def check(name: str, plant: Plant) -> None:
    """A round; another one, with other timing, when what was meant to be hit was not."""
    for number in range(EMPTY_ROUNDS):
        plant.mend()
        run = inject(name, plant, number, SEED)
        shown = "\n".join(run.violations[:20])
        assert not run.violations, f"{len(run.violations)} violations:\n{shown}\n{run.verdict.figures}"
        if not run.void:
            break
    assert not run.void
    assert run.injections > 0


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.need == COMMON and not fault.slow])
def test_nothing_is_lost_and_nothing_comes_twice_unmarked(name: str, plant: Plant) -> None:
    check(name, plant)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.need != COMMON and not fault.slow])
def test_a_plant_of_its_own(name: str, tmp_path: Path) -> None:
    kind, limits = FAULTS[name].need
    with kind(tmp_path / "own", **(limits or {})) as own:
        own.up()
        check(name, own)
    shutil.rmtree(tmp_path / "own")
