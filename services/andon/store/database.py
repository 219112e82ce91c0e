"""Opening a database. SQLite by default: WAL, every commit on disk before it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from andon.core.work import StoreFailure
from andon.store import tables


def open_database(url: str, name: str) -> Engine:
    """The database `name` (one per desk) under the store's URL, with its tables.

    A SQLite URL names a folder that gets one file per desk. Raises StoreFailure.
    """
    try:
        engine = _sqlite(url, name) if url.startswith("sqlite:") else create_engine(url, pool_pre_ping=True)
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise StoreFailure(f"the store {name} cannot be opened: {plain(error)}") from None
    try:
        found = _prepared(engine)
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        raise StoreFailure(f"the store {name} cannot be opened: {plain(error)}") from None
    if found != tables.SCHEMA_VERSION:
        engine.dispose()
        raise StoreFailure(f"the store {name} has schema {found}, this version needs {tables.SCHEMA_VERSION}")
    return engine


def _prepared(engine: Engine) -> int:
    """Makes the tables if there are none; the version of their schema. One transaction, for processes start at once."""
    with engine.begin() as connection:
        if not inspect(connection).has_table(tables.schema.name):
            tables.metadata.create_all(connection)
            connection.execute(tables.schema.insert().values(version=tables.SCHEMA_VERSION))
        return int(connection.execute(select(tables.schema.c.version)).scalar_one())


def _sqlite(url: str, name: str) -> Engine:
    folder = Path(url.removeprefix("sqlite:///"))
    folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{folder / name}.sqlite", connect_args={"timeout": 30, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        # Transactions are begun by us (BEGIN IMMEDIATE), so that a lease is read and used under one write lock.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-8192"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def plain(error: Exception) -> str:
    """The database's own words without statement or parameters, which may hold what people wrote."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
