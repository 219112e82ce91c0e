"""Moves what a desk keeps from one database to another: whole, checked, and then nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, func, select

from andon.core.work import StoreFailure
from andon.store.database import Database
from andon.store.tables import about, attempt, item, lease, memo, outbox

MOVED = (lease, item, attempt, memo, outbox)
_PORTION = 1_000

Progress = Callable[[str, int, int], None]
"""Called as `progress(table, rows so far, rows in all)`."""


class Sum(msgspec.Struct, frozen=True):
    """How many rows, and a digest of them in no order: databases sort texts differently."""

    rows: int
    digest: str


def transfer(source: Database, target: Database, where: str, progress: Progress) -> dict[str, Sum]:
    """Copies every row in one transaction, compares, and marks the source as moved to `where` (words for people).

    Both are held alone. Interrupted anywhere it may be done again: a target that holds exactly what the source does is
    taken as copied. Raises StoreFailure; a target that holds anything else is not touched.
    """
    sums: dict[str, Sum] = source.run(lambda read: target.run(lambda write: _copy(read, write, progress)))
    source.run(lambda connection: connection.execute(about.insert().values(key="moved", value=where)))
    return sums


def _copy(read: Connection, write: Connection, progress: Progress) -> dict[str, Sum]:
    if any(_count(write, table) for table in MOVED):
        if {table.name: _sum(read, table) for table in MOVED} == {table.name: _sum(write, table) for table in MOVED}:
            return {table.name: _sum(write, table) for table in MOVED}
        raise StoreFailure("there is other work where it should go: migrate into an empty database")
    sums = {table.name: _portions(read, write, table, progress) for table in MOVED}
    for table in MOVED:
        if _sum(write, table) != sums[table.name]:
            raise StoreFailure(f"the copy of {table.name} differs from the original; nothing was kept of it")
    return sums


def _portions(read: Connection, write: Connection, table: Table, progress: Progress) -> Sum:
    whole, done, digest = _count(read, table), 0, 0
    rows = read.execution_options(yield_per=_PORTION).execute(select(table))
    for portion in rows.partitions(_PORTION):
        write.execute(table.insert(), [row._asdict() for row in portion])
        digest += sum(map(_of_row, portion))
        done += len(portion)
        progress(table.name, done, whole)
    return Sum(done, _text(digest))


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _sum(connection: Connection, table: Table) -> Sum:
    count = digest = 0
    for row in connection.execution_options(yield_per=_PORTION).execute(select(table)):
        count, digest = count + 1, digest + _of_row(row)
    return Sum(count, _text(digest))


def _of_row(row: Any) -> int:
    return int.from_bytes(blake2b(msgspec.msgpack.encode(tuple(row)), digest_size=16).digest())


def _text(digest: int) -> str:
    return f"{digest % (1 << 128):032x}"
