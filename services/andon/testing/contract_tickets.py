"""What every ticket system must do, as checks that a test runs one by one over a `Rig`.

    @pytest.mark.parametrize("check", contract_tickets.CHECKS, ids=lambda check: check.__name__)
    def test_contract(check): asyncio.run(check(rig))

A check raises `ContractBroken` when the ticket system does not keep the contract of `core.ports.TicketSystem`. It uses
keys of its own, so the checks can share one tracker. What a ticket system makes of a tracker that does not answer as it
should is the matter of `contract_trackers`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import TicketSystem
from andon.testing.rig import ContractBroken as ContractBroken

T = TypeVar("T")

_TRIES = 8
_MOST_REQUESTS = 8
_UNKNOWN = "987654321"


class Seen(msgspec.Struct, frozen=True):
    """A ticket as someone sees it who looks into the tracker without the plug-in. Retired ones are not seen."""

    id: str
    title: str
    closed: bool
    comments: tuple[str, ...]


class Rig(Protocol):
    """A tracker to check a plug-in on."""

    def system(self, *, lose_answer: int = 0) -> TicketSystem:
        """A new instance of the plug-in on the same tracker, as another process would have.

        With `lose_answer` n, the n-th request that this instance makes takes effect, but its answer never comes: the
        plug-in gets Retryable(CONNECTION, ambiguous=True). Later requests work.
        """

    async def seen(self, title: str) -> Sequence[Seen]:
        """Every ticket whose title ends in this text."""

    def now(self) -> float:
        """Seconds since 1970 by the tracker's clock."""


Check = Callable[[Rig], Coroutine[Any, Any, None]]


async def a_ticket_is_opened_and_found_by_its_key(rig: Rig) -> None:
    system = rig.system()
    _expect(await system.find("opened/1#1") is None, "a ticket was found before there was one")
    opened = await system.open("opened/1#1", "opened and found", "the text", "critical")
    _expect(bool(opened.id and opened.state) and not opened.closed, f"open answered {opened}")
    _expect(opened.link.startswith("http"), "a ticket has no link to its page")
    _expect(await system.find("opened/1#1") == opened, "find does not show the ticket as open did")
    (seen,) = await _seen(rig, "opened and found", 1)
    _expect(seen.id == opened.id and not seen.closed, f"the tracker shows {seen}")
    _expect(any("the text" in comment for comment in seen.comments), "the text of the ticket is not in the tracker")


async def opening_again_gives_the_same_ticket(rig: Rig) -> None:
    first = await rig.system().open("again/1#1", "opened again", "text", "major")
    for system in (again := rig.system(), again, rig.system()):
        _expect((await system.open("again/1#1", "opened again", "text", "major")).id == first.id, "open made another")
    await _seen(rig, "opened again", 1)


async def opening_at_the_same_time_leaves_one_ticket(rig: Rig) -> None:
    one, other = rig.system(), rig.system()
    # A call that is to be repeated may have left a second ticket behind: repeating it, as a desk does, puts it right.
    await asyncio.gather(
        *(
            _insist(partial(system.open, "race/1#1", "opened at once", "text", "major"))
            for system in (one, other, one, other)
        )
    )
    kept = await rig.system().find("race/1#1")
    (seen,) = await _seen(rig, "opened at once", 1)
    _expect(kept is not None and kept.id == seen.id, "find shows another ticket than the one that is left")


async def keys_that_resemble_each_other_do_not_meet(rig: Rig) -> None:
    system = rig.system()
    keys = ("near/M-07/E#1", "near/M-070/E#1", "near/M-07/E#10", "near/M-0_/E#1", "near/M-%/E#1", "ear/M-07/E#1")
    opened = [await system.open(key, f"near {key}", "text", "minor") for key in keys[:3]]
    _expect(len({ticket.id for ticket in opened}) == len(opened), "two keys share a ticket")
    for key in (*keys[3:], "near/M-07/E", "near/M-07/E#", "near/m-07/e#1"):
        _expect(await system.find(key) is None, f"find({key!r}) shows the ticket of another key")


async def every_key_finds_its_ticket(rig: Rig) -> None:
    system = rig.system()
    for key in (
        "线 3/机-07/过热#1",
        "odd/a] b#1",
        "odd/[c]#1",
        "odd/100%#1",
        "odd/d  'e' \"f\"#1",
        "odd/*?\\#1",
        "odd/x\ny#1",
    ):
        opened = await system.open(key, "odd key", "text", "major")
        found = await system.find(key)
        _expect(found is not None and found.id == opened.id, f"the ticket for {key!r} is not found")
        _expect((await rig.system().open(key, "odd key", "text", "major")).id == opened.id, f"{key!r} opened twice")


async def a_lost_answer_makes_no_second_ticket(rig: Rig) -> None:
    for lost in range(1, _MOST_REQUESTS + 1):
        key, title, system = f"lost/{lost}#1", f"lost answer {lost}", rig.system(lose_answer=lost)
        opened = await _insist(partial(system.open, key, title, "text", "major"))
        (seen,) = await _seen(rig, title, 1)
        _expect(seen.id == opened.id, "open answered with another ticket than the tracker holds")
        _expect(len(seen.comments) == 1, f"the ticket's text is there {len(seen.comments)} times")


async def closing_is_told_once(rig: Rig) -> None:
    system = rig.system()
    opened = await system.open("close/1#1", "closed once", "text", "major")
    for _ in range(2):
        closed = await system.move(opened.id, "closed", "it is over")
        _expect(closed.closed and closed.id == opened.id, f"closing answered {closed}")
    found = await system.find("close/1#1")
    _expect(found is not None and found.closed and found.id == opened.id, f"find shows {found} after closing")
    (seen,) = await _seen(rig, "closed once", 1)
    _expect(seen.closed, "the ticket is not closed in the tracker")
    _expect(seen.comments.count("it is over") == 1, "closing twice did not comment exactly once")


async def a_closed_ticket_is_found_not_opened_anew(rig: Rig) -> None:
    system = rig.system()
    opened = await system.open("kept/1#1", "kept closed", "text", "major")
    await system.move(opened.id, "closed", "over")
    again = await system.open("kept/1#1", "kept closed", "text", "major")
    _expect(again.id == opened.id and again.closed, "opening a key whose ticket is closed did not give that ticket")
    following = await system.open("kept/1#2", "the next one", "text", "major")
    _expect(following.id != opened.id and not following.closed, "the next episode got the ticket of the last one")


async def a_lost_answer_closes_and_comments_once(rig: Rig) -> None:
    for lost in range(1, _MOST_REQUESTS - 3):
        title = f"lost close {lost}"
        opened = await rig.system().open(f"lostclose/{lost}#1", title, "text", "major")
        commenting, closing = rig.system(lose_answer=lost), rig.system(lose_answer=lost)
        await _insist(partial(commenting.comment, opened.id, "again"))
        closed = await _insist(partial(closing.move, opened.id, "closed", "over"))
        (seen,) = await _seen(rig, title, 1)
        _expect(closed.closed and seen.closed, "the ticket is not closed after a lost answer")
        _expect(seen.comments.count("again") == 1, f"{seen.comments.count('again')} comments after a lost answer")
        _expect(seen.comments.count("over") == 1, "closing commented twice after a lost answer")


async def a_comment_leaves_the_state_alone(rig: Rig) -> None:
    system = rig.system()
    opened = await system.open("comment/1#1", "commented", "text", "major")
    await system.comment(opened.id, "第 2 次")
    _expect(await system.find("comment/1#1") == opened, "a comment changed an open ticket")
    closed = await system.move(opened.id, "closed", "over")
    await system.comment(opened.id, "afterwards")
    _expect(await system.find("comment/1#1") == closed, "a comment changed a closed ticket")
    (seen,) = await _seen(rig, "commented", 1)
    _expect({"第 2 次", "afterwards"} <= set(seen.comments), f"the tracker shows the comments {seen.comments}")


async def a_closed_ticket_can_be_reopened(rig: Rig) -> None:
    system = rig.system()
    opened = await system.open("reopen/1#1", "reopened", "text", "major")
    await system.move(opened.id, "closed", "over")
    for _ in range(2):
        again = await system.reopen(opened.id, "it is back")
        _expect(again.id == opened.id and not again.closed, f"reopening answered {again}")
    (seen,) = await _seen(rig, "reopened", 1)
    _expect(not seen.closed, "the ticket is still closed in the tracker")
    _expect(seen.comments.count("it is back") == 1, "reopening twice did not comment exactly once")


async def changes_are_listed(rig: Rig) -> None:
    system = rig.system()
    before = rig.now()
    opened = await system.open("changes/1#1", "changed", "text", "major")
    closed = await system.move(opened.id, "closed", "over")
    listed = {ticket.id: ticket for ticket in await system.changes(before - 2)}
    _expect(listed.get(opened.id) == closed, f"changes shows {listed.get(opened.id)} for a ticket that was closed")
    late = await system.changes(rig.now() + 3_600)
    _expect(not late, f"{len(late)} tickets are said to have changed in an hour from now")


async def a_ticket_that_is_not_there_is_rejected(rig: Rig) -> None:
    system = rig.system()
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: system.comment(_UNKNOWN, "text"),
        lambda: system.move(_UNKNOWN, "closed", "text"),
        lambda: system.reopen(_UNKNOWN, "text"),
    )
    for number, call in enumerate(calls):
        try:
            await call()
        except Rejected:
            continue
        raise ContractBroken(f"call {number} on an unknown ticket said nothing")


CHECKS: tuple[Check, ...] = (
    a_ticket_is_opened_and_found_by_its_key,
    opening_again_gives_the_same_ticket,
    opening_at_the_same_time_leaves_one_ticket,
    keys_that_resemble_each_other_do_not_meet,
    every_key_finds_its_ticket,
    a_lost_answer_makes_no_second_ticket,
    closing_is_told_once,
    a_closed_ticket_is_found_not_opened_anew,
    a_lost_answer_closes_and_comments_once,
    a_comment_leaves_the_state_alone,
    a_closed_ticket_can_be_reopened,
    changes_are_listed,
    a_ticket_that_is_not_there_is_rejected,
)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ContractBroken(otherwise)


async def _seen(rig: Rig, title: str, count: int) -> Sequence[Seen]:
    seen = await rig.seen(title)
    _expect(len(seen) == count, f"the tracker holds {len(seen)} tickets titled {title!r}, not {count}")
    return seen


async def _insist(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is repeated as a desk would."""
    for attempt in itertools.count(1):
        try:
            return await call()
        except Retryable as failure:
            if attempt == _TRIES:
                raise ContractBroken(f"still not done after {attempt} attempts: {failure}") from failure
        except Failure as failure:
            raise ContractBroken(f"gave up after a lost answer: {failure}") from failure
    raise AssertionError
