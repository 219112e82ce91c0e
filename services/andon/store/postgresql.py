"""A desk's database in PostgreSQL: a schema of its own in the database of the URL, for processes of several hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, Float, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql

from andon.core.work import StoreFailure
from andon.store.rows import Row, names_of, on_conflict
from andon.store.tables import Words, storable

OLDEST = 14
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
# Deadlock and serialization failure: the server has undone the transaction, and it may be done again.
AGAIN = frozenset({"40P01", "40001"})
# Advisory locks of one database: who uses a desk's store (shared), or has it alone (exclusive); who makes its tables.
_IN_USE, _MAKING = 0x616E646F, 0x616E6470
_ENDING_S, _AGAIN_S = 1.0, 0.05

# A process that is frozen in the middle of a transaction holds its leases' locks: the server ends it, so that the next
# owner need not wait for ever. One at rest is not ended, for it is its session that says that the store is in use; a
# server that is too old for that setting is to be refused by its number. `off` of synchronous_commit would take back
# what a commit has promised.
_SESSION = """
SET search_path TO "{schema}";
SET idle_in_transaction_session_timeout = '20s';
SELECT set_config('idle_session_timeout', '0', false) WHERE current_setting('idle_session_timeout', true) IS NOT NULL;
SET lock_timeout = '40s';
SET statement_timeout = '60s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""
_WITHOUT_HURRY = """
SET idle_in_transaction_session_timeout = 0;
SET statement_timeout = 0;
"""
# A host that vanished is noticed within half a minute, also while an answer is awaited.
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "client_encoding": "utf8",
}


def schema_of(name: str) -> str:
    """Each desk has its own, so that two desks in one database never meet."""
    return f"andon_{name}"


def postgres_engine(url: str, name: str, *, looking: bool = False) -> Engine:
    """Connections to the desk's schema; read-only ones that promise nothing when only `looking`."""
    options: dict[str, Any] = {"application_name": f"andon-{name}", **_CONNECT}
    engine = create_engine(
        url,
        isolation_level="REPEATABLE READ" if looking else "READ COMMITTED",
        execution_options={"postgresql_readonly": True} if looking else {},
        connect_args=options,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        from psycopg.types.numeric import Int8BinaryDumper
        from psycopg.types.string import StrBinaryDumper

        # One type for whatever size a number has: a statement is prepared once for each list of types.
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        connection.adapters.register_dumper(str, StrBinaryDumper)
        connection.execute(_SESSION.format(schema=schema_of(name)))
        connection.commit()

    return engine


def hold_each(engine: Engine, name: str, refused: StoreFailure) -> None:
    """Each connection says, as long as it lives, that the store is in use; `refused` is raised when somebody has it
    alone."""

    @event.listens_for(engine, "connect")
    def _use(connection: Any, _record: Any) -> None:
        def asked() -> bool:
            statement = "SELECT pg_try_advisory_lock_shared(%s::int, %s::int)"
            (held,) = connection.execute(statement, (_IN_USE, _number(name))).fetchone()
            connection.commit()
            return bool(held)

        if not _granted(asked):
            raise refused


def without_hurry(engine: Engine) -> None:
    """Connections that may rest, also within a transaction: whoever has a store alone holds nobody back by it, and it
    is the session of a connection at rest that has it."""

    @event.listens_for(engine, "connect")
    def _wait(connection: Any, _record: Any) -> None:
        connection.execute(_WITHOUT_HURRY)
        connection.commit()


def held_alone(connection: Connection, name: str) -> bool:
    """Has the store for this connection alone, until it is closed; False while anyone uses it."""
    statement = text("SELECT pg_try_advisory_lock(CAST(:kind AS int), CAST(:name AS int))")

    def asked() -> bool:
        held = bool(connection.execute(statement, {"kind": _IN_USE, "name": _number(name)}).scalar())
        connection.commit()
        return held

    return _granted(asked)


def _granted(asked: Callable[[], bool]) -> bool:
    """Whether a lock was had within a second: a server may end the session of a connection, and with it what that
    held, some time after the connection was closed."""
    until = time.monotonic() + _ENDING_S
    while not (held := asked()) and time.monotonic() < until:
        time.sleep(_AGAIN_S)
    return held


def prepare(connection: Connection, name: str) -> None:
    """Makes the desk's schema if there is none; one process at a time, until the end of the transaction. Raises
    StoreFailure for a server that is too old."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    if version < OLDEST:
        raise StoreFailure(f"the store {name} needs PostgreSQL {OLDEST} or later, this server is {version}")
    making = text("SELECT pg_advisory_xact_lock(CAST(:kind AS int), CAST(:name AS int))")
    connection.execute(making, {"kind": _MAKING, "name": _number(name)})
    # Looked for first: IF NOT EXISTS asks for the right to make schemas even where there is nothing to make.
    if not connection.execute(text("SELECT to_regnamespace(:schema)"), {"schema": schema_of(name)}).scalar():
        connection.execute(text(f'CREATE SCHEMA "{schema_of(name)}"'))


def require_unicode(connection: Connection, name: str) -> None:
    """Raises StoreFailure for a database that has not every character: the first of those others in a subject would
    end the desk, at each start. One in SQL_ASCII takes them as they come."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise StoreFailure(
            f"the store {name} needs a database in UTF8, this one is in {encoding}: CREATE DATABASE … ENCODING 'UTF8' "
            "TEMPLATE template0"
        )


def _number(name: str) -> int:
    return crc32(name.encode()) - (1 << 31)


class PostgresRows:
    """`Rows` for PostgreSQL: an array for each column, so that a statement is the same text for any number of rows and
    the server keeps its plan. Statements without an answer are sent, not waited for."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def select(
        self, table: Table, columns: Sequence[str], keys: Sequence[str], values: Iterable[Row], *, lock: bool = False
    ) -> list[Any]:
        arrays = _arrays(table, tuple(keys), values)
        if not arrays:
            return []
        return list(self._cursor.execute(_select(table, tuple(columns), tuple(keys), lock), arrays).fetchall())

    def insert(self, table: Table, rows: Iterable[Row], *, update: Sequence[str] = (), only: str = "") -> None:
        if arrays := _arrays(table, tuple(column.name for column in table.columns), rows):
            self._cursor.execute(_insert(table, tuple(update), only), arrays)

    def update(self, table: Table, keys: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> None:
        if arrays := _arrays(table, (*keys, *columns), rows):
            self._cursor.execute(_update(table, tuple(keys), tuple(columns)), arrays)

    def delete(self, table: Table, keys: Sequence[str], values: Iterable[Row]) -> None:
        if arrays := _arrays(table, tuple(keys), values):
            self._cursor.execute(_delete(table, tuple(keys)), arrays)

    def run(self, statement: str, values: Row) -> None:
        self._cursor.execute(statement.replace("?", "%s"), tuple(values))


class Lost(Exception):  # noqa: N818 - says what happened to the connection
    """The server has gone away, or its way; the text is the driver's."""


@contextmanager
def pipelined(connection: Connection) -> Iterator[PostgresRows]:
    """A transaction whose statements go out together: two ways to the server and back, however many they are.

    It ends here, and not with SQLAlchemy's own commit, so that it goes out with the statements before it. Raises Lost
    when the connection broke.
    """
    raw: Any = connection.connection.dbapi_connection
    try:
        with raw.pipeline(), raw.cursor() as cursor:
            yield PostgresRows(cursor)
            raw.commit()
    except Exception as error:
        if raw.closed:
            connection.invalidate(error)
            raise Lost(str(error)) from None
        raise


@lru_cache(maxsize=256)
def _list(table: Table, names: tuple[str, ...]) -> str:
    """The arrays of some columns as a table `v` with columns k0, k1, …"""
    types = ",".join(f"%b::{table.c[name].type.compile(_DIALECT)}[]" for name in names)
    return f"unnest({types}) AS v({','.join(f'k{n}' for n in range(len(names)))})"


@lru_cache(maxsize=256)
def _select(table: Table, columns: tuple[str, ...], keys: tuple[str, ...], lock: bool) -> str:
    wanted = ",".join(f't."{name}"' for name in columns)
    same = " AND ".join(f't."{name}"=v.k{n}' for n, name in enumerate(keys))
    order = ",".join(f't."{name}"' for name in keys)
    tail = f" ORDER BY {order} FOR UPDATE OF t" if lock else ""
    return f'SELECT {wanted} FROM "{table.name}" AS t JOIN {_list(table, keys)} ON {same}{tail}'  # noqa: S608 - names are our own


@lru_cache(maxsize=256)
def _insert(table: Table, update: tuple[str, ...], only: str) -> str:
    names = tuple(column.name for column in table.columns)
    head = f'INSERT INTO "{table.name}" ({names_of(names)}) SELECT * FROM {_list(table, names)}'  # noqa: S608 - names are our own
    return head + on_conflict(table, update, only)


@lru_cache(maxsize=256)
def _update(table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    changes = ",".join(f'"{name}"=v.k{n}' for n, name in enumerate(columns, start=len(keys)))
    same = " AND ".join(f'"{table.name}"."{name}"=v.k{n}' for n, name in enumerate(keys))
    return f'UPDATE "{table.name}" SET {changes} FROM {_list(table, keys + columns)} WHERE {same}'  # noqa: S608 - names are our own


@lru_cache(maxsize=256)
def _delete(table: Table, keys: tuple[str, ...]) -> str:
    same = " AND ".join(f'"{table.name}"."{name}"=v.k{n}' for n, name in enumerate(keys))
    return f'DELETE FROM "{table.name}" USING {_list(table, keys)} WHERE {same}'  # noqa: S608 - names are our own


def _arrays(table: Table, names: tuple[str, ...], rows: Iterable[Row]) -> list[list[Any]]:
    return [_array(table.c[name].type, values) for name, values in zip(names, zip(*rows, strict=True), strict=False)]


def _array(kind: Any, values: Sequence[Any]) -> list[Any]:
    if isinstance(kind, Words):
        return [storable(value) for value in values]
    if isinstance(kind, Float):
        return [None if value is None else float(value) for value in values]
    return list(values)
