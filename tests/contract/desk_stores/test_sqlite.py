"""What SQLite alone can get wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event

from andon.core.digest import Digest, Line
from andon.core.work import Closed, Note, Reach, StoreFailure, Write
from andon.store import sqlite, upkeep
from andon.store.desk import SqlDeskStore
from tests.contract.desk_stores.conftest import entry
from tests.unit.desk.items import HOME, START, item


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


def test_a_commit_reads_through_no_table_that_grows(tmp_path: Path) -> None:
    """Each of its rows is found by an index: forgetting 320 of 100,000 memos once took 1.7 s, with the store locked."""
    seen: list[str] = []
    ones = [item(n) for n in range(3)]
    with closing(SqlDeskStore(f"sqlite:///{tmp_path}", "desk")) as store:
        store.acquire(HOME, "x", 0.0)
        tried = [entry(one, ended=None) for one in ones]
        memos = {"a": b"1", "b": b"2"}
        store.commit(
            [Write(HOME, 1, offset=3, taken=ones, began=tried, memos=memos, notes=[(1, Note("t", b"k", b"v"))])]
        )

        @event.listens_for(store._database._engine, "checkout")
        def _trace(connection: sqlite3.Connection, _record: object, _proxy: object) -> None:
            connection.set_trace_callback(seen.append)

        ended = [entry(one, ended=START) for one in ones]
        closed = [Closed(ones[0].id, b"{}", START)]
        store.commit(
            [Write(HOME, 1, ended=ended, changed=ones[1:], closed=closed, memos={"a": b"", "b": b""}, published=1)]
        )
        assert not store.acquire(HOME, "x", 0.0).memos
    with closing(sqlite3.connect(sqlite.file_of(f"sqlite:///{tmp_path}", "desk"))) as connection:
        work = [one for one in seen if one.split()[0] in ("UPDATE", "DELETE", "INSERT")]
        steps = [row[3] for one in work for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")]
    assert sum("DELETE" in one for one in work) >= 2
    kept = {"item", "attempt", "memo", "outbox", "t"}
    assert not kept & {one.split()[1] for one in steps if one.startswith("SCAN")}
    assert any("SEARCH t USING" in one for one in steps)


def test_what_a_version_before_merged_of_times_without_zone_comes_back_at_utc(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    naive, at = datetime(2026, 11, 24, 4), datetime(2026, 11, 24, 4, tzinfo=UTC)  # noqa: DTZ001 - as it was written
    two = Digest(2, naive, naive, (Line("a", "x", naive), Line("b", "first", at)))
    store.commit([Write(HOME, 1, taken=[item(1, carried=two)])])
    (found,) = store.acquire(HOME, "y", 0.0).items
    assert found.carried == Digest(2, at, at, (Line("a", "x", at), Line("b", "first", at)))
    store.close()


def test_no_prepared_statement_keeps_more_than_one_large_body(tmp_path: Path) -> None:
    store = SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
    store.acquire(HOME, "x", 0.0)
    said: list[str] = []
    with store._database._engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(said.append)
    sizes = [100, 50_000, 100, 60_000, 70_000, 100]
    store.commit([Write(HOME, 1, offset=6, taken=[item(n, body=b"x" * size) for n, size in enumerate(sizes, 1)])])
    heavy = [one.count("78" * 50_000) for one in said if one.startswith("INSERT")]
    assert (max(heavy), sum(heavy)) == (1, 3)
    assert sorted(len(one.body) for one in store.acquire(HOME, "y", 0.0).items) == sorted(sizes)
    store.close()


def test_a_take_over_does_not_go_through_the_old_ledger(tmp_path: Path) -> None:
    def steps(old: int) -> int:
        store = SqlDeskStore(f"sqlite:///{tmp_path / str(old)}", "desk")
        store.acquire(HOME, "x", 0.0)
        of = [item(n) for n in range(1, old + 10)]
        reach = (None, Reach("app", ("0042",)))
        began = [entry(one, started=START - (9_000 if n < old else 1), reach=reach[n % 2]) for n, one in enumerate(of)]
        store.commit([Write(HOME, 1, taken=of[:-1], began=began, closed=[Closed(one.id, b"{}", START) for one in of])])
        taken = 0

        def count() -> None:
            nonlocal taken
            taken += 1

        with store._database._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)
            raw.set_progress_handler(count, 1)
        assert len(store.acquire(HOME, "y", START - 60, START - 900).recent) == 8
        store.close()
        return taken

    assert steps(2_000) < 1.5 * steps(10)


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


def test_a_store_of_another_machine_is_refused_until_it_is_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'store'}"
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_text("a" * 32)
    there.write_text("b" * 32)
    monkeypatch.setattr(sqlite, "_MACHINE_IDS", (here,))
    store = SqlDeskStore(url, "desk")
    store.acquire(HOME, "x", 0.0)
    store.close()
    SqlDeskStore(url, "desk").close()
    monkeypatch.setattr(sqlite, "_MACHINE_IDS", (there,))
    with pytest.raises(StoreFailure, match="belongs to another machine: several hosts need PostgreSQL"):
        SqlDeskStore(url, "desk")
    assert upkeep.adopt(url, "desk")
    assert not upkeep.adopt(url, "desk")
    again = SqlDeskStore(url, "desk")
    assert again.acquire(HOME, "x", 0.0).epoch == 2
    again.close()
    monkeypatch.setattr(sqlite, "_MACHINE_IDS", (here,))
    with pytest.raises(StoreFailure, match="belongs to another machine"):
        SqlDeskStore(url, "desk")


def test_a_machine_without_an_id_uses_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MACHINE_IDS", (tmp_path / "none",))
    SqlDeskStore(f"sqlite:///{tmp_path}", "desk").close()
    with pytest.raises(StoreFailure, match="has no id of its own"):
        upkeep.adopt(f"sqlite:///{tmp_path}", "desk")


def test_a_network_file_system_is_refused_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"99 21 0:50 / {tmp_path}/far rw,relatime - nfs4 server:/export rw\n"
    )
    monkeypatch.setattr(sqlite, "MOUNTS", mounts)
    SqlDeskStore(f"sqlite:///{tmp_path}/near", "desk").close()
    with pytest.raises(StoreFailure, match=r"network file system \(nfs4\)"):
        SqlDeskStore(f"sqlite:///{tmp_path}/far/store", "desk")


def test_a_library_that_is_too_old_is_refused_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.26.0")
    with pytest.raises(StoreFailure, match=r"the store desk needs SQLite 3\.35 or later, this Python has 3\.26\.0: "):
        SqlDeskStore(f"sqlite:///{tmp_path}", "desk")
