"""Many rows in one statement.

A statement per row would hand the interpreter's lock over once per row, and the event loop gives it back only after
its switch interval: 256 rows then take longer than the calls they record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table

_CHUNK = 64
Row = Sequence[Any]


def _marks(connection: Connection, width: int, height: int) -> str:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    row = "(" + ",".join([mark] * width) + ")"
    return ",".join([row] * height)


def _chunks(rows: Iterable[Row]) -> Iterable[list[Row]]:
    rest = iter(rows)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _run(connection: Connection, statement: str, chunk: list[Row]) -> None:
    connection.exec_driver_sql(statement, tuple(value for row in chunk for value in row))


def insert(connection: Connection, table: Table, rows: Iterable[Row], *, update: Sequence[str] = ()) -> None:
    """Inserts rows of all columns in table order; those whose key exists get the `update` columns instead."""
    names = [f'"{column.name}"' for column in table.columns]
    conflict = ""
    if update:
        keys = ",".join(f'"{column.name}"' for column in table.primary_key.columns)
        changes = ",".join(f'"{name}"=excluded."{name}"' for name in update)
        conflict = f" ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    for chunk in _chunks(rows):
        marks = _marks(connection, len(names), len(chunk))
        _run(connection, f'INSERT INTO "{table.name}" ({",".join(names)}) VALUES {marks}{conflict}', chunk)  # noqa: S608


def update(connection: Connection, table: Table, key: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Sets `columns` of the rows whose `key` stands first in each given row."""
    changes = ",".join(f'"{name}"=v.column{n}' for n, name in enumerate(columns, start=2))
    for chunk in _chunks(rows):
        marks = _marks(connection, len(columns) + 1, len(chunk))
        _run(
            connection,
            f'UPDATE "{table.name}" SET {changes} FROM (VALUES {marks}) AS v '  # noqa: S608
            f'WHERE "{table.name}"."{key}"=v.column1',
            chunk,
        )


def delete(connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[Row]) -> None:
    """Deletes the rows with these keys."""
    names = ",".join(f'"{key}"' for key in keys)
    for chunk in _chunks(rows):
        marks = _marks(connection, len(keys), len(chunk))
        _run(connection, f'DELETE FROM "{table.name}" WHERE ({names}) IN (VALUES {marks})', chunk)  # noqa: S608
