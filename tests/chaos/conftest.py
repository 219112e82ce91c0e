"""One plant for all faults that leave it whole, so that `make test` starts Kafka once for them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.rig.plant import SERVICES, Plant


@pytest.fixture(scope="package")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    home = tmp_path_factory.mktemp("plant")
    with Plant(home) as plant:
        plant.up(*SERVICES)
        yield plant
    shutil.rmtree(home)
