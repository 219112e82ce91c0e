"""Many rows in one statement.

A statement per row would hand the interpreter's lock over once per row, and the event loop gives it back only after
its switch interval: 256 rows then take longer than the calls they record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table

# Few sizes, so that the driver finds its prepared statement again: eights up to 64, and what is less than eight.
_MOST, _STEP = 64, 8
Row = Sequence[Any]


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = list(rows)
    start = 0
    while left := len(rest) - start:
        size = min(_MOST, left // _STEP * _STEP or left)
        yield rest[start : start + size]
        start += size


class Driver(NamedTuple):
    """The driver's own cursor in a transaction. A commit of a desk has some fifteen statements, and the way to each
    through SQLAlchemy costs more than most of them. What goes wrong is told in the driver's exceptions."""

    cursor: Any
    mark: str


def driver(connection: Connection) -> Driver:
    """The driver under a connection that is in a transaction."""
    return Driver(connection.connection.cursor(), "?" if connection.dialect.paramstyle == "qmark" else "%s")


@lru_cache(maxsize=256)
def _marks(mark: str, width: int, height: int) -> str:
    row = "(" + ",".join([mark] * width) + ")"
    return ",".join([row] * height)


def _run(by: Driver, statement: Callable[[str], str], width: int, rows: Iterable[Row]) -> Iterator[Any]:
    for chunk in _chunks(rows):
        marks = _marks(by.mark, width, len(chunk))
        yield by.cursor.execute(statement(marks), tuple(chain.from_iterable(chunk)))


def insert(by: Driver, table: Table, rows: Iterable[Row], *, update: Sequence[str] = (), only: str = "") -> None:
    """Inserts rows of all columns in table order; those whose key exists get the `update` columns instead, if the SQL
    condition `only` holds of what is there."""
    names = [f'"{column.name}"' for column in table.columns]
    conflict = ""
    if update:
        keys = ",".join(f'"{column.name}"' for column in table.primary_key.columns)
        changes = ",".join(f'"{name}"=excluded."{name}"' for name in update)
        conflict = f" ON CONFLICT ({keys}) DO UPDATE SET {changes}" + (f" WHERE {only}" if only else "")
    head = f'INSERT INTO "{table.name}" ({",".join(names)}) VALUES '  # noqa: S608 - names are our own
    deque(_run(by, lambda marks: f"{head}{marks}{conflict}", len(names), rows), maxlen=0)


def update(by: Driver, table: Table, key: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Sets `columns` of the rows whose `key` stands first in each given row."""
    changes = ",".join(f'"{name}"=v.column{n}' for n, name in enumerate(columns, start=2))
    head = f'UPDATE "{table.name}" SET {changes} FROM (VALUES '  # noqa: S608 - names are our own
    tail = f') AS v WHERE "{table.name}"."{key}"=v.column1'
    deque(_run(by, lambda marks: f"{head}{marks}{tail}", len(columns) + 1, rows), maxlen=0)


def select(
    by: Driver, table: Table, columns: Sequence[str], key: str, values: Iterable[Any], tail: str = ""
) -> list[Any]:
    """These columns of the rows whose `key` is one of the values; `tail` ends the statement."""
    names = ",".join(f'"{name}"' for name in columns)
    head = f'SELECT {names} FROM "{table.name}" WHERE "{key}" IN (VALUES '  # noqa: S608 - names are our own
    ran = _run(by, lambda marks: f"{head}{marks}){tail}", 1, ((value,) for value in values))
    return [row for _ in ran for row in by.cursor.fetchall()]
