"""What is done to a desk's store while the desk does not run: upgrade, adopt, migrate. Each holds the store alone."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import Connection, delete

from andon.core.work import StoreFailure
from andon.store import sqlite
from andon.store.database import Database
from andon.store.lookup import look_into
from andon.store.tables import SCHEMA_VERSION, about
from andon.store.transfer import Progress, Sum, transfer


def is_there(url: str, name: str) -> bool:
    """Whether the desk has ever had a store under this URL. Raises StoreFailure."""
    found = look_into(url, name)
    if found is None:
        return False
    found.close()
    return True


def upgrade(url: str, name: str) -> tuple[int, int]:
    """Brings the tables to today's schema, in one transaction; from which to which. Raises StoreFailure."""
    with closing(Database(url, name, alone=True, any_version=True)) as database:

        def work(connection: Connection) -> int:
            found = database.version(connection)
            if found < SCHEMA_VERSION:
                from andon.store import migrations

                migrations.upgrade(connection, found)
            database.require_today(connection)
            return found

        return database.run(work), SCHEMA_VERSION


def adopt(url: str, name: str) -> bool:
    """Makes a SQLite store that was moved here this machine's own; False when it was that already."""
    machine = sqlite.machine()
    if machine is None:
        raise StoreFailure("this machine has no id of its own (/etc/machine-id), so no store is bound to it")
    with closing(Database(url, name, alone=True, any_version=True)) as database:

        def work(connection: Connection) -> bool:
            database.require_today(connection)
            here = connection.execute(about.select().where(about.c.key == "machine")).one_or_none()
            connection.execute(delete(about).where(about.c.key == "machine"))
            connection.execute(about.insert().values(key="machine", value=machine))
            return here is not None and here.value != machine

        return database.run(work)


def migrate(source: str, target: str, name: str, progress: Progress) -> dict[str, Sum]:
    """Moves everything the desk keeps to another database. Raises StoreFailure."""
    where = "SQLite" if target.startswith("sqlite:") else "PostgreSQL"
    with closing(Database(source, name, alone=True)) as old, closing(Database(target, name, alone=True)) as new:
        return transfer(old, new, where, progress)
