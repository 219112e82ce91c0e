"""The contract of ticket systems, on one that lives in memory, and on broken ones, each of which must fail it.

The same checks run on a real Roundup in tests/integration/tracker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from andon.core.failure import Rejected, Retryable
from andon.core.ports import Ticket, TicketSystem
from andon.core.reason import Reason
from andon.testing import contract_tickets as contract
from andon.testing.clock import ManualClock

T = TypeVar("T")


@dataclass
class Row:
    number: int
    key: str
    title: str
    changed: float
    closed: bool = False
    comments: list[str] = field(default_factory=list)


class MemoryTracker:
    """A tracker that keeps tickets under unique keys, and takes a comment once."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.clock = ManualClock()

    def create(self, key: str, title: str, text: str) -> Row:
        self.rows.append(Row(len(self.rows) + 1, key, title, self.clock.now(), comments=[text]))
        return self.rows[-1]

    def by_key(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)

    def by_number(self, number: str) -> Row:
        try:
            return self.rows[int(number) - 1]
        except IndexError:
            raise Rejected(Reason.GONE, "no such ticket") from None

    def change(self, number: str, closed: bool | None, text: str) -> Row:
        row = self.by_number(number)
        if closed is not None and row.closed == closed:
            return row
        row.closed = row.closed if closed is None else closed
        row.changed = self.clock.now()
        if text not in row.comments:
            row.comments.append(text)
        return row


class MemoryTickets:
    """A ticket system written for this file only."""

    def __init__(self, tracker: MemoryTracker, lose_answer: int = 0) -> None:
        self.tracker = tracker
        self._requests = 0
        self._lose = lose_answer

    async def ask(self, request: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        answer = request()
        await asyncio.sleep(0)
        self._requests += 1
        if self._requests == self._lose:
            raise Retryable(Reason.CONNECTION, ambiguous=True)
        return answer

    def shown(self, row: Row) -> Ticket:
        return Ticket(str(row.number), "done" if row.closed else "new", f"http://memory/{row.number}", row.closed)

    async def find(self, key: str, /) -> Ticket | None:
        row = await self.ask(lambda: self.tracker.by_key(key))
        return self.shown(row) if row else None

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        def create() -> Row:
            return self.tracker.by_key(key) or self.tracker.create(key, title, text)

        return self.shown(await self.ask(create))

    async def comment(self, ticket: str, text: str, /) -> None:
        await self.ask(lambda: self.tracker.change(ticket, None, text))

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        return self.shown(await self.ask(lambda: self.tracker.change(ticket, state == "closed", text)))

    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        return self.shown(await self.ask(lambda: self.tracker.change(ticket, False, text)))

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        return await self.ask(lambda: [self.shown(row) for row in self.tracker.rows if row.changed >= since])

    async def close(self) -> None:
        pass


class MemoryRig:
    def __init__(self, kind: type[MemoryTickets]) -> None:
        self.kind = kind
        self.tracker = MemoryTracker()

    def system(self, *, lose_answer: int = 0) -> TicketSystem:
        return self.kind(self.tracker, lose_answer)

    async def seen(self, title: str) -> Sequence[contract.Seen]:
        rows = [row for row in self.tracker.rows if row.title.endswith(title)]
        return [contract.Seen(str(row.number), row.title, row.closed, tuple(row.comments)) for row in rows]

    def now(self) -> float:
        return self.tracker.clock.now()


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_a_ticket_system_of_ones_own_keeps_the_contract(check: contract.Check) -> None:
    asyncio.run(check(MemoryRig(MemoryTickets)))


class OpensAlways(MemoryTickets):
    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        return self.shown(await self.ask(lambda: self.tracker.create(key, title, text)))


class LooksThenCreates(MemoryTickets):
    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        found = await self.find(key)
        return found or self.shown(await self.ask(lambda: self.tracker.create(key, title, text)))


class FindsByBeginning(MemoryTickets):
    async def find(self, key: str, /) -> Ticket | None:
        rows = await self.ask(lambda: [row for row in self.tracker.rows if row.key.startswith(key)])
        return self.shown(rows[0]) if rows else None


class OverlooksClosed(MemoryTickets):
    async def find(self, key: str, /) -> Ticket | None:
        found = await super().find(key)
        return None if found and found.closed else found


class ForgetsTheText(MemoryTickets):
    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        return await super().open(key, title, "", severity)


class ClosesLoudly(MemoryTickets):
    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        moved = await super().move(ticket, state, text)
        self.tracker.by_number(ticket).comments.append(text)
        return moved


class SaysClosedOnly(MemoryTickets):
    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        row = await self.ask(lambda: self.tracker.by_number(ticket))
        row.comments.append(text)
        return Ticket(ticket, "done", f"http://memory/{ticket}", closed=True)


class CommentReopens(MemoryTickets):
    async def comment(self, ticket: str, text: str, /) -> None:
        await super().comment(ticket, text)
        self.tracker.by_number(ticket).closed = False


class CommentsNothing(MemoryTickets):
    async def comment(self, ticket: str, text: str, /) -> None:
        await self.ask(lambda: self.tracker.by_number(ticket))


class NeverReopens(MemoryTickets):
    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        return self.shown(await self.ask(lambda: self.tracker.by_number(ticket)))


class SeesNoChanges(MemoryTickets):
    async def changes(self, since: float, /) -> Sequence[Ticket]:
        return ()


class SwallowsRefusals(MemoryTickets):
    async def comment(self, ticket: str, text: str, /) -> None:
        try:
            await super().comment(ticket, text)
        except Rejected:
            return


class RaisesWhatItLikes(MemoryTickets):
    async def ask(self, request: Callable[[], T]) -> T:
        try:
            return await super().ask(request)
        except Rejected as refusal:
            raise RuntimeError("404") from refusal


@pytest.mark.parametrize(
    ("kind", "failing"),
    [
        (OpensAlways, contract.opening_again_gives_the_same_ticket),
        (OpensAlways, contract.a_lost_answer_makes_no_second_ticket),
        (LooksThenCreates, contract.opening_at_the_same_time_leaves_one_ticket),
        (FindsByBeginning, contract.keys_that_resemble_each_other_do_not_meet),
        (OverlooksClosed, contract.closing_is_told_once),
        (ForgetsTheText, contract.a_ticket_is_opened_and_found_by_its_key),
        (ClosesLoudly, contract.closing_is_told_once),
        (SaysClosedOnly, contract.a_closed_ticket_is_found_not_opened_anew),
        (CommentReopens, contract.a_comment_leaves_the_state_alone),
        (CommentsNothing, contract.a_comment_leaves_the_state_alone),
        (NeverReopens, contract.a_closed_ticket_can_be_reopened),
        (SeesNoChanges, contract.changes_are_listed),
        (SwallowsRefusals, contract.a_ticket_that_is_not_there_is_rejected),
        (RaisesWhatItLikes, contract.a_ticket_that_is_not_there_is_rejected),
    ],
)
def test_a_broken_ticket_system_does_not_pass(kind: type[MemoryTickets], failing: contract.Check) -> None:
    with pytest.raises((contract.ContractBroken, RuntimeError)):
        asyncio.run(failing(MemoryRig(kind)))
