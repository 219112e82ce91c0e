"""Randomness for ids and traces."""

from __future__ import annotations

import os
from collections.abc import Callable


class Randomness:
    """Random bytes for ids, fetched from the operating system 8 KiB at a time.

    Every call of os.urandom lets go of the interpreter lock, and the loop of a busy door gets it back last.
    """

    def __init__(self, fetch: Callable[[int], bytes] = os.urandom) -> None:
        self._fetch = fetch
        self._left = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """That many bytes (at most 8 KiB), never given out before."""
        if self._at + size > len(self._left):
            self._left, self._at = self._fetch(1 << 13), 0
        self._at += size
        return self._left[self._at - size : self._at]
