"""Upgrade and migration of a desk's store: alone, whole, and never back to what is old."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Engine, text

from andon.core.reason import Reason
from andon.core.work import Closed, Holding, Note, StoreFailure, Write
from andon.store import postgresql, sqlite, transfer, upkeep
from andon.store.database import Database
from andon.store.desk import SqlDeskStore
from andon.store.migrations import revisions
from andon.store.tables import SCHEMA_VERSION, about, metadata
from tests.contract.desk_stores.conftest import entry
from tests.unit.desk.items import HOME, OTHER, START, item

SILENT: transfer.Progress = lambda _table, _done, _whole: None  # noqa: E731


@pytest.fixture
def bare(url: str) -> Iterator[Engine]:
    """The desk's database without any table."""
    if url.startswith("sqlite:"):
        engine = sqlite.sqlite_engine(url, "desk")
    else:
        engine = postgresql.postgres_engine(url, "desk")
        with engine.begin() as connection:
            postgresql.prepare(connection, "desk")
    yield engine
    engine.dispose()


def first_schema(connection: Connection) -> None:
    """What the first version of Andon made, with a lease."""
    with Operations.context(MigrationContext.configure(connection)):
        revisions()[0].upgrade()
    connection.execute(
        text(
            "INSERT INTO lease (topic, partition, epoch, owner, \"offset\") VALUES ('deliveries', 0, 3, 'egress-0', 12)"
        )
    )


def test_an_older_store_is_refused_with_the_command_that_upgrades_it(url: str, bare: Engine) -> None:
    with bare.begin() as connection:
        first_schema(connection)
    with pytest.raises(StoreFailure, match=r"has schema 1, this version needs \d+: .* `andon store upgrade`"):
        SqlDeskStore(url, "desk")
    assert upkeep.upgrade(url, "desk") == (1, SCHEMA_VERSION)
    assert upkeep.upgrade(url, "desk") == (SCHEMA_VERSION, SCHEMA_VERSION)
    with closing(SqlDeskStore(url, "desk")) as store:
        found = store.acquire(HOME, "x", 0.0)
        assert (found.epoch, found.offset) == (4, 12)


def test_an_upgraded_store_has_the_tables_of_a_new_one(url: str, bare: Engine) -> None:
    with bare.begin() as connection:
        first_schema(connection)
    upkeep.upgrade(url, "desk")
    with bare.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert [step.revision for step in revisions()] == [str(n + 1) for n in range(SCHEMA_VERSION)]


def test_a_newer_store_is_refused_by_number(url: str, bare: Engine) -> None:
    SqlDeskStore(url, "desk").close()
    with bare.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    for use in (lambda: SqlDeskStore(url, "desk"), lambda: upkeep.upgrade(url, "desk")):
        with pytest.raises(StoreFailure, match=rf"has schema 99, this version knows {SCHEMA_VERSION} at most"):
            use()


def test_a_running_service_has_no_alembic_in_it(url: str) -> None:
    program = (
        "import sys; from andon.store.desk import SqlDeskStore\n"
        "SqlDeskStore(sys.argv[1], 'desk').check(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_a_store_in_use_is_left_alone_and_one_under_repair_is_not_used(url: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'target'}"
    with closing(SqlDeskStore(url, "desk")) as running:
        running.acquire(HOME, "egress-0", 0.0)
        for use in (lambda: upkeep.upgrade(url, "desk"), lambda: upkeep.migrate(url, target, "desk", SILENT)):
            with pytest.raises(StoreFailure, match="is in use: stop every process of the desk first"):
                use()
        running.check()
    with closing(Database(url, "desk", alone=True)), pytest.raises(StoreFailure, match="migrated or upgraded"):
        SqlDeskStore(url, "desk")
    upkeep.migrate(url, target, "desk", SILENT)


# ---- SQLite to PostgreSQL


def at_work(url: str) -> None:
    """A desk stopped with work of every kind: open, tried, ambiguous, closed, remembered, not yet published."""
    with closing(SqlDeskStore(url, "desk")) as store:
        store.acquire(HOME, "egress-0", 0.0)
        store.acquire(OTHER, "egress-0", 0.0)
        open_, tried, done = item(1, lane="a\0b"), item(2, urgent=True, due=START + 0.1), item(3)
        ended = msgspec.structs.replace(entry(tried), ended=START + 1 / 3, reason=Reason.TIMEOUT, ambiguous=True)
        write = Write(HOME, 1, offset=4, taken=[open_, tried, done], began=[entry(tried), entry(tried, 2), entry(done)])
        write.closed, write.memos = [Closed(done.id, b'{"a":1}', START + 2)], {"线\0": b"\0\xff"}
        write.notes = [(1 << 33, Note("t", b"k", None, (("h", b"\xff"),)))]
        many = [item(n, home=OTHER, body=bytes(range(256))) for n in range(100, 1_300)]
        store.commit([write, Write(HOME, 1, ended=[ended]), Write(OTHER, 1, offset=1_300, taken=many)])


def whole(url: str) -> list[Holding]:
    with closing(SqlDeskStore(url, "desk")) as store:
        return [store.acquire(home, "next", 0.0) for home in (HOME, OTHER)]


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'source'}"


def test_everything_arrives_as_it_was_and_the_old_store_is_refused(
    source: str, postgres_url: str, tmp_path: Path
) -> None:
    at_work(source)
    at_work(twin := f"sqlite:///{tmp_path / 'twin'}")
    told: list[tuple[str, int, int]] = []
    sums = upkeep.migrate(source, postgres_url, "desk", lambda *step: told.append(step))
    assert {name: one.rows for name, one in sums.items()} == {
        "lease": 2, "item": 1_203, "attempt": 3, "memo": 1, "outbox": 1
    }  # fmt: skip
    assert [step for step in told if step[0] == "item"] == [
        ("item", 1_000, 1_203), ("item", 1_203, 1_203)
    ]  # fmt: skip
    assert whole(postgres_url) == whole(twin)
    with pytest.raises(StoreFailure, match="was migrated to PostgreSQL"):
        SqlDeskStore(source, "desk")
    with pytest.raises(StoreFailure, match="was migrated to PostgreSQL"):
        upkeep.migrate(source, postgres_url, "desk", SILENT)


def test_a_target_with_other_work_is_not_touched(source: str, postgres_url: str) -> None:
    at_work(source)
    with closing(SqlDeskStore(postgres_url, "desk")) as store:
        store.acquire(HOME, "egress-0", 0.0)
    with pytest.raises(StoreFailure, match="other work"):
        upkeep.migrate(source, postgres_url, "desk", SILENT)
    with closing(SqlDeskStore(postgres_url, "desk")) as store:
        assert store.acquire(HOME, "x", 0.0).items == []
    assert len(whole(source)[0].items) == 2


class PowerCut(Exception):  # noqa: N818
    """Ends a migration at a place of the test's choice."""


@pytest.mark.parametrize("after", ["a table", "everything"])
def test_an_interrupted_migration_is_done_again(
    after: str, source: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work(source)

    def cut(table: str, done: int, whole: int) -> None:
        if after == "a table" and table == "attempt":
            raise PowerCut

    if after == "everything":
        monkeypatch.setattr(about, "insert", lambda: (_ for _ in ()).throw(PowerCut))
    with suppress(PowerCut):
        upkeep.migrate(source, postgres_url, "desk", cut)
        pytest.fail("it was not interrupted")
    monkeypatch.undo()
    sums = upkeep.migrate(source, postgres_url, "desk", SILENT)
    assert sums["item"].rows == 1_203
    assert len(whole(postgres_url)[1].items) == 1_200


def test_a_copy_that_differs_is_not_kept(source: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(source)
    right = transfer._sum
    wrong = transfer.Sum(1, "0")
    monkeypatch.setattr(transfer, "_sum", lambda on, table: wrong if table.name == "memo" else right(on, table))
    with pytest.raises(StoreFailure, match="the copy of memo differs"):
        upkeep.migrate(source, postgres_url, "desk", SILENT)
    monkeypatch.undo()
    assert whole(postgres_url)[0].items == []
    assert len(whole(source)[0].items) == 2
