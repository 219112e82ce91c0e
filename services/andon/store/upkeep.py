"""What is done to a desk's store while the desk does not run: upgrade, adopt, migrate. Each holds the store alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from sqlalchemy import Connection, delete

from andon.core.work import StoreFailure
from andon.store import sqlite
from andon.store.database import Database, Moved
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
    with closing(Migration(source, target, [name])) as migration:
        return migration.move(name, progress)


class Migration:
    """The desks of these names that have a store under `source`, to be moved to `target`.

    All are held alone before the first is moved: one in use keeps back the others, for a configuration names one store
    for all. `before` are those an earlier migration has moved there; the rest are `left`. Raises StoreFailure, also
    when nothing is left of what was there.
    """

    def __init__(self, source: str, target: str, names: Sequence[str]) -> None:
        self.before: list[str] = []
        self._where = "SQLite" if target.startswith("sqlite:") else "PostgreSQL"
        self._old: dict[str, Database] = {}
        self._new: dict[str, Database] = {}
        try:
            self._hold(source, target, names)
        except StoreFailure:
            self.close()
            raise

    def _hold(self, source: str, target: str, names: Sequence[str]) -> None:
        said: Moved | None = None
        for name in names:
            if not is_there(source, name):
                continue
            try:
                self._old[name] = Database(source, name, alone=True)
            except Moved as moved:
                if not is_there(target, name):
                    raise  # to somewhere else: the desks would end in two places
                self.before.append(name)
                said = said or moved
        if said and not self._old:
            raise said
        for name in self._old:
            self._new[name] = Database(target, name, alone=True)

    @property
    def left(self) -> tuple[str, ...]:
        """Which desks are to be moved."""
        return tuple(self._old)

    def move(self, name: str, progress: Progress) -> dict[str, Sum]:
        """Moves everything one of `left` keeps. Raises StoreFailure."""
        return transfer(self._old[name], self._new[name], self._where, progress)

    def close(self) -> None:
        for database in (*self._old.values(), *self._new.values()):
            database.close()
