"""A table saved by Excel or any editor: one row per key, the first row names the columns (RFC 4180)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
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
from andon.runtime.daemon import unawaited

_LOG = logging.getLogger("andon.enrichment")
_NOT_FOUND = Facts(MappingProxyType({}), found=False)

Table = Mapping[str, Facts]
Stamp = tuple[int, int]


class CsvTable:
    """Rows of a CSV file by the text in its key column; every value is text, without blanks around it.

    UTF-8 with or without a byte order mark, or GB18030, which is what Excel saves in China; at most 16 MiB. The file
    is looked at before every answer and read again when its time or size has changed, in a thread of its own, which
    holds up no end of the process. One that cannot be read keeps the last good table in use: `problem` says what is
    wrong, and so does the log, once. So does one on a server that hangs, which is looked at no second time meanwhile.
    Until there was a good table, every lookup raises Rejected, or waits for the look that hangs.
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
        self._seen: Stamp | None = None
        self._look: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self.problem: str | None = None

    async def lookup(self, keys: Sequence[str], /) -> Sequence[Facts]:
        """The row of each key. Raises Rejected(INVALID) while there is no good table."""
        async with self._looking:
            look, given_up = self._look, True  # for who waits for a look holds the lock
            if look is None or look.done():
                self._look = look = asyncio.create_task(self._look_at())
                given_up = False
            if given_up and self._table is not None:
                self._is_wrong(f"{self._path.name} does not answer")
                self._seen = None
            else:
                await asyncio.shield(look)
        if self._table is None:
            raise Rejected(Reason.INVALID, self.problem or "")
        table = self._table
        return [table.get(key, _NOT_FOUND) for key in keys]

    async def close(self) -> None:
        """Leaves a look under way to itself; may be repeated."""
        if self._look is not None:
            self._look.cancel()

    async def _look_at(self) -> None:
        stamp, found = await unawaited(
            f"csv-{self._name}", partial(_changed, self._path, self._key, self._seen, many=self._many)
        )
        if found is None:
            return
        self._seen = stamp
        if isinstance(found, TableError):
            self._is_wrong(str(found))
        else:
            self._table, self.problem = found, None

    def _is_wrong(self, problem: str) -> None:
        if self.problem != problem:
            fields = {"connector": self._name, "problem": problem, "old_table": self._table is not None}
            _LOG.error("the table cannot be used", extra=fields)
        self.problem = problem


def _changed(path: Path, key: str, seen: Stamp | None, *, many: bool) -> tuple[Stamp | None, Table | TableError | None]:
    """In a thread: the file's stamp, and its table or what is wrong with it; None when it is as it was `seen`."""
    stamp = _stamp(path)
    if stamp is not None and stamp == seen:
        return stamp, None
    try:
        return stamp, read_table(path, key, many=many)
    except TableError as error:
        return stamp, error


def read_table(path: Path, key: str, *, many: bool = False) -> Table:
    """All rows by key. Raises TableError for anything that could make an answer wrong."""
    table: dict[str, list[Mapping[str, str]]] = {}
    for line, values in read_rows(path, (key,), RESERVED):
        if not values[key]:
            raise TableError(f"{path.name}, line {line}: the key {key} is empty")
        rows = table.setdefault(values[key], [])
        if rows and not many:
            raise TableError(f"{path.name}, line {line}: {key} {values[key]} appears a second time")
        if len(rows) == MOST_ROWS:
            raise TableError(f"{path.name}, line {line}: {key} {values[key]} has more than {MOST_ROWS} rows")
        rows.append(values)
    return {name: Facts(MappingProxyType(listed(rows, key) if many else rows[0])) for name, rows in table.items()}


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
