"""What is wrong in a configuration, said so that a person can mend it: place, key, and the nearest valid word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

Path = tuple[str | int, ...]
"""The way to a value: keys of maps and positions in lists."""
Place = tuple[int, int]
"""Line and column, both from 1."""

_MAX_TEXT = 400
_MAX_LISTED = 12


@dataclass(frozen=True, order=True)
class Mistake:
    """One mistake. Line and column count from 1; `path` is the way to it in the file. A `warning` says what is allowed
    but probably not intended; it refuses no file.

    Two with the same text at the same place are one: what an alias repeats is mended in one place.
    """

    file: str
    line: int
    column: int
    path: Path = field(compare=False)
    text: str
    severity: Literal["error", "warning"] = field(default="error", compare=False)

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.text}"


class Invalid(Exception):  # noqa: N818 - a state of the file, read by people
    """The configuration has mistakes; its text lists them all, one in a line."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class OfKey(ValueError):  # noqa: N818 - a ValueError, as pydantic wants it, with a place
    """What a whole section's validator finds about the value of one of its keys."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, whatever its case and hyphens; None when none is alike."""
    plain = {name.lower().replace("-", "_"): name for name in known}
    found = get_close_matches(word.lower().replace("-", "_"), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """ "; did you mean …?", or the few words that are possible, or nothing."""
    names = sorted(known)
    if near := nearest(word, names):
        return f"; did you mean `{near}`?"
    if names and len(names) <= _MAX_LISTED:
        return "; possible: " + ", ".join(f"`{name}`" for name in names)
    return ""


def shortened(text: str) -> str:
    """The text on one line, at most 400 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + "…"


def named(path: Path) -> str:
    """How a text calls the last key of a path: `key`, or `keys[1]` for an entry of a list."""
    indices = ""
    for step in reversed(path):
        if isinstance(step, str):
            return f"`{step}{indices}`"
        indices = f"[{step}]{indices}"
    return f"`{indices}`" if indices else "the file"
