"""A desk's database in a SQLite file: WAL, every commit on disk before it returns, processes of one machine only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, LargeBinary, Table, create_engine, event

from andon.core.work import StoreFailure
from andon.store.rows import Row, names_of, on_conflict

OLDEST = (3, 35)
"""The library that knows UPDATE … FROM and RETURNING; a Python uses that of its system, unless it brings its own."""

# Few sizes, so that the driver finds its prepared statement again: eights up to 64, and what is less than eight.
_MOST, _STEP = 64, 8
_HEAVY = 8 << 10
_OF_SEVERAL_MACHINES = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "gfs2", "ocfs2", "lustre", "beegfs", "gpfs", "glusterfs",
    "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.ceph",
}  # fmt: skip
LOOKING = "andon_looking"
"""The execution option of a connection that only reads."""
MOUNTS = Path("/proc/self/mountinfo")
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def folder_of(url: str) -> Path:
    """The folder a store's URL names."""
    return Path(url.removeprefix("sqlite:///"))


def file_of(url: str, name: str) -> Path:
    """The desk's file there."""
    return folder_of(url) / f"{name}.sqlite"


def sqlite_engine(url: str, name: str) -> Engine:
    """The desk's file, made with its folder if need be. Raises OSError, and StoreFailure on a network file system
    or for a library that is too old."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreFailure(
            f"the store {name} needs SQLite {'.'.join(map(str, OLDEST))} or later, this Python has "
            f"{sqlite3.sqlite_version}: take one that brings its own, or use PostgreSQL (docs/store.md)"
        )
    folder = folder_of(url)
    folder.mkdir(parents=True, exist_ok=True)
    if kind := shared_file_system(folder):
        raise StoreFailure(
            f"the store {name} lies on a network file system ({kind}), where SQLite's locks do not hold: give it a "
            "folder on this machine's own disk, or use PostgreSQL (docs/store.md)"
        )
    engine = create_engine(f"sqlite:///{file_of(url, name)}", connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        # Transactions are begun by us (BEGIN IMMEDIATE), so that a lease is read and used under one write lock; those
        # that only read take none.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-8192"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(LOOKING) else "BEGIN IMMEDIATE")

    return engine


def hold(url: str, name: str, *, alone: bool) -> int | None:
    """Marks the store as in use until the returned descriptor is closed, or the process ends; None when it cannot be:
    `alone` while anyone uses it, otherwise while somebody has it alone."""
    lock = os.open(folder_of(url) / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def machine() -> str | None:
    """What tells this machine from others; None where nothing does, as in many containers."""
    for path in _MACHINE_IDS:
        try:
            if found := path.read_text(encoding="ascii").strip():
                return found
        except (OSError, UnicodeDecodeError):
            continue
    return None


def shared_file_system(folder: Path) -> str | None:
    """The kind of the file system a folder is on, if several machines can mount that at once."""
    try:
        mounts = [line.split() for line in MOUNTS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None  # not Linux
    whole = folder.resolve()
    over = [(len(one[4]), one[one.index("-") + 1]) for one in mounts if whole.is_relative_to(_unescaped(one[4]))]
    kind = max(over, default=(0, ""))[1]
    return kind if kind in _OF_SEVERAL_MACHINES else None


def _unescaped(path: str) -> str:
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


class SqliteRows:
    """`Rows` for SQLite: VALUES lists of a few sizes."""

    def __init__(self, connection: Connection) -> None:
        self._cursor = connection.connection.cursor()

    def select(
        self, table: Table, columns: Sequence[str], keys: Sequence[str], values: Iterable[Row], *, lock: bool = False
    ) -> list[Any]:
        """`lock` says nothing: SQLite has one writer, and the transaction is that one."""
        head = f'SELECT {names_of(columns)} FROM "{table.name}" WHERE ({names_of(keys)}) IN (VALUES '  # noqa: S608 - names are our own
        ran = self._ran(lambda marks: f"{head}{marks})", len(keys), values)
        return [row for _ in ran for row in self._cursor.fetchall()]

    def insert(self, table: Table, rows: Iterable[Row], *, update: Sequence[str] = (), only: str = "") -> None:
        names = [column.name for column in table.columns]
        head = f'INSERT INTO "{table.name}" ({names_of(names)}) VALUES '  # noqa: S608 - names are our own
        tail = on_conflict(table, update, only)
        for group in _by_weight(table, rows):
            deque(self._ran(lambda marks: f"{head}{marks}{tail}", len(names), group), maxlen=0)

    def update(self, table: Table, keys: Sequence[str], columns: Sequence[str], rows: Iterable[Row]) -> None:
        changes = ",".join(f'"{name}"=v.column{n}' for n, name in enumerate(columns, start=len(keys) + 1))
        where = " AND ".join(f'"{table.name}"."{name}"=v.column{n}' for n, name in enumerate(keys, start=1))
        head, tail = f'UPDATE "{table.name}" SET {changes} FROM (VALUES ', f") AS v WHERE {where}"  # noqa: S608 - names are our own
        deque(self._ran(lambda marks: f"{head}{marks}{tail}", len(keys) + len(columns), rows), maxlen=0)

    def delete(self, table: Table, keys: Sequence[str], values: Iterable[Row]) -> None:
        # Of several columns IN (VALUES …) is looked up in no index, and CROSS JOIN keeps the order that is.
        same = " AND ".join(f't."{name}"=v.column{n}' for n, name in enumerate(keys, start=1))
        head = f'DELETE FROM "{table.name}" WHERE rowid IN (SELECT t.rowid FROM (VALUES '  # noqa: S608 - names are our own
        tail = f') AS v CROSS JOIN "{table.name}" AS t ON {same})'
        deque(self._ran(lambda marks: f"{head}{marks}{tail}", len(keys), values), maxlen=0)

    def run(self, statement: str, values: Row) -> None:
        self._cursor.execute(statement, tuple(values))

    def _ran(self, statement: Callable[[str], str], width: int, rows: Iterable[Row]) -> Iterator[Any]:
        for chunk in _chunks(rows):
            marks = _marks(width, len(chunk))
            yield self._cursor.execute(statement(marks), tuple(chain.from_iterable(chunk)))


def _by_weight(table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The light rows together, each heavy one by itself.

    A prepared statement keeps what was bound to it last. Of those for many rows there are a dozen for each table, and
    with the largest events in them they would hold a hundred megabytes.
    """
    places = _blobs(table)
    light = []
    for row in rows:
        if any(len(row[place] or b"") > _HEAVY for place in places):
            yield [row]
        else:
            light.append(row)
    yield light


@cache
def _blobs(table: Table) -> tuple[int, ...]:
    return tuple(n for n, column in enumerate(table.columns) if isinstance(column.type, LargeBinary))


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = list(rows)
    start = 0
    while left := len(rest) - start:
        size = min(_MOST, left // _STEP * _STEP or left)
        yield rest[start : start + size]
        start += size


@lru_cache(maxsize=256)
def _marks(width: int, height: int) -> str:
    row = "(" + ",".join(["?"] * width) + ")"
    return ",".join([row] * height)
