"""What SQLite alone can get wrong."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from andon.core.work import StoreFailure, Write
from andon.store.desk import SqlDeskStore
from tests.unit.desk.items import HOME, item


def test_a_full_disk_is_a_store_failure_and_applies_nothing(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    with store._database._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count={pages + 8}")
    big = [item(n, body=b"x" * 4_000) for n in range(1, 100)]
    with pytest.raises(StoreFailure, match="full"):
        store.commit([Write(HOME, 1, offset=100, taken=big)])
    store.close()
    after = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    found = after.acquire(HOME, "x", 0.0)
    assert (found.offset, found.items) == (None, [])
    after.close()


def test_a_file_that_is_no_database_is_a_store_failure(tmp_path: Path) -> None:
    (tmp_path / "desk.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreFailure, match="desk cannot be opened"):
        SqlDeskStore(f"sqlite:///{tmp_path}", "desk")


def test_a_folder_that_cannot_be_made_is_a_store_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFailure, match="desk cannot be opened"):
        SqlDeskStore(f"sqlite:///{tmp_path / 'file' / 'store'}", "desk")


def test_a_store_that_became_read_only_is_a_store_failure(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    with store._database._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreFailure, match="readonly"):
        store.commit([Write(HOME, 1, offset=1)])
    store.close()


def test_another_schema_version_is_refused_by_number(tmp_path: Path) -> None:
    SqlDeskStore(f"sqlite:///{tmp_path}", "desk").close()
    with sqlite3.connect(tmp_path / "desk.sqlite") as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    with pytest.raises(StoreFailure, match="has schema 99, this version needs"):
        SqlDeskStore(f"sqlite:///{tmp_path}", "desk")


def test_every_commit_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    with store._database._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        settings = [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    store.close()


def test_an_unknown_driver_is_a_store_failure_that_shows_no_address() -> None:
    with pytest.raises(StoreFailure) as failure:
        SqlDeskStore("nosuch://user:hidden@host/db", "desk")
    assert "hidden" not in str(failure.value)
