"""Watches the files of a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Watch:
    """Says when any of some files has changed since it was last asked; a folder stands for the files below it.

    By size and time of change, asked now and then: the files lie on network drives too, where events don't arrive.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(dict.fromkeys(paths))
        self._known = self._look()

    def add(self, paths: Iterable[Path]) -> None:
        """Watches these too, from now on."""
        self._paths = tuple(dict.fromkeys((*self._paths, *paths)))
        self._known = self._look() | self._known

    def changed(self) -> bool:
        """Whether a file came, went or changed; reading a half-written one is settled by asking again."""
        now = self._look()
        before, self._known = self._known, now
        return now != before

    def _look(self) -> dict[Path, tuple[int, int]]:
        seen = {}
        for path in self._paths:
            with suppress(OSError):  # a folder below it has just gone
                for file in path.rglob("*") if path.is_dir() else (path,):
                    with suppress(OSError):
                        stat = file.stat()
                        if not file.is_dir():
                            seen[file] = (stat.st_mtime_ns, stat.st_size)
        return seen
