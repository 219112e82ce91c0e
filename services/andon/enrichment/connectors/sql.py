"""A view in a database: one row per key."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from andon.config.secrets import SecretMissing, SecretRef
from andon.core.failure import Rejected, Retryable
from andon.core.paths import text_of
from andon.core.ports import Context, Facts
from andon.core.reason import Reason
from andon.enrichment.config import ConnectorConfig
from andon.enrichment.mapping import MOST_ROWS, RESERVED, listed
from andon.runtime.daemon import in_daemon
from andon.store.query import Row, ViewReader, by_values, is_name, is_view_name, plain, unique

_LOG = logging.getLogger("andon.enrichment")
_SQLITE = "sqlite:///"
_CONNECTIONS = 2
_MOST_HANGING = 16
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_NOT_FOUND = Facts(MappingProxyType({}), found=False)


def _address(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_SQLITE) and value != _SQLITE:
        return value
    try:
        return SecretRef(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("the address is env:NAME, file:/path or sqlite:///<file>, never one with a password") from None


class SqlView:
    """Rows of a view by its key column: one read-only `SELECT … WHERE key IN (…)` per lookup (several, where there
    are very many rows), in a thread of its own, which holds up no end of the process.

    A key with two rows counts as not found, because neither is the answer (with `many`, one with over a thousand, too
    long a list for an event); the log says how many there were. The
    address is read again at every lookup, so a changed secret needs no restart.
    """

    class Config(ConnectorConfig):
        """`url` names where the address is (or a SQLite file, relative to the configuration's folder).

        `view` is a view or table, `columns` what of it becomes facts (all, if empty), `key` the column the keys are
        in, and `key_type` says how it holds them. With `many` a key may have several rows, and every value is the list
        of theirs.
        """

        url: Annotated[SecretRef | str, BeforeValidator(_address)]
        view: str
        key: str
        columns: tuple[str, ...] = ()
        key_type: Literal["text", "integer"] = "text"
        many: bool = False

        def rows(self, folder: Path, /) -> Iterator[Mapping[str, Any]]:
            """Every row, for a table that is published. Raises Rejected or Retryable."""
            reader = ViewReader(
                self.address(folder), self.view, self.key, self.columns, deadline=self.deadline, connections=1
            )
            try:
                yield from reader.every_row()
            finally:
                reader.close()

        def files(self, folder: Path, /) -> Sequence[Path]:
            """None: of a database nobody is told that it changed."""
            return ()

        def address(self, folder: Path) -> str:
            """Where the database is. Raises Rejected(CREDENTIALS)."""
            if isinstance(self.url, str):
                return f"{_SQLITE}{folder / self.url.removeprefix(_SQLITE)}"
            try:
                return self.url.reveal()
            except SecretMissing as error:
                raise Rejected(Reason.CREDENTIALS, str(error)) from None

        @model_validator(mode="after")
        def _names(self) -> SqlView.Config:
            if not is_view_name(self.view):
                raise ValueError("`view` is a name or schema.name, of letters, digits, _, $ and #")
            for name in (self.key, *self.columns):
                if not is_name(name) or name in RESERVED:
                    raise ValueError(f"'{name}' cannot be a column here")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._name = context.name
        self._directory = context.directory
        self._hanging: set[Future[Any]] = set()
        self._opening = Lock()
        self._held: tuple[str, ViewReader] | None = None
        self._closed = False

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        """The row of each key. Raises Retryable(CONNECTION) or Rejected(CREDENTIALS | INVALID | UNAVAILABLE)."""
        if self._closed:
            raise Rejected(Reason.UNAVAILABLE, "the connector is closed")
        asked = list(dict.fromkeys(key for key in keys if self._can_be_asked(key)))
        if not asked:
            return [_NOT_FOUND for _ in keys]
        if len(self._hanging) >= _MOST_HANGING:
            raise Retryable(Reason.BUSY, f"{_MOST_HANGING} statements that were given up have not ended")
        asking = in_daemon(f"sql-{self._name}", lambda: self._rows(asked))
        try:
            rows = await asyncio.wrap_future(asking)
        except asyncio.CancelledError:
            self._give_up(asking)
            raise
        return [self._facts(rows.get(key)) for key in keys]

    def _give_up(self, asking: Future[Any]) -> None:
        """After a statement that did not end in time. Its connection may be dead, and others of that time too: the
        next lookup makes new ones, however long the operating system waits for an answer on the old."""
        if not asking.done():
            self._hanging.add(asking)
            asking.add_done_callback(self._hanging.discard)
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            in_daemon(f"sql-{self._name}-close", held[1].close)

    async def close(self) -> None:
        """Lets statements under way end by themselves; may be repeated."""
        self._closed = True
        self._let_go()

    def _can_be_asked(self, key: str) -> bool:
        """Whether the key column could hold this key at all; PostgreSQL has no text with a NUL in it."""
        return "\0" not in key if self._config.key_type == "text" else _INTEGER.fullmatch(key) is not None

    def _rows(self, keys: Sequence[str]) -> dict[str, Row | None]:
        """In a thread: the row of each key that has one; None for a key with several."""
        reader = self._current_reader()
        values: Sequence[Any] = keys if self._config.key_type == "text" else [int(key) for key in keys]
        rows = (self._listed if self._config.many else unique)(reader.rows(values), self._config.key)
        rows = _filled_up(rows) | rows
        if several := sum(row is None for row in rows.values()):
            _LOG.warning("keys with several rows", extra={"connector": self._name, "keys": several})
        return rows

    def _listed(self, rows: Iterable[Row], key: str) -> dict[str, Row | None]:
        found: dict[str, list[Row]] = {}
        for row in sorted(rows, key=by_values):
            found.setdefault(text_of(row[key]) or "", []).append(row)
        return {name: listed(some, key) if len(some) <= MOST_ROWS else None for name, some in found.items()}

    def _current_reader(self) -> ViewReader:
        config, held = self._config, self._held
        address = config.address(self._directory)
        if held is not None and held[0] == address:
            return held[1]
        # Not under the lock: a secret's file, or a driver, may take its time.
        reader = ViewReader(
            address, config.view, config.key, config.columns, deadline=config.deadline, connections=_CONNECTIONS
        )
        with self._opening:
            now, unneeded = self._held, held and held[1]
            if now is not held and now is not None and now[0] == address:
                reader, unneeded = now[1], reader
            else:
                self._held = (address, reader)
        if unneeded is not None:
            unneeded.close()
        return reader

    def _facts(self, row: Row | None) -> Facts:
        if row is None:
            return _NOT_FOUND
        if taken := RESERVED.intersection(self._config.columns or row):
            text = f"a column of the view is called {', '.join(sorted(taken))}; name the columns you need in `columns`"
            raise Rejected(Reason.INVALID, text)
        names = self._config.columns or row
        return Facts({name: plain(row[name]) if name == self._config.key else row[name] for name in names})


def _filled_up(rows: Mapping[str, Row | None]) -> dict[str, Row | None]:
    """Those whose keys end in blanks by their keys without them, as a column of a fixed length (CHAR) compares."""
    found: dict[str, Row | None] = {}
    for key, row in rows.items():
        bare = key.rstrip(" ")
        if bare != key:
            found[bare] = None if bare in found else row
    return found
