"""What all tests share: a real Kafka and a real PostgreSQL per test process, started by the first test that asks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.rig.kafka import Kafka, docker_kafka, embedded_kafka, unavailable
from tests.rig.postgres import Postgres, running_postgres

PORT = 27_000
LONGEST_NAME = 200

# A shell starts what runs in its background with Ctrl-C ignored, and every program under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no defect of what a property is about; what has a bar of time has a test of its own.
settings.register_profile("andon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("andon")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kafka",
        choices=("embedded", "docker"),
        default="embedded",
        help="the Kafka that tests run on: Andon's own node, or a container where Docker runs",
    )
    parser.addoption("--long", action="store_true", help="also what takes minutes (`make long` runs it alone)")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A case that is megabytes long is named by its size: every process of a parallel run is sent all names."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        return f"{argname} of {len(val)}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    later = pytest.mark.skip(reason="takes minutes: `make long` runs it")
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(later)
    # What takes minutes in one process comes first, and small files fill up behind: the other way round, one process
    # would be left with the last of them, and the others with nothing.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        # One file in one process: what it starts is started once, and thousands of tests are not handed out one by one.
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.location[0]))


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka with Andon's topics, of this test process alone; it leaves no process and no file behind."""
    yield from _begun(request, tmp_path_factory, PORT)


@pytest.fixture(scope="module")
def empty_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka of one module, on which nothing was ever created."""
    yield from _begun(request, tmp_path_factory, PORT + 1_000, topics=False)


@pytest.fixture(scope="module")
def own_kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka that the tests of one module may freeze, kill and restart."""
    if request.config.getoption("--kafka") == "docker":
        pytest.skip("signals reach the processes of this machine only: the embedded node is needed")
    yield from _begun(request, tmp_path_factory, PORT + 500)


def _begun(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, port: int, *, topics: bool = True
) -> Iterator[Kafka]:
    if request.config.getoption("--kafka") == "docker":
        if reason := unavailable():
            pytest.skip(reason)
        yield from docker_kafka(topics=topics)
    else:
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        yield from embedded_kafka(folders.mktemp("kafka"), port + 20 * worker, topics=topics)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL of this test process alone; it leaves no process and no file behind."""
    yield from running_postgres()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The address of a new, empty database."""
    with postgres.database() as name:
        yield postgres.url(name)
