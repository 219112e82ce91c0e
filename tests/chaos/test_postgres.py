"""A real plant whose desk keeps its work in PostgreSQL."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.chaos import postgres
from tests.chaos.round import Round
from tests.rig.hosts import unable
from tests.rig.plant import SERVICES, Plant
from tests.rig.postgres import Postgres, running_postgres
from tests.rig.postgres_plant import PostgresPlant

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that the faults may stop and kill."""
    yield from running_postgres()


@pytest.fixture(scope="module")
def plant(own_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    home = tmp_path_factory.mktemp("plant")
    with PostgresPlant(home, own_postgres) as plant:
        plant.up(*SERVICES)
        yield plant
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def migrated(plant: Plant) -> Round:
    """What came of moving the plant's store from SQLite; from here on it is PostgreSQL."""
    return played(postgres.migrated, plant)


def test_a_desk_goes_on_where_it_was_when_its_store_was_moved(migrated: Round) -> None:
    check(migrated)


@pytest.mark.long
def test_a_server_that_is_restarted_and_killed_loses_and_doubles_nothing(plant: Plant, migrated: Round) -> None:
    check(played(postgres.server_gone, plant))


@pytest.mark.long
def test_two_processes_share_the_work_and_one_is_killed(plant: Plant, migrated: Round) -> None:
    check(played(postgres.shared, plant))


@pytest.mark.long
def test_two_hosts_share_the_work_and_no_receiver(plant: Plant, migrated: Round) -> None:
    if reason := unable():
        pytest.skip(reason)
    check(played(postgres.two_hosts, plant))


def played(fault: Callable[[Round], None], plant: Plant) -> Round:
    plant.mend()
    plant.begin()
    run = Round(plant, random.Random(fault.__name__), f"pg-{fault.__name__}")
    fault(run)
    return run


def check(run: Round) -> None:
    shown = "\n".join(run.verdict.violations[:20])
    assert not run.verdict.violations, f"{len(run.verdict.violations)} violations:\n{shown}\n{run.verdict.figures}"
    assert run.injections > 0
