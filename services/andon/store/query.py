"""Reads rows of a view in somebody else's database. Never writes there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    RowMapping,
    Select,
    Table,
    create_engine,
    event,
    false,
    literal_column,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.paths import text_of
from andon.core.reason import Reason

_NAME = re.compile(r"[^\W\d][\w$#]{0,127}")
_MOST_ROWS = 100_000
MOST_OF_KEY = 1_001
"""Rows of one key that are read; nobody takes as many for an answer."""
_UNTRANSLATABLE = "22P05"  # by PostgreSQL: its encoding has not that character
_MOST_KEYS = 1_000  # Oracle takes no longer list; the others take more

Row = dict[str, Any]


def is_name(text: str) -> bool:
    """Whether the text can be the name of a column."""
    return _NAME.fullmatch(text) is not None


def is_view_name(text: str) -> bool:
    """Whether the text is `view` or `schema.view`."""
    parts = text.split(".")
    return 0 < len(parts) <= 2 and all(map(is_name, parts))


class ViewReader:
    """Rows of one view by the values of one column, in a read-only transaction; blocking, safe to call from threads.

    At most `connections` are open, beside those that did not answer and end when they do. A statement is given up after
    `deadline` seconds where the database can do that (SQLite waits that long for a lock, PostgreSQL and MySQL stop the
    statement). Raises Rejected for what only a person can mend (address, driver, names), Retryable for what may pass.
    No failure's text holds address or values.
    """

    def __init__(
        self, url: str, view: str, key: str, columns: Sequence[str] = (), *, deadline: float, connections: int
    ) -> None:
        if not is_view_name(view) or not all(map(is_name, (key, *columns))):
            raise Rejected(Reason.INVALID, "the names of view, key and columns are letters, digits, _, $ and #")
        self._view = view
        self._key = key
        self._columns = tuple(columns)
        self._engine = _engine(url, deadline, connections)
        self._table: Table | None = None

    def rows(self, keys: Sequence[Any]) -> list[Row]:
        """All rows whose key is one of `keys`, with values JSON can hold; the key with blanks at its end, if any. Of a
        key with very many rows, `MOST_OF_KEY` or more of them."""
        try:
            with self._engine.connect() as connection:
                table = self._known(connection)
                return [
                    {
                        name: self._key_as_it_is(value) if name == self._key else plain(value)
                        for name, value in row.items()
                    }
                    for some in _slices(keys)
                    for row in self._some(connection, table, some)
                ]
        except SQLAlchemyError as error:
            raise self._forgotten(error) from None

    def _some(self, connection: Connection, table: Table, keys: Sequence[Any]) -> Sequence[RowMapping]:
        """The rows of these keys; if they are too many, those of each half, down to a key that has too many itself. So
        it is where one has a character that the database has not, which then answers no question with it at all."""
        limit = MOST_OF_KEY if len(keys) == 1 else _MOST_ROWS
        try:
            found = connection.execute(_statement(table, self._key, keys).limit(limit)).mappings().all()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _UNTRANSLATABLE:
                raise
            connection.rollback()
            if len(keys) == 1:
                return ()
        else:
            if len(keys) == 1 or len(found) < limit:
                return found
        half = len(keys) // 2
        return [*self._some(connection, table, keys[:half]), *self._some(connection, table, keys[half:])]

    @staticmethod
    def _key_as_it_is(value: Any) -> Any:
        return value if isinstance(value, str) else plain(value)

    def every_row(self) -> list[Row]:
        """All rows of the view, at most 100,000. Raises as `rows` does, and Rejected(TOO_LARGE)."""
        try:
            with self._engine.connect() as connection:
                table = self._known(connection)
                found = connection.execute(select(*table.columns).limit(_MOST_ROWS + 1)).mappings()
                rows = [{name: plain(value) for name, value in row.items()} for row in found]
                rows.sort(key=by_values)
        except SQLAlchemyError as error:
            raise self._forgotten(error) from None
        if len(rows) > _MOST_ROWS:
            raise Rejected(Reason.TOO_LARGE, f"the view {self._view} has more than {_MOST_ROWS:,} rows")
        return rows

    def close(self) -> None:
        """Closes the connections not in use; those in use close when their statement ends."""
        self._engine.dispose()

    def _forgotten(self, error: SQLAlchemyError) -> Failure:
        """What the error means. The view may be another one by now: it is described anew, by new connections."""
        self._table = None
        self._engine.dispose()
        return _failure(error)

    def _known(self, connection: Connection) -> Table:
        table = self._table  # looked at once: another thread may forget it meanwhile
        if table is None:
            table = self._table = self._described(connection)
        return table

    def _described(self, connection: Connection) -> Table:
        """The view with the columns asked for. A name that is not there must be known before it is used.

        SQLite takes an unknown quoted name for a text, so that every answer would be "not found".
        """
        schema, _, name = self._view.rpartition(".")
        bare = Table(name, MetaData(), schema=schema or None)
        there = list(connection.execute(select(literal_column("*")).select_from(bare).where(false())).keys())
        if absent := [column for column in (self._key, *self._columns) if column not in there]:
            raise Rejected(Reason.INVALID, f"the view {self._view} has no column {', '.join(absent)}")
        wanted = dict.fromkeys((self._key, *(self._columns or there)))
        return Table(name, MetaData(), *(Column(column) for column in wanted), schema=schema or None)


def by_values(row: Row) -> list[str]:
    """An order for rows that any database keeps, which promises none itself."""
    return [str(value) for value in row.values()]


def plain(value: Any) -> Any:
    """A database value as JSON has it: decimals become numbers, times ISO 8601 texts, bytes hexadecimal text.

    Blanks at the end of a text go: a column of a fixed length (CHAR) is filled up with them.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value.rstrip(" ")
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _number(value: Decimal) -> int | float | str | None:
    if not value.is_finite():
        return None
    if value != value.to_integral_value():
        return float(value)
    return int(value) if abs(value) < 1 << 63 else str(value)  # beyond it, few readers of JSON keep every digit


def _statement(table: Table, key: str, keys: Sequence[Any]) -> Select[Any]:
    return select(*table.columns).where(table.columns[key].in_(keys))


def _slices(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (keys[start : start + _MOST_KEYS] for start in range(0, len(keys), _MOST_KEYS))


def _engine(text: str, deadline: float, connections: int) -> Engine:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
        engine = create_engine(
            _read_only(url) if backend == "sqlite" else url,
            connect_args=_connect_args(backend, deadline),
            hide_parameters=True,
            **_pool(backend, deadline, connections),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise Rejected(Reason.INVALID, f"there is no driver for this database ({type(error).__name__})") from None
    except (ArgumentError, ValueError):
        raise Rejected(Reason.INVALID, "the address of the database cannot be read") from None
    if backend == "sqlite":
        event.listen(engine, "connect", _take_any_text)
    elif backend in ("mysql", "mariadb"):
        event.listen(engine, "connect", _set_read_only)
    elif engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", take_any_time)
    return engine


def _read_only(url: URL) -> URL:
    """A SQLite file opened read-only, and never created (sqlite.org/uri.html)."""
    return url.set(database=f"file:{quote(url.database or '')}", query={**url.query, "mode": "ro", "uri": "true"})


def _pool(backend: str, deadline: float, connections: int) -> Mapping[str, Any]:
    if backend == "sqlite":
        # A file may be replaced by a newer export; who keeps it open goes on reading the old one.
        return {"poolclass": NullPool}
    return {"pool_size": connections, "max_overflow": 0, "pool_timeout": deadline, "pool_pre_ping": True}


def _connect_args(backend: str, deadline: float) -> Mapping[str, Any]:
    if backend == "sqlite":
        return {"timeout": deadline}
    if backend == "postgresql":
        milliseconds = int(deadline * 1000)
        # psycopg reads times in the server's usual style alone, and a role or a database may have another.
        options = f"-c statement_timeout={milliseconds} -c default_transaction_read_only=on -c DateStyle=ISO"
        return {
            "connect_timeout": max(2, int(deadline)),
            "client_encoding": "utf8",
            "options": options,
            **_alive(deadline, milliseconds),
        }
    if backend in ("mysql", "mariadb"):
        return {"connect_timeout": max(1, int(deadline)), "read_timeout": max(1, int(deadline))}
    return {}


def _alive(deadline: float, milliseconds: int) -> Mapping[str, int]:
    """A connection that a firewall has forgotten is given up after a few deadlines, and not after a quarter of an hour
    (libpq's connection parameters; tcp(7))."""
    seconds = max(1, int(deadline))
    return {
        "keepalives_idle": seconds,
        "keepalives_interval": seconds,
        "keepalives_count": 2,
        "tcp_user_timeout": 2 * milliseconds,
    }


def _set_read_only(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")


def _take_any_text(connection: Any, _record: Any) -> None:
    """SQLite keeps as text whatever a program gave it. What is not UTF-8 comes as bytes: one such value would keep
    every row that is asked for with it from being read."""

    def read(raw: bytes) -> str | bytes:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    connection.text_factory = read


def take_any_time(connection: Any, _record: Any) -> None:
    """PostgreSQL has times that Python has not (infinity, before our era, after 9999, 24:00). They come as it writes
    them: one alone would keep every row that is asked for with it from being read."""
    from psycopg.pq import Format

    adapters = connection.adapters
    for name in ("date", "time", "timetz", "timestamp", "timestamptz", "interval"):
        adapters.register_loader(name, _or_text(adapters.get_loader(adapters.types[name].oid, Format.TEXT)))


def _or_text(reader: Any) -> Any:
    from psycopg import DataError
    from psycopg.adapt import Loader

    class OrText(Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._reader = reader(oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._reader.load(data)
            except (DataError, NotImplementedError):  # the second for another style of intervals
                return bytes(data).decode()

    return OrText


def _failure(error: SQLAlchemyError) -> Failure:
    """The failure a database error means, named by its class alone: its text may hold values."""
    name = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    return Retryable(Reason.CONNECTION, f"the database answered {name}")


def unique(rows: Iterable[Row], key: str) -> dict[str, Row | None]:
    """The rows by the text of their key; None where several have the same, because none of them is the answer."""
    found: dict[str, Row | None] = {}
    for row in rows:
        name = text_of(row[key])
        if name is not None:
            found[name] = None if name in found else row
    return found
