"""The door's memory: which events it has accepted under which key, and where they stand in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError

from andon.core.event import Position
from andon.core.work import StoreFailure
from andon.store.database import plain

ERA_ROWS = 50_000
ERA_SECONDS = 6 * 3_600.0

_CHUNK = 20_000
_digest = blake2b(digest_size=8).copy  # to call it costs half of what making a new one does
_ROW = Struct(">16s16sIQQ")
_VALUE = Struct(">16sIQQ")

# Keys are hashes, so a commit dirties about a page per row of the tree it writes to, and one tree of all keys would
# soon be larger than any cache (measured: 17 us a row and growing). An era has few pages, and many rows share them:
# with 50,000 rows an era and 1,000 a commit it is 3 us a row, with 200,000 it was 8. What is looked up, which is rare,
# is looked up in each era; what is too old goes era by era.
_METADATA = sa.MetaData()
sa.Table(
    "eras",
    _METADATA,
    sa.Column("era", sa.Integer, primary_key=True),
    sa.Column("opened", sa.Float, nullable=False),
)
sa.Table(
    "requests",
    _METADATA,
    sa.Column("era", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
# A whole group is one parameter and one statement. executemany() would give up and take back the interpreter lock
# once per row, and each time wait for the event loop of a busy door to let go of it.
_INSERT = sa.text(
    "WITH RECURSIVE at(i) AS (SELECT 1 UNION ALL SELECT i + :size FROM at WHERE i + :size < length(:rows)) "
    "INSERT INTO requests (era, key, value) SELECT :era, substr(:rows, i, 16), substr(:rows, i + 16, :size - 16) "
    "FROM at WHERE true ON CONFLICT DO NOTHING"
)
_READ = sa.text(
    "WITH RECURSIVE at(i) AS (SELECT 1 UNION ALL SELECT i + 16 FROM at WHERE i + 16 < length(:keys)) "
    "SELECT r.key, r.value FROM at CROSS JOIN eras e CROSS JOIN requests r "
    "WHERE r.era = e.era AND r.key = substr(:keys, i, 16) ORDER BY r.era DESC"
)
_FIND = sa.text(
    "SELECT r.value FROM eras e CROSS JOIN requests r "
    "WHERE r.era = e.era AND r.key BETWEEN :first AND :last ORDER BY r.era DESC LIMIT 1"
)
_KEYS = sa.text("SELECT era, key FROM requests WHERE (era, key) > (:era, :key) ORDER BY era, key LIMIT :count")
_COUNT = sa.text("SELECT count(*) FROM requests")
_NEWEST = sa.text(
    "SELECT era, opened, (SELECT count(*) FROM requests r WHERE r.era = e.era) FROM eras e ORDER BY era DESC LIMIT 1"
)
_OPEN = sa.text("INSERT INTO eras (era, opened) VALUES (:era, :opened)")
_ENDED = sa.text("SELECT era FROM eras e WHERE (SELECT min(opened) FROM eras n WHERE n.era > e.era) < :before")
_FORGET = (sa.text("DELETE FROM requests WHERE era = :era"), sa.text("DELETE FROM eras WHERE era = :era"))


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
        self._engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": 5.0})
        sa.event.listen(self._engine, "connect", _prepare)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _METADATA.create_all(self._engine)
            with self._engine.connect() as connection:
                newest = connection.execute(_NEWEST).one_or_none()
        except (SQLAlchemyError, OSError) as error:
            self.close()
            raise self._failure(error) from None
        self._era: int
        self._opened: float
        self._rows: int
        self._era, self._opened, self._rows = newest or (0, 0.0, ERA_ROWS)

    def write(self, requests: Sequence[Request], now: float) -> None:
        """Keeps accepted requests in one commit. A key that was there keeps its first value."""
        rows = [_packed(request) for request in requests]
        rows.sort()
        opens = self._rows >= ERA_ROWS or not 0 <= now - self._opened < ERA_SECONDS
        era = self._era + opens
        try:
            with self._engine.begin() as connection:
                if opens:
                    connection.execute(_OPEN, {"era": era, "opened": now})
                connection.execute(_INSERT, {"era": era, "size": _ROW.size, "rows": b"".join(rows)})
        except SQLAlchemyError as error:
            raise self._failure(error) from None
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
            try:
                with self._engine.begin() as connection:
                    for statement in _FORGET:
                        connection.execute(statement, {"era": era})
            except SQLAlchemyError as error:
                raise self._failure(error) from None

    def close(self) -> None:
        self._engine.dispose()

    def _query(self, statement: sa.TextClause, **values: object) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement, values).all()
        except SQLAlchemyError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> StoreFailure:
        return StoreFailure(f"the index of accepted requests {self._path} cannot be used: {plain(error)}")


def _packed(request: Request) -> bytes:
    position = request.position
    if position is None:
        raise ValueError("only an appended event is kept")
    return _ROW.pack(request.key, request.digest, position.partition, position.offset, position.at)


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-8192"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
