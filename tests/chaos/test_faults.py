"""A round of every fault; `make soak` runs many of each."""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS, inject
from tests.chaos.plants import COMMON, Need, Plants
from tests.chaos.soak import EMPTY_ROUNDS
from tests.rig.clusterplant import ClusterPlant
from tests.rig.plant import Plant

pytestmark = pytest.mark.kafka

SEED = 20_261_122


def of(kind: type[Plant]) -> list[str]:
    """The faults of such plants; those of one plant beside each other, so that it is started once."""
    mine = sorted((str(fault.limits), name) for name, fault in FAULTS.items() if fault.kind is kind)
    return [name for _, name in mine]


def need(name: str) -> Need:
    """What a test starts for it: three nodes on a small disk do for all their faults, which write little here."""
    fault, small = FAULTS[name], FAULTS["F11"]
    return small.need if fault.kind is small.kind and not small.lacks() else fault.need


def check(name: str, plants: Plants) -> None:
    """A round; another one, with other timing, when what was meant to be hit was not."""
    fault = FAULTS[name]
    if reason := fault.lacks():
        pytest.skip(reason)
    plants.keep(COMMON, need(name))
    for number in range(EMPTY_ROUNDS):
        run = inject(name, plants.of(need(name)), number, SEED)
        shown = "\n".join(run.violations[:20])
        assert not run.violations, f"{len(run.violations)} violations:\n{shown}\n{run.verdict.figures}"
        if not run.void:
            break
    assert not run.void
    assert run.injections > 0


@pytest.mark.xdist_group("chaos")
@pytest.mark.parametrize("name", of(Plant))
def test_nothing_is_lost_and_nothing_comes_twice_unmarked(name: str, plants: Plants) -> None:
    check(name, plants)


@pytest.mark.xdist_group("brokers")
@pytest.mark.parametrize("name", of(ClusterPlant))
def test_nor_by_three_nodes(name: str, plants: Plants) -> None:
    check(name, plants)
