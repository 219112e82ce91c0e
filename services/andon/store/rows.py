"""Many rows in one statement.

A statement per row would hand the interpreter's lock over once per row, and the event loop gives it back only after
its switch interval: 256 rows then take longer than the calls they record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

# Few sizes, so that the driver finds its prepared statement again.
_SIZES = (64, 16, 4, 1)
Row = Sequence[Any]


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = list(rows)
    start = 0
    for size in _SIZES:
        while len(rest) - start >= size:
            yield rest[start : start + size]
            start += size


@lru_cache(maxsize=64)
def _marks(paramstyle: str, width: int, height: int) -> str:
    mark = "?" if paramstyle == "qmark" else "%s"
    row = "(" + ",".join([mark] * width) + ")"
    return ",".join([row] * height)


def _run(connection: Connection, statement: Callable[[str], str], width: int, rows: Iterable[Row]) -> None:
    for chunk in _chunks(rows):
        marks = _marks(connection.dialect.paramstyle, width, len(chunk))
        connection.exec_driver_sql(statement(marks), tuple(chain.from_iterable(chunk)))


def insert(
    connection: Connection, table: Table, rows: Iterable[Row], *, update: Sequence[str] = (), only: str = ""
) -> None:
    """Inserts rows of all columns in table order; those whose key exists get the `update` columns instead, if the SQL
    condition `only` holds of what is there."""
    names = [f'"{column.name}"' for column in table.columns]
    conflict = ""
    if update:
        keys = ",".join(f'"{column.name}"' for column in table.primary_key.columns)
        changes = ",".join(f'"{name}"=excluded."{name}"' for name in update)
        conflict = f" ON CONFLICT ({keys}) DO UPDATE SET {changes}" + (f" WHERE {only}" if only else "")
    head = f'INSERT INTO "{table.name}" ({",".join(names)}) VALUES '  # noqa: S608 - names are our own
    _run(connection, lambda marks: f"{head}{marks}{conflict}", len(names), rows)


def update(connection: Connection, table: Table, key: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Sets `columns` of the rows whose `key` stands first in each given row."""
    changes = ",".join(f'"{name}"=v.column{n}' for n, name in enumerate(columns, start=2))
    head = f'UPDATE "{table.name}" SET {changes} FROM (VALUES '  # noqa: S608 - names are our own
    tail = f') AS v WHERE "{table.name}"."{key}"=v.column1'
    _run(connection, lambda marks: f"{head}{marks}{tail}", len(columns) + 1, rows)


def select(connection: Connection, table: Table, columns: Sequence[str], key: str, values: Iterable[Any]) -> list[Any]:
    """These columns of the rows whose `key` is one of the values."""
    names = ",".join(f'"{name}"' for name in columns)
    head = f'SELECT {names} FROM "{table.name}" WHERE "{key}" IN (VALUES '  # noqa: S608 - names are our own
    found: list[Any] = []
    for chunk in _chunks([(value,) for value in values]):
        marks = _marks(connection.dialect.paramstyle, 1, len(chunk))
        found += connection.exec_driver_sql(f"{head}{marks})", tuple(chain.from_iterable(chunk))).all()
    return found
