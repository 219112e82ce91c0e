"""Opening a desk's database, and transactions in it. SQLite by default, PostgreSQL for several hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from andon.core.work import StoreFailure
from andon.store import postgresql, sqlite, tables
from andon.store.rows import Rows

T = TypeVar("T")
_TRIES = 5


class Database:
    """The tables of one desk, with transactions that are done again where that is safe. Safe for threads."""

    def __init__(self, url: str, name: str, *, alone: bool = False) -> None:
        """Opens the desk `name` under the store's URL, and makes its tables if there are none. It counts as in use
        until it is closed; `alone` keeps everybody else away. Raises StoreFailure."""
        self.name = name
        self.is_sqlite = url.startswith("sqlite:")
        self._held: int | None = None
        with self._opening():
            self._engine: Engine = (sqlite.sqlite_engine if self.is_sqlite else postgresql.postgres_engine)(url, name)
        try:
            self._failures = (SQLAlchemyError, postgresql.Lost, self._engine.dialect.loaded_dbapi.Error)
            self._use(url, alone=alone)
            with self._opening():
                self._prepare()
        except StoreFailure:
            self.close()
            raise

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
            raise StoreFailure(f"the store {self.name} cannot be opened: {plain(error)}") from None

    def _use(self, url: str, *, alone: bool) -> None:
        if not self.is_sqlite:
            postgresql.hold_each(self._engine, self.name)
            return
        with self._opening():
            self._held = sqlite.hold(url, self.name, alone=alone)
        if self._held is None:
            raise StoreFailure(f"the store {self.name} is being migrated or upgraded just now: start again after that")

    def _prepare(self) -> None:
        """Makes the tables if there are none. One transaction, for processes start at once."""
        with self._engine.begin() as connection:
            if not self.is_sqlite:
                postgresql.prepare(connection, self.name)
            if not inspect(connection).has_table(tables.schema.name):
                tables.metadata.create_all(connection)
                connection.execute(tables.schema.insert().values(version=tables.SCHEMA_VERSION))
            found = int(connection.execute(select(tables.schema.c.version)).scalar_one())
        if found != tables.SCHEMA_VERSION:
            raise StoreFailure(f"the store {self.name} has schema {found}, this version needs {tables.SCHEMA_VERSION}")

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, after one transaction. It may be called again, after nothing of it was kept."""

        def once() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return self._tried(once, lambda: True)

    def rows(self, work: Callable[[Rows], T]) -> T:
        """Like `run`, by the driver's own cursor."""
        ending = False

        def once() -> T:
            nonlocal ending
            ending = False
            with self._engine.connect() as connection, self._rows(connection) as by:
                answer = work(by)
                ending = True
                return answer

        return self._tried(once, lambda: not ending)

    @contextmanager
    def _rows(self, connection: Connection) -> Iterator[Rows]:
        if self.is_sqlite:
            with connection.begin():
                yield sqlite.SqliteRows(connection)
        else:
            with postgresql.pipelined(connection) as rows:
                yield rows

    def _tried(self, once: Callable[[], T], undone: Callable[[], bool]) -> T:
        """`undone` says whether a transaction whose connection was lost cannot have been committed."""
        for tried in range(_TRIES):
            try:
                return once()
            except self._failures as error:
                if isinstance(error, postgresql.Lost) or getattr(error, "connection_invalidated", False):
                    # Once: it may have been lost long ago, when nobody used it; and so may have the others.
                    self._engine.dispose()
                    again = tried == 0 and undone()
                else:
                    again = tried < _TRIES - 1 and _state(error) in postgresql.AGAIN
                if not again:
                    raise StoreFailure(f"the store {self.name} failed: {plain(error)}") from None
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._engine.dispose()
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _state(error: Exception) -> Any:
    return getattr(getattr(error, "orig", None) or error, "sqlstate", None)


def plain(error: Exception) -> str:
    """The database's own words without statement, parameters or address, which may hold what nobody should read."""
    if isinstance(error, ValueError):
        return "its address cannot be read"
    original = getattr(error, "orig", None) or error
    if isinstance(original, ImportError):
        return f"the driver is missing ({original}); for PostgreSQL: pip install 'andon[postgresql]'"
    lines = str(original).splitlines()
    return " ".join(lines[0].split()) if lines else type(original).__name__
