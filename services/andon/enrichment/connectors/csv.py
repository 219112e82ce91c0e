"""A table saved by Excel or any editor: one row per key, the first row names the columns (RFC 4180)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from andon.config.sheet import TableError, read_rows
from andon.config.units import Seconds
from andon.core.failure import Rejected
from andon.core.ports import Context, Facts
from andon.core.reason import Reason
from andon.enrichment.config import ConnectorConfig
from andon.enrichment.mapping import MOST_ROWS, RESERVED, listed

_LOG = logging.getLogger("andon.enrichment")
_NOT_FOUND = Facts(MappingProxyType({}), found=False)

Table = Mapping[str, Facts]


class CsvTable:
    """Rows of a CSV file by the text in its key column; every value is text, without blanks around it.

    UTF-8 with or without a byte order mark, or GB18030, which is what Excel saves in China; at most 16 MiB. The file
    is looked at before every answer and read again when its time or size has changed. One that cannot be read keeps
    the last good table in use: `problem` says what is wrong, and so does the log, once. Until there was a good one,
    every lookup raises Rejected.
    """

    class Config(ConnectorConfig):
        """`file` is relative to the configuration's folder. With `many` a key may have several rows, and every value
        is the list of theirs. The table is in memory, so nothing else keeps answers."""

        file: str
        key: str
        many: bool = False
        cache: Seconds = 0.0

        def rows(self, folder: Path, /) -> Iterator[Mapping[str, Any]]:
            """Every row, for a table that is published. Raises TableError."""
            return (row for _, row in read_rows(folder / self.file, (), RESERVED))

        def files(self, folder: Path, /) -> Sequence[Path]:
            return (folder / self.file,)

    def __init__(self, config: Config, context: Context) -> None:
        self._name = context.name
        self._path = context.directory / config.file
        self._key = config.key
        self._many = config.many
        self._table: Table | None = None
        self._seen: tuple[int, int] | None = None
        self._reading = asyncio.Lock()
        self.problem: str | None = None

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        """The row of each key. Raises Rejected(INVALID) while there is no good table."""
        async with self._reading:
            stamp = await asyncio.to_thread(_stamp, self._path)
            if stamp != self._seen or stamp is None:
                await self._read()
                self._seen = stamp
        if self._table is None:
            raise Rejected(Reason.INVALID, self.problem or "")
        table = self._table
        return [table.get(key, _NOT_FOUND) for key in keys]

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _read(self) -> None:
        try:
            self._table = await asyncio.to_thread(read_table, self._path, self._key, many=self._many)
        except TableError as error:
            if self.problem != str(error):
                fields = {"connector": self._name, "problem": str(error), "old_table": self._table is not None}
                _LOG.error("the table cannot be used", extra=fields)
            self.problem = str(error)
        else:
            self.problem = None


def read_table(path: Path, key: str, *, many: bool = False) -> Table:
    """All rows by key. Raises TableError for anything that could make an answer wrong."""
    table: dict[str, list[Mapping[str, str]]] = {}
    for line, values in read_rows(path, (key,), RESERVED):
        if not values[key]:
            raise TableError(f"{path.name}, line {line}: the key {key} is empty")
        rows = table.setdefault(values[key], [])
        if rows and not many:
            raise TableError(f"{path.name}, line {line}: {key} {values[key]} is there a second time")
        if len(rows) == MOST_ROWS:
            raise TableError(f"{path.name}, line {line}: {key} {values[key]} has more than {MOST_ROWS} rows")
        rows.append(values)
    return {name: Facts(MappingProxyType(listed(rows, key) if many else rows[0])) for name, rows in table.items()}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
