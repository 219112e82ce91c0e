"""Ticket systems: an episode becomes a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Ticket(msgspec.Struct, frozen=True):
    """A ticket as its system shows it. `state` is the system's own word."""

    id: str
    state: str
    link: str = ""
    closed: bool = False


class TicketSystem(Protocol):
    """A tracker that opens and closes tickets. Every call may be repeated after an unknown result."""

    async def find(self, key: str, /) -> Ticket | None:
        """The ticket opened for this episode key, if there is one; also if `open` made it a moment ago."""

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        """Creates the ticket for this key; a repeated create never makes a second one."""

    async def comment(self, ticket: str, text: str, /) -> None: ...

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        """Sets the state ("closed" or one of the system's own) with a comment."""

    async def reopen(self, ticket: str, text: str, /) -> Ticket: ...

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        """Tickets that changed since then, for reconciling."""

    async def close(self) -> None: ...
