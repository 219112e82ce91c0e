"""How far a desk has got, told beside its group's offsets: what is stored, and how much of it is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from andon.core.advisory import open_note
from andon.core.event import Home
from andon.runtime.desk.desk import Desk

Commit = Callable[[Mapping[Home, int], Mapping[Home, str]], Awaitable[bool]]


class Standing:
    """The advisory offsets of the homes a desk owns, each with a note for the door's admission.

    Hold `whole` from when records enter the desk until they are stored: an item must not be told as open while its
    record still counts as unread.
    """

    def __init__(self, desk: Desk) -> None:
        self.whole = asyncio.Lock()
        self._desk = desk
        self._stored: dict[Home, int] = {}
        self._told: dict[Home, tuple[int, int]] = {}

    def stored(self, home: Home, offset: int) -> None:
        """The store has everything of the home that is before this offset."""
        self._stored[home] = offset

    def all_stored(self) -> Mapping[Home, int]:
        """Up to where the store has everything, of each home."""
        return dict(self._stored)

    def forget(self, home: Home) -> None:
        """The home has left, or tells from the beginning."""
        self._stored.pop(home, None)
        self._told.pop(home, None)

    def repeat(self) -> None:
        """Tells everything again, for the offsets of an idle group expire."""
        self._told.clear()

    async def tell(self, commit: Commit) -> None:
        """Commits what has changed since it was told last; what was not taken is told again."""
        async with self.whole:
            standing = {home: (offset, self._desk.open_of(home)) for home, offset in self._stored.items()}
        news = {home: one for home, one in standing.items() if self._told.get(home) != one}
        if news:
            offsets = {home: offset for home, (offset, _) in news.items()}
            notes = {home: open_note(waiting) for home, (_, waiting) in news.items()}
            if await commit(offsets, notes):
                self._told.update((home, one) for home, one in news.items() if home in self._stored)
