"""The connector `sql`: read-only, by bound values, and quiet about secrets."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format
from pydantic import ValidationError

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Context, Facts
from andon.core.reason import Reason
from andon.enrichment.connectors import sql
from andon.enrichment.connectors.sql import SqlView
from andon.enrichment.mapping import MOST_ROWS
from andon.store import query
from andon.store.query import Row, ViewReader, plain, take_any_time
from andon.testing.clock import ManualClock
from andon.web.nowire import NoWire

SCHEMA = """
CREATE TABLE machines (machine_no TEXT, 班组 TEXT, age INTEGER, "order" REAL);
INSERT INTO machines VALUES ('M-1', '甲', 10, 1.5), ('M-2', '乙', NULL, 2), ('twice', 'a', 1, 1), ('twice', 'b', 2, 2);
CREATE TABLE numbered (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO numbered VALUES (7, 'seven'), (70, 'seventy');
CREATE VIEW v_numbered AS SELECT id + 0 AS id, name FROM numbered;
CREATE VIEW marked AS SELECT machine_no, 班组 AS missing FROM machines;
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with closing(sqlite3.connect(tmp_path / "mes 50%.db")) as database:
        database.executescript(SCHEMA)
    yield tmp_path
    with closing(sqlite3.connect(tmp_path / "mes 50%.db")) as database:
        assert database.execute("SELECT count(*) FROM machines").fetchone() == (4,)


def ask(folder: Path, *keys: str, **options: Any) -> list[Facts]:
    given = {"url": "sqlite:///mes 50%.db", "view": "machines", "key": "machine_no", **options}

    async def scenario() -> list[Facts]:
        view = SqlView(SqlView.Config.model_validate(given), Context("machine", folder, ManualClock(), NoWire()))
        try:
            return list(await view.lookup(keys))
        finally:
            await view.close()

    return asyncio.run(scenario())


def failure(folder: Path, **options: Any) -> Failure:
    with pytest.raises((Retryable, Rejected)) as caught:
        ask(folder, "M-1", **options)
    return caught.value


def test_rows_become_facts(folder: Path) -> None:
    one, unknown, other = ask(folder, "M-1", "M-x", "M-2")
    assert one.values == {"machine_no": "M-1", "班组": "甲", "age": 10, "order": 1.5}
    assert (unknown.found, other.values["age"]) == (False, None)


def test_only_the_columns_asked_for(folder: Path) -> None:
    assert ask(folder, "M-1", columns=["班组", "order"])[0].values == {"班组": "甲", "order": 1.5}


def test_a_batch_is_one_statement(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Any]] = []
    rows = ViewReader.rows

    def kept(self: ViewReader, keys: Sequence[Any]) -> list[Row]:
        asked.append(list(keys))
        return rows(self, keys)

    monkeypatch.setattr(ViewReader, "rows", kept)
    assert [answer.found for answer in ask(folder, "M-1", "M-2", "M-1", "M-x")] == [True, True, True, False]
    assert asked == [["M-1", "M-2", "M-x"]]


def test_long_lists_are_asked_in_slices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "_MOST_KEYS", 2)
    assert [answer.found for answer in ask(folder, "M-1", "x", "y", "M-2", "z")] == [True, False, False, True, False]


def test_two_rows_are_no_answer(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [answer.found for answer in ask(folder, "twice", "M-1")] == [False, True]
    assert [(one.getMessage(), one.__dict__["keys"]) for one in caplog.records] == [("keys with several rows", 1)]


def test_a_key_with_many_rows(folder: Path) -> None:
    twice, once, unknown = ask(folder, "twice", "M-2", "M-x", many=True)
    assert twice.values == {"machine_no": "twice", "班组": ["a", "b"], "age": [1, 2], "order": [1.0, 2.0]}
    assert once.values == {"machine_no": "M-2", "班组": ["乙"], "age": [None], "order": [2.0]}
    assert not unknown.found
    (some,) = ask(folder, "twice", many=True, columns=["班组"])
    assert some.values == {"班组": ["a", "b"]}


def test_too_many_rows_are_no_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.enrichment.connectors.sql.MOST_ROWS", 1)
    twice, once = ask(folder, "twice", "M-2", many=True)
    assert (twice.found, once.found) == (False, True)


def test_what_is_read_of_a_key_is_more_than_an_answer_may_have() -> None:
    assert query.MOST_OF_KEY > MOST_ROWS


def test_of_a_key_with_very_many_rows_only_some_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a history that a connector was pointed at; and the other keys of its batch have their rows all the same."""
    with closing(sqlite3.connect(folder / "history.db")) as database, database:
        database.execute("CREATE TABLE history (machine_no TEXT, at INTEGER)")
        database.executemany("INSERT INTO history VALUES (?, ?)", (("M-1", at) for at in range(500)))
        database.executemany("INSERT INTO history VALUES (?, ?)", ((f"M-{number}", number) for number in range(2, 9)))
    monkeypatch.setattr(sql, "MOST_ROWS", 20)
    monkeypatch.setattr(query, "MOST_OF_KEY", 21)
    monkeypatch.setattr(query, "_MOST_ROWS", 50)
    read: list[int] = []
    rows = ViewReader.rows

    def counted(self: ViewReader, keys: Sequence[Any]) -> list[Row]:
        read.append(len(found := rows(self, keys)))
        return found

    monkeypatch.setattr(ViewReader, "rows", counted)
    keys = [f"M-{number}" for number in range(1, 10)]
    options = {"url": "sqlite:///history.db", "view": "history"}
    found = ask(folder, *keys, **options)
    assert [one.values.get("at") for one in found] == [None, *range(2, 9), None]
    found = ask(folder, *keys, **options, many=True)
    assert [one.values.get("at") for one in found] == [None, *([number] for number in range(2, 9)), None]
    assert max(read) <= 21 + 7


def test_whole_number_keys(folder: Path) -> None:
    options = {"view": "v_numbered", "key": "id", "key_type": "integer"}
    answers = ask(folder, "7", "07", "7.0", "x", "", "9" * 30, "70", **options)
    assert [answer.values.get("name") for answer in answers] == ["seven", None, None, None, None, None, "seventy"]


@pytest.mark.parametrize("options", [{"key": "machine"}, {"columns": ["班组", "nowhere"]}, {"key": "机器"}])
def test_a_column_that_is_not_there_is_no_silent_miss(folder: Path, options: dict[str, Any]) -> None:
    error = failure(folder, **options)
    assert isinstance(error, Rejected)
    assert "the view machines has no column" in error.detail


def test_a_view_that_is_not_there(folder: Path) -> None:
    assert isinstance(failure(folder, view="nowhere"), Retryable)


def test_a_reserved_column_is_named(folder: Path) -> None:
    error = failure(folder, view="marked")
    assert isinstance(error, Rejected)
    assert "called missing" in error.detail
    assert ask(folder, "M-1", view="marked", columns=["machine_no"])[0].found


def test_the_database_is_opened_read_only_and_never_created(folder: Path) -> None:
    reader = ViewReader(f"sqlite:///{folder}/mes 50%.db", "machines", "machine_no", deadline=1, connections=1)
    with reader._engine.connect() as connection, pytest.raises(Exception, match="readonly database"):
        connection.exec_driver_sql("DELETE FROM machines")
    reader.close()
    assert isinstance(failure(folder, url="sqlite:///other.db"), Retryable)
    assert not (folder / "other.db").exists()


def test_a_file_that_was_replaced_is_read_anew_whatever_columns_it_has(tmp_path: Path) -> None:
    def export(name: str, script: str) -> None:
        with closing(sqlite3.connect(tmp_path / name)) as database:
            database.executescript(script)

    async def scenario() -> list[Any]:
        given = {"url": "sqlite:///mes.db", "view": "m", "key": "no"}
        view = SqlView(SqlView.Config.model_validate(given), Context("m", tmp_path, ManualClock(), NoWire()))
        found: list[Any] = [dict((await view.lookup(["1"]))[0].values)]
        export("new.db", "CREATE TABLE m (no TEXT, leader TEXT); INSERT INTO m VALUES ('1', 'li'), ('2', 'wu')")
        (tmp_path / "new.db").replace(tmp_path / "mes.db")
        found += [dict(one.values) for one in await view.lookup(["1", "2"])]
        export("new.db", "CREATE TABLE m (no TEXT, boss TEXT); INSERT INTO m VALUES ('1', 'he')")
        (tmp_path / "new.db").replace(tmp_path / "mes.db")
        with pytest.raises(Retryable):
            await view.lookup(["1"])
        found.append(dict((await view.lookup(["1"]))[0].values))
        await view.close()
        return found

    export("mes.db", "CREATE TABLE m (no TEXT, leader TEXT); INSERT INTO m VALUES ('1', 'wang')")
    first, again, other, changed = asyncio.run(scenario())
    assert (first, again, other) == (
        {"no": "1", "leader": "wang"},
        {"no": "1", "leader": "li"},
        {"no": "2", "leader": "wu"},
    )
    assert changed == {"no": "1", "boss": "he"}


def test_a_column_of_a_fixed_length_is_known_without_its_blanks(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mes 50%.db")) as database:
        database.executescript(
            "CREATE TABLE fixed (no TEXT COLLATE RTRIM, leader TEXT);"  # as CHAR compares elsewhere
            "INSERT INTO fixed VALUES ('M-1   ', 'zhang   ')"
        )
    (found,) = ask(folder, "M-1", view="fixed", key="no")
    assert found.values == {"no": "M-1", "leader": "zhang"}


def test_keys_that_differ_in_blanks_at_their_end_are_told_apart(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mes 50%.db")) as database:
        database.executescript(
            "CREATE TABLE near (no TEXT, name TEXT); INSERT INTO near VALUES ('A', 'one'), ('A ', 'two'), ('B ', 'b')"
        )
    found = ask(folder, "A", "A ", "B ", "B", view="near", key="no", columns=["name"])
    assert [one.values.get("name") for one in found[:3]] == ["one", "two", "b"]


def test_an_address_that_takes_its_time_does_not_stop_the_event_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, late = SqlView.Config.address, threading.Event()

    def slow(self: SqlView.Config, folder: Path) -> str:
        late.wait(10)
        return address(self, folder)

    monkeypatch.setattr(SqlView.Config, "address", slow)

    async def scenario() -> float:
        given = {"url": "sqlite:///mes 50%.db", "view": "machines", "key": "machine_no"}
        view = SqlView(SqlView.Config.model_validate(given), Context("machine", folder, ManualClock(), NoWire()))
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await view.lookup(["M-1"])
        await view.close()
        return asyncio.get_running_loop().time() - began

    try:
        assert asyncio.run(scenario()) < 5
    finally:
        late.set()


def test_a_connection_that_never_answers_holds_up_neither_the_next_lookup_nor_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, rows, readers = threading.Event(), ViewReader.rows, []

    def asked(self: ViewReader, keys: Sequence[Any]) -> list[Row]:
        readers.append(self)
        if len(readers) == 1:
            silent.wait()
        return rows(self, keys)

    monkeypatch.setattr(ViewReader, "rows", asked)

    async def scenario() -> Facts:
        given = {"url": "sqlite:///mes 50%.db", "view": "machines", "key": "machine_no"}
        view = SqlView(SqlView.Config.model_validate(given), Context("machine", folder, ManualClock(), NoWire()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await view.lookup(["M-1"])
        (found,) = await view.lookup(["M-1"])
        await view.close()
        return found

    try:
        assert asyncio.run(scenario()).found
        assert readers[0] is not readers[1]
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "sql-machine")
    finally:
        silent.set()


def test_too_many_statements_that_do_not_end_are_a_reason_to_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = threading.Event()

    def asked(_self: ViewReader, _keys: Sequence[Any]) -> list[Row]:
        silent.wait()
        return []

    monkeypatch.setattr(ViewReader, "rows", asked)
    monkeypatch.setattr(sql, "_MOST_HANGING", 2)

    async def scenario() -> None:
        given = {"url": "sqlite:///mes 50%.db", "view": "machines", "key": "machine_no"}
        view = SqlView(SqlView.Config.model_validate(given), Context("machine", folder, ManualClock(), NoWire()))
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await view.lookup(["M-1"])
        with pytest.raises(Retryable) as caught:
            await view.lookup(["M-1"])
        assert caught.value.reason is Reason.BUSY
        left = list(view._hanging)
        silent.set()
        await asyncio.to_thread(wait, left, 10)
        assert not (await view.lookup(["M-1"]))[0].found
        await view.close()

    try:
        asyncio.run(scenario())
    finally:
        silent.set()


def test_the_address_is_a_secret_and_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = folder / "address"
    error = failure(folder, url=f"file:{secret}")
    assert error.reason is Reason.CREDENTIALS
    config = SqlView.Config(url=f"file:{secret}", view="machines", key="machine_no")

    async def scenario() -> None:
        view = SqlView(config, Context("machine", folder, ManualClock(), NoWire()))
        secret.write_text(f"sqlite:///{folder}/nowhere.db", encoding="utf-8")
        with pytest.raises(Retryable):
            await view.lookup(["M-1"])
        (folder / "link.db").symlink_to(folder / "mes 50%.db")
        secret.write_text(f"sqlite:///{folder}/link.db", encoding="utf-8")
        assert (await view.lookup(["M-1"]))[0].found
        await view.close()
        with pytest.raises(Rejected):
            await view.lookup(["M-1"])

    asyncio.run(scenario())


SECRET = "postgresql+nodriver://user:hunter2@127.0.0.1:1/x"


@pytest.mark.parametrize(
    "address", [SECRET, "hunter2 is no address", "nodialect://u:hunter2@h/x", "mysql+pymysql://u:hunter2@h/x"]
)
def test_no_failure_shows_the_address(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_TEST_URL", address)
    error = failure(folder, url="env:ANDON_TEST_URL")
    assert isinstance(error, Rejected)
    assert "hunter2" not in f"{error!r} {error.__cause__!r}"
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "options",
    [
        {"url": "postgresql://user:hunter2@h/x"},
        {"url": "sqlite:///"},
        {"url": 7},
        {"view": 'v"; DROP TABLE machines; --'},
        {"view": "a.b.c"},
        {"view": "1v"},
        {"key": "no; --"},
        {"columns": ["a b"]},
        {"columns": ["missing"]},
        {"key_type": "date"},
        {"deadline": "0s"},
        {"colums": []},
    ],
)
def test_a_configuration_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlView.Config.model_validate({"url": "sqlite:///x.db", "view": "v", "key": "k", **options})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("x", "x"),
        (Decimal("12.50"), 12.5),
        (Decimal("12.00"), 12),
        (Decimal(10**30), str(10**30)),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (datetime(2023, 11, 14, 8, tzinfo=UTC), "2023-11-14T08:00:00+00:00"),
        (date(2023, 11, 14), "2023-11-14"),
        (time(8, 30), "08:30:00"),
        (timedelta(minutes=1), 60.0),
        (b"\x00\xff", "00ff"),
        ("zhang   ", "zhang"),
        (["a  ", Decimal(1)], ["a", 1]),
        ({"x": date(2023, 11, 14)}, {"x": "2023-11-14"}),
    ],
)
def test_values_of_databases_in_json(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("date", "infinity", "infinity"),
        ("date", "0044-03-15 BC", "0044-03-15 BC"),
        ("timestamp", "-infinity", "-infinity"),
        ("timestamp", "12000-01-01 00:00:00", "12000-01-01 00:00:00"),
        ("timestamptz", "infinity", "infinity"),
        ("time", "24:00:00", "24:00:00"),
        ("date", "2026-03-01", "2026-03-01"),
        ("timestamp", "2026-03-01 08:30:00", "2026-03-01T08:30:00"),
        ("interval", "00:01:00", 60.0),
    ],
)
def test_a_time_of_postgresql_that_python_has_not_comes_as_it_is_written(
    kind: str, written: str, expected: object
) -> None:
    adapters = AdaptersMap(psycopg.adapters)
    take_any_time(SimpleNamespace(adapters=adapters), None)
    number = adapters.types[kind].oid
    loader = adapters.get_loader(number, Format.TEXT)
    assert loader is not None
    assert plain(loader(number).load(written.encode())) == expected


def test_a_text_of_sqlite_that_is_not_utf8_comes_as_bytes_do(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        old.execute("CREATE TABLE lines (line TEXT, leader TEXT)")
        old.execute("INSERT INTO lines VALUES ('L1', '甲'), ('L2', CAST(x'BCD7' AS TEXT))")
    with closing(ViewReader(f"sqlite:///{tmp_path}/old.db", "lines", "line", deadline=1, connections=1)) as reader:
        assert {row["line"]: row["leader"] for row in reader.rows(["L1", "L2"])} == {"L1": "甲", "L2": "bcd7"}
