"""Many rows in one statement, by the driver's own cursor.

A statement per row would hand the interpreter's lock over once per row, and the event loop gives it back only after
its switch interval: 256 rows then take longer than the calls they record. And a commit of a desk has some fifteen
statements: the way to each through SQLAlchemy costs more than most of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Table

Row = Sequence[Any]


class Rows(Protocol):
    """Statements in one transaction. What goes wrong is told in the driver's exceptions, at the latest by its end."""

    def select(
        self, table: Table, columns: Sequence[str], keys: Sequence[str], values: Iterable[Row], *, lock: bool = False
    ) -> list[Any]:
        """These columns of the rows whose `keys` are among the values. With `lock` nobody else changes them until the
        end; several are locked in the order of their keys, so that two who want the same never wait for each other."""

    def insert(self, table: Table, rows: Iterable[Row], *, update: Sequence[str] = (), only: str = "") -> None:
        """Inserts rows of all columns in table order; those whose key exists get the `update` columns instead, if the
        SQL condition `only` holds of what is there. With `update` no key may come twice."""

    def update(self, table: Table, keys: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Sets `columns` of the rows whose `keys` stand first in each given row."""

    def delete(self, table: Table, keys: Sequence[str], values: Iterable[Row]) -> None:
        """Deletes the rows whose `keys` are among the values."""

    def run(self, statement: str, values: Row) -> None:
        """A statement with `?` for each value, which is given to the driver as it is: none may be of `Words`."""


def names_of(columns: Iterable[str]) -> str:
    """Quoted, with commas."""
    return ",".join(f'"{name}"' for name in columns)


def on_conflict(table: Table, update: Sequence[str], only: str) -> str:
    """What becomes of a row whose key is there already."""
    if not update:
        return ""
    keys = names_of(column.name for column in table.primary_key.columns)
    changes = ",".join(f'"{name}"=excluded."{name}"' for name in update)
    return f" ON CONFLICT ({keys}) DO UPDATE SET {changes}" + (f" WHERE {only}" if only else "")
