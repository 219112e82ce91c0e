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


class Moved(StoreFailure):
    """The store was migrated: what stands here is old."""


class Database:
    """The tables of one desk, with transactions that are done again where that is safe. Safe for threads."""

    def __init__(self, url: str, name: str, *, alone: bool = False, any_version: bool = False) -> None:
        """Opens the desk `name` under the store's URL, and makes its tables if there are none.

        It counts as in use until it is closed; `alone` keeps everybody else away. Raises StoreFailure, also for a
        schema of `any_version` but today's unless that is wanted.
        """
        self.name = name
        self.is_sqlite = url.startswith("sqlite:")
        self._held: int | None = None
        self._keeper: Connection | None = None
        with self._opening():
            self._engine: Engine = (sqlite.sqlite_engine if self.is_sqlite else postgresql.postgres_engine)(url, name)
        try:
            self._failures = (SQLAlchemyError, postgresql.Lost, self._engine.dialect.loaded_dbapi.Error)
            with self._opening():
                self._use(url, alone=alone)
                self._prepare(any_version=any_version)
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
        others = "in use: stop every process of the desk first"
        repair = "being migrated or upgraded just now: start again after that"
        refused = StoreFailure(f"the store {self.name} is {others if alone else repair}")
        if self.is_sqlite:
            self._held = sqlite.hold(url, self.name, alone=alone)
            if self._held is None:
                raise refused
        elif alone:
            postgresql.without_hurry(self._engine)
            self._keeper = self._engine.connect()
            if not postgresql.held_alone(self._keeper, self.name):
                raise refused
        else:
            postgresql.hold_each(self._engine, self.name, refused)

    def _prepare(self, *, any_version: bool) -> None:
        """Makes the tables if there are none. One transaction, for processes start at once."""
        with self._engine.begin() as connection:
            if not self.is_sqlite:
                postgresql.prepare(connection, self.name)
            if not inspect(connection).has_table(tables.schema.name):
                if not self.is_sqlite:
                    postgresql.require_unicode(connection, self.name)
                tables.metadata.create_all(connection)
                connection.execute(tables.schema.insert().values(version=tables.SCHEMA_VERSION))
            if not any_version:
                self.require_today(connection)
                self._ours(connection)

    def version(self, connection: Connection) -> int:
        """Which schema the tables have."""
        return int(connection.execute(select(tables.schema.c.version)).scalar_one())

    def require_today(self, connection: Connection) -> None:
        """Raises StoreFailure for another schema than this version's."""
        found, today = self.version(connection), tables.SCHEMA_VERSION
        if found < today:
            raise StoreFailure(
                f"the store {self.name} has schema {found}, this version needs {today}: stop every process of the "
                "desk and run `andon store upgrade`"
            )
        if found > today:
            raise StoreFailure(
                f"the store {self.name} has schema {found}, this version knows {today} at most: it was used by a later "
                "version of Andon, run that one"
            )

    def _ours(self, connection: Connection) -> None:
        kept = {row.key: row.value for row in connection.execute(select(tables.about))}
        if moved := kept.get("moved"):
            raise Moved(
                f"the store {self.name} was migrated to {moved}, and what is here is out of date: set store.url to "
                "where it is now"
            )
        machine = sqlite.machine() if self.is_sqlite else None
        if machine and "machine" not in kept:
            connection.execute(tables.about.insert().values(key="machine", value=machine))
        elif machine and machine != kept["machine"]:
            raise StoreFailure(
                f"the store {self.name} is SQLite and belongs to another machine: several hosts need PostgreSQL "
                "(docs/store.md); if it was moved here, and nothing uses it there, run `andon store adopt`"
            )

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, after one transaction. It may be called again, after nothing of it was kept."""

        def once() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return self._tried(once, lambda: True)

    def look(self, work: Callable[[Connection], T]) -> T:
        """Like `run`, for what only reads: nobody who writes waits for it."""

        def once() -> T:
            with self._engine.connect().execution_options(**{sqlite.LOOKING: True}) as connection, connection.begin():
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
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
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
