"""The door's memory: which events it has accepted under which key, and where they stand in the log.

Without SQLAlchemy: it is SQLite's alone, and to load that takes a fifth of the time in which a door is there again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec

from andon.core.event import Position
from andon.core.work import StoreFailure

ERA_ROWS = 50_000
ERA_SECONDS = 6 * 3_600.0

_CHUNK = 20_000
_BUSY_S = 5.0
_digest = blake2b(digest_size=8).copy  # to call it costs half of what making a new one does
_ROW = Struct(">16s16sIQQ")
_VALUE = Struct(">16sIQQ")

# Keys are hashes, so a commit dirties about a page per row of the tree it writes to, and one tree of all keys would
# soon be larger than any cache (measured: 17 us a row and growing). An era has few pages, and many rows share them:
# with 50,000 rows an era and 1,000 a commit it is 3 us a row, with 200,000 it was 8. What is looked up, which is rare,
# is looked up in each era; what is too old goes era by era.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS eras (era INTEGER NOT NULL PRIMARY KEY, opened FLOAT NOT NULL)",
    (
        "CREATE TABLE IF NOT EXISTS requests (era INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "
        "PRIMARY KEY (era, key)) WITHOUT ROWID"
    ),
)
_KNOWN = "SELECT 1 FROM sqlite_master WHERE name = 'requests'"
# A whole group is one parameter and one statement. executemany() would give up and take back the interpreter lock
# once per row, and each time wait for the event loop of a busy door to let go of it.
_INSERT = (
    "WITH RECURSIVE at(i) AS (SELECT 1 UNION ALL SELECT i + :size FROM at WHERE i + :size < length(:rows)) "
    "INSERT INTO requests (era, key, value) SELECT :era, substr(:rows, i, 16), substr(:rows, i + 16, :size - 16) "
    "FROM at WHERE true ON CONFLICT DO NOTHING"
)
_READ = (
    "WITH RECURSIVE at(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM at WHERE i + 16 < length(:keys)) "
    "SELECT r.key, r.value FROM at CROSS JOIN eras e CROSS JOIN requests r "
    "WHERE r.era = e.era AND r.key = substr(:keys, i, 16) ORDER BY r.era DESC"
)
_FIND = (
    "SELECT r.value FROM eras e CROSS JOIN requests r "
    "WHERE r.era = e.era AND r.key BETWEEN :first AND :last ORDER BY r.era DESC LIMIT 1"
)
_KEYS = "SELECT era, key FROM requests WHERE (era, key) > (:era, :key) ORDER BY era, key LIMIT :count"
_COUNT = "SELECT count(*) FROM requests"
_NEWEST = (
    "SELECT era, opened, (SELECT count(*) FROM requests r WHERE r.era = e.era) FROM eras e ORDER BY era DESC LIMIT 1"
)
_OPEN = "INSERT INTO eras (era, opened) VALUES (:era, :opened)"
_ENDED = "SELECT era FROM eras e WHERE (SELECT min(opened) FROM eras n WHERE n.era > e.era) < :before"
_FORGET = ("DELETE FROM requests WHERE era = :era", "DELETE FROM eras WHERE era = :era")


def request_key(event_id: str, scope: bytes) -> bytes:
    """16 bytes: the hash of an event's id, by which it can be found, and the 8 bytes of its scope."""
    digest = _digest()
    digest.update(event_id.encode())
    return digest.digest() + scope


def scope_of(*words: str) -> bytes:
    """8 bytes for the words within which an id names one event. The words hold no line feed."""
    return blake2b("\n".join(words).encode(), digest_size=8).digest()


class Request(msgspec.Struct, gc=False):
    """An accepted event under one of its keys (`request_key`). `digest` is 16 bytes over what the client gave."""

    key: bytes
    digest: bytes
    position: Position | None = None


class RequestIndex:
    """The accepted requests, in a SQLite file (WAL) of their own with one writer. Every method blocks and may raise
    StoreFailure.

    Commits survive the death of the process, not always a power cut (`synchronous=NORMAL`): then a repetition may
    be appended a second time, and the desk's key sees to it that it has no second effect.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self._own = threading.local()
        self._all: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failure(error) from None
        try:
            if not self._query(_KNOWN):  # who only looks something up takes no lock from the door
                self._commit(*((table, {}) for table in _TABLES))
            newest = self._query(_NEWEST)
        except StoreFailure:
            self.close()
            raise
        self._era: int
        self._opened: float
        self._rows: int
        self._era, self._opened, self._rows = newest[0] if newest else (0, 0.0, ERA_ROWS)

    def write(self, requests: Sequence[Request], now: float) -> None:
        """Keeps accepted requests in one commit. A key that was there keeps its first value."""
        rows = [_packed(request) for request in requests]
        rows.sort()
        opens = self._rows >= ERA_ROWS or not 0 <= now - self._opened < ERA_SECONDS
        era = self._era + opens
        opening = [(_OPEN, {"era": era, "opened": now})] if opens else []
        self._commit(*opening, (_INSERT, {"era": era, "size": _ROW.size, "rows": b"".join(rows)}))
        if opens:
            self._era, self._opened, self._rows = era, now, 0
        self._rows += len(rows)

    def read(self, keys: Sequence[bytes]) -> list[Request]:
        """What is kept under these keys, in no order; one answer per key, the first that was written."""
        first: dict[bytes, Request] = {}
        for key, value in self._query(_READ, keys=b"".join(keys)):
            digest, *place = _VALUE.unpack(value)
            first[key] = Request(key, digest, Position(self._topic, *place))
        return list(first.values())

    def find(self, event_id: str) -> Position | None:
        """Where the latest event with this id stands in the log; None if it came without id and key, or long ago."""
        first, last = request_key(event_id, b"\0" * 8), request_key(event_id, b"\xff" * 8)
        found = self._query(_FIND, first=first, last=last)
        return Position(self._topic, *_VALUE.unpack(found[0][0])[1:]) if found else None

    def all_keys(self) -> Iterator[list[bytes]]:
        """Every key, in chunks; one that was written twice comes twice."""
        era, key = -1, b""
        while rows := self._query(_KEYS, era=era, key=key, count=_CHUNK):
            era, key = rows[-1]
            yield [key for _, key in rows]

    def count(self) -> int:
        """How many requests are kept."""
        return int(self._query(_COUNT)[0][0])

    def prune(self, before: float) -> None:
        """Forgets the eras that ended before that time, each in a commit."""
        for (era,) in self._query(_ENDED, before=before):
            self._commit(*((statement, {"era": era}) for statement in _FORGET))

    def close(self) -> None:
        """To be called when no other thread is at work in it."""
        for connection in self._all:
            connection.close()

    def _commit(self, *statements: tuple[str, Mapping[str, object]]) -> None:
        """All of them, or none."""
        try:
            with self._connection() as connection:
                connection.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _query(self, statement: str, **values: object) -> Sequence[Any]:
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _connection(self) -> sqlite3.Connection:
        """This thread's own: the door writes and reads on two."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._all.append(connection)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-8192"):
                connection.execute(f"PRAGMA {pragma}")
            self._own.connection = connection
        return connection

    def _failure(self, error: Exception) -> StoreFailure:
        return StoreFailure(f"the index of accepted requests {self._path} cannot be used: {error}")


def _packed(request: Request) -> bytes:
    position = request.position
    if position is None:
        raise ValueError("only an appended event is kept")
    return _ROW.pack(request.key, request.digest, position.partition, position.offset, position.at)
