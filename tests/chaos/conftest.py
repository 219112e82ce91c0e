"""The plants of all faults, so that `make test` starts each once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.plants import COMMON, Plants
from tests.rig.plant import Plant


@pytest.fixture(scope="package")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plants]:
    with Plants(tmp_path_factory.mktemp("plants")) as plants:
        yield plants


@pytest.fixture
def plant(plants: Plants) -> Plant:
    """The common one, in order and by itself."""
    plants.keep(COMMON)
    return plants.of(COMMON)
