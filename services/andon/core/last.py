"""What was seen lately, in bounded memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Last(Generic[K]):
    """Words by their ids. Without a bound all of them; else at least the `most` that were put in last, and never more
    than twice as many: the older half is forgotten at once, which costs nothing for each."""

    def __init__(self, most: float) -> None:
        self._most = most
        self._new: dict[K, str] = {}
        self._old: dict[K, str] = {}

    def put(self, key: K, word: str = "") -> None:
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[key] = word

    def get(self, key: K) -> str | None:
        found = self._new.get(key)
        return self._old.get(key) if found is None else found

    def __iter__(self) -> Iterator[K]:
        return chain(self._new, self._old)

    def __contains__(self, key: object) -> bool:
        return key in self._new or key in self._old
