"""From an older schema of a desk's store to today's, step by step, each an Alembic revision. Imported by `andon store
upgrade` alone: a running service has no Alembic in it."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, update

from andon.store.tables import schema


def revisions() -> list[Any]:
    """The steps in their order: modules with `revision` (the schema they lead to) and `upgrade()`."""
    found = [import_module(f"{__name__}.{one.name}") for one in iter_modules(__path__)]
    return sorted(found, key=lambda step: int(step.revision))


def upgrade(connection: Connection, from_version: int) -> None:
    """Takes every step behind `from_version`, within the connection's transaction."""
    with Operations.context(MigrationContext.configure(connection)):
        for step in revisions():
            if int(step.revision) > from_version:
                step.upgrade()
                connection.execute(update(schema).values(version=int(step.revision)))
