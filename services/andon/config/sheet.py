"""A table saved by Excel or any editor: the first row names the columns (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

_MOST_BYTES = 16 << 20
_THREE_BYTES = re.compile("[\u0800-\ufffc]+")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class TableError(ValueError):
    """The file is no table; the text says where and what to do."""


def read_rows(
    path: Path, needed: Sequence[str], reserved: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Every row that is not empty with its line; values are text without the blanks around them.

    UTF-8 with or without a byte order mark, or GB18030, which is what Excel saves in China; at most 16 MiB. Raises
    TableError, also when one of the `needed` columns is not there, or one is called by a `reserved` name.
    """
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(rows, [])]
        _check_columns(columns, needed, reserved, path)
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != len(columns):
                raise TableError(
                    f"{path.name}, line {rows.line_num}: {len(cells)} cells where the first row names {len(columns)}"
                )
            yield rows.line_num, {column: cell for column, cell in zip(columns, cells, strict=True) if column}
    except csv.Error as error:
        raise TableError(f"{path.name}, line {rows.line_num}: {error}") from None


def _check_columns(columns: Sequence[str], needed: Sequence[str], reserved: Collection[str], path: Path) -> None:
    named = [column for column in columns if column]
    if absent := next((column for column in needed if column not in named), None):
        raise TableError(f"{path.name} has no column '{absent}'; its first row names {', '.join(named) or 'none'}")
    if twice := {column for column in named if named.count(column) > 1}:
        raise TableError(f"{path.name} names the column {', '.join(sorted(twice))} more than once")
    if taken := set(named).intersection(reserved):
        raise TableError(f"{path.name}: a column may not be called {' or '.join(sorted(taken))}")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise TableError(f"{path.name} cannot be read ({error.strerror})") from None
    if len(content) > _MOST_BYTES:
        raise TableError(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB; use a database view instead")
    if content.startswith(_UTF16):
        raise TableError(f"{path.name} is UTF-16 text; in Excel save it as 'CSV UTF-8'")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if _mostly_utf8(content):
            line = error.object.count(b"\n", 0, error.start) + 1  # which lacks a byte order mark
            raise TableError(
                f"{path.name}, line {line}: not UTF-8, as the rest of the file is; in Excel save it as 'CSV UTF-8'"
            ) from None
    try:
        return content.decode("gb18030")
    except UnicodeDecodeError:
        raise TableError(f"{path.name} is neither UTF-8 nor GB18030; in Excel save it as 'CSV UTF-8'") from None


def _mostly_utf8(content: bytes) -> bool:
    """Whether there are more of UTF-8's characters of three bytes than mistakes: GB18030 has next to none of them by
    chance, but half of UTF-8 can be read as GB18030, as other characters."""
    text = content.decode(errors="replace")
    return len(text) - len(_THREE_BYTES.sub("", text)) > text.count("\ufffd")
