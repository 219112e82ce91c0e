"""Rows and named lines for a terminal, where Chinese characters take two columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import combining, east_asian_width

LEFT = 12


def width(shown: str) -> int:
    """The columns a text takes in a terminal: Chinese characters take two (Unicode TR 11)."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in shown)


def columns(rows: Sequence[Sequence[str]], indent: int) -> Iterator[str]:
    """The rows as lines, each column as wide as its widest text; the last one is left as it is."""
    widths = [max(map(width, column)) for column in zip(*(row[:-1] for row in rows), strict=True)] if rows else []
    for row in rows:
        cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row[:-1], widths, strict=True)]
        yield " " * indent + "  ".join([*cells, row[-1]])


def line(name: str, shown: str) -> str:
    """A thing by its name."""
    return f"{name:<{LEFT}}{shown}"
