"""The model of the desk over real stores: whatever is played, SQLite and PostgreSQL answer as the one in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Connection

from andon.core.event import Home
from andon.core.work import Closed, Holding, Known, Write
from andon.store.desk import SqlDeskStore
from andon.store.memory import MemoryDeskStore
from andon.store.tables import metadata
from tests.contract.desk_stores.conftest import entry
from tests.laws.test_desk_model import DeskMachine
from tests.unit.desk.items import HOME, START, item

EXAMPLES = 8


class Twin(MemoryDeskStore):
    """A store in memory that asks a real one the same, and has the same answers."""

    def __init__(self, real: SqlDeskStore) -> None:
        super().__init__()
        self._real = real

    def acquire(self, home: Home, owner: str, since: float, people: float | None = None) -> Holding:
        told = super().acquire(home, owner, since, people)
        assert comparable(told) == comparable(self._real.acquire(home, owner, since, people))
        return told

    def known(self, ids: Iterable[UUID]) -> Mapping[UUID, Known]:
        asked = list(ids)
        told = super().known(asked)
        assert told == self._real.known(asked)
        return told

    def commit(self, writes: Sequence[Write]) -> set[tuple[Home, int]]:
        moved = self._real.commit(writes)
        assert moved == super().commit(writes)
        return moved


def comparable(holding: Holding) -> dict[str, Any]:
    """A holding as a value; entries that began in one moment have no order among each other."""
    found: dict[str, Any] = msgspec.to_builtins(holding)
    for one in found["items"]:
        one["entries"].sort(key=lambda entry: entry["number"])
    found["recent"].sort(key=repr)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDeskStore]:
    sqlite = request.param == "sqlite"
    store = SqlDeskStore(f"sqlite:///{tmp_path}" if sqlite else request.getfixturevalue("postgres_url"), "model")
    yield store
    store.close()


def test_a_real_store_answers_as_the_model_does(real: SqlDeskStore) -> None:
    class Machine(DeskMachine):
        def __init__(self) -> None:
            super().__init__()
            real._database.run(emptied)
            self.world.store = Twin(real)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("ANDON_MODEL_EXAMPLES", EXAMPLES)),
            stateful_step_count=50,
            derandomize="CI" in os.environ,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_both_forget_in_whose_queue_an_attempt_of_an_earlier_hop_was(real: SqlDeskStore) -> None:
    """A delivery that was handed on within its partition is another receiver's, and so are the attempts since."""
    store = Twin(real)
    store.acquire(HOME, "x", 0.0)
    first, onward = item(1, queue="robot"), item(1, queue="app", domain="corp", hop=1)
    store.commit([Write(HOME, 1, taken=[first], began=[entry(first)])])
    assert [one.queue for one in store.acquire(HOME, "x", 0.0).recent] == ["robot"]
    store.commit([Write(HOME, 2, closed=[Closed(first.id, b"{}", START)])])
    store.commit([Write(HOME, 2, taken=[onward], began=[entry(onward, started=START + 1)])])
    assert [(one.domain, one.queue) for one in store.acquire(HOME, "x", 0.0).recent] == [("robot", ""), ("corp", "app")]


def emptied(connection: Connection) -> None:
    for table in metadata.tables.values():
        if table.name != "schema_version":
            connection.execute(table.delete())
