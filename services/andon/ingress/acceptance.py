"""From drafts to the log: room for them, each of them once, and an answer only when it is known what became of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from msgspec import UNSET

from andon.core.event import Position
from andon.core.fate import Fate, Late, Undecided
from andon.core.reason import Reason
from andon.core.work import StoreFailure
from andon.ingress.admission import Admission, Over
from andon.ingress.bodies.draft import Draft
from andon.ingress.refusal import Refused
from andon.ingress.requests import Requests
from andon.store.requests import Request

_AGAIN = 5
_WAIT_S = 10.0
_NO_STORE = "the door's memory does not answer"
_NO_ACK = "Kafka has not acknowledged the event; send it again with the same id"


class Log(Protocol):
    """The durable log behind the door."""

    async def append(self, drafts: Sequence[Draft], late: Late | None = None, /) -> Sequence[Fate]:
        """Appends the records; one answer each, in order: the position, once acknowledged with acks=all, or why not.

        Answers within its own deadline, whatever the broker does. What it does not know by then is Undecided, and
        `late` hears of it.
        """


class DoorMetrics(Protocol):
    """What the door counts. `source` is the name of a configured source, never a text from a request."""

    def accepted(self, source: str, count: int, /) -> None: ...

    def left_out(self, source: str, count: int, /) -> None: ...


class Acceptance:
    """What is accepted is in the log (law L7); what was accepted before is not appended again."""

    def __init__(self, log: Log, requests: Requests, admission: Admission, metrics: DoorMetrics) -> None:
        self._log = log
        self._requests = requests
        self._admission = admission
        self._metrics = metrics

    @property
    def window(self) -> int:
        """The most events that have a place at one time."""
        return self._admission.window

    def enter(self, events: int) -> bool:
        """Takes that many places if they are free; False: wait for your turn. Raises Refused."""
        if not self._requests.available:
            raise unavailable(_NO_STORE)
        try:
            return self._admission.enter(events)
        except Over as over:
            raise Refused(Reason.OVER_CAPACITY, over.detail, after=over.after) from None

    async def turn(self, events: int) -> None:
        """Takes that many places when they are free. Raises Refused."""
        try:
            await self._admission.wait(events)
        except Over as over:
            raise Refused(Reason.OVER_CAPACITY, over.detail, after=over.after) from None

    def leave(self, events: int) -> None:
        """Gives the places back."""
        self._admission.leave(events)

    @asynccontextmanager
    async def room(self, events: int) -> AsyncIterator[None]:
        """That many places for as long as the block lasts. Raises Refused."""
        if not self.enter(events):
            await self.turn(events)
        try:
            yield
        finally:
            self._admission.leave(events)

    async def all_taken(self, client: str, drafts: Sequence[Draft]) -> None:
        """Returns once the log has all of them. Raises Refused."""
        for no in filter(None, await self.once(client, drafts)):
            raise no

    async def good_taken(self, client: str, drafts: Sequence[Draft]) -> None:
        """The same for any number of them, window by window. What is refused for good keeps nothing behind it out."""
        refusals: list[Refused] = []
        for start in range(0, len(drafts), self._admission.window):
            some = drafts[start : start + self._admission.window]
            async with self.room(len(some)):
                answers = await self.once(client, some)
            if again := come_again([no for no in answers if no is not None]):
                raise again
            refusals += [no for no in answers if no is not None]
        for no in refusals:
            raise no

    async def once(self, client: str, drafts: Sequence[Draft]) -> Sequence[Refused | None]:
        """Appends what is new and answers what is not as it was answered before; None means accepted."""
        known: Mapping[bytes, Request] = {}
        try:
            if strangers := self._requests.strangers(drafts):
                known = await self._requests.recall(drafts, strangers)
        except StoreFailure:
            return [unavailable(_NO_STORE)] * len(drafts)
        firsts = self._requests.claim(drafts, known)
        if drafts and not any(firsts):
            return await self._append(client, drafts)
        until = asyncio.get_running_loop().time() + _WAIT_S  # for all of them: they hold their places meanwhile
        fresh = [draft for draft, first in zip(drafts, firsts, strict=True) if first is None]
        appended = iter(await self._append(client, fresh)) if fresh else iter(())
        return [
            next(appended) if first is None else await self._repeat(draft, first, known, until)
            for draft, first in zip(drafts, firsts, strict=True)
        ]

    async def _append(self, client: str, drafts: Sequence[Draft]) -> list[Refused | None]:
        """Appends claimed drafts; None means that the log has it. Every claim ends, come what may: that of an event
        which is still on its way, when it is known what became of it, so that until then nobody appends it again."""

        def settled(drafts: Sequence[Draft], fates: Sequence[Fate | None]) -> int:
            taken = self._requests.settle(drafts, fates)
            if taken:
                self._metrics.accepted(client, taken)
            return taken

        waiting: set[int] = set()
        early: dict[int, Fate] = {}  # told after the answer, and before we had it

        def late(index: int, fate: Fate) -> None:
            if index in waiting:
                settled([drafts[index]], [fate])
            else:
                early[index] = fate

        fates: list[Fate | None] = [None] * len(drafts)
        try:
            for index, fate in enumerate(await self._log.append(drafts, late)):
                fates[index] = early.get(index, fate) if isinstance(fate, Undecided) else fate
            waiting.update(index for index, fate in enumerate(fates) if isinstance(fate, Undecided))
        finally:
            taken = settled(drafts, fates)
        if taken == len(drafts):
            return [None] * taken
        return [
            None if isinstance(fate, Position) else unavailable(_NO_ACK, fate.after if fate else None) for fate in fates
        ]

    async def _repeat(
        self, draft: Draft, first: Request, known: Mapping[bytes, Request], until: float
    ) -> Refused | None:
        try:
            async with asyncio.timeout_at(until):
                accepted = await self._requests.accepted(first)
        except TimeoutError:
            accepted = False
        if not accepted:
            return unavailable(_NO_ACK)
        if first.digest != draft.digest:
            return Refused(Reason.CONFLICT, "other content was accepted under this id before", "id")
        self._requests.join(draft, first, known)
        return None


def unavailable(detail: str, after: float | None = None) -> Refused:
    """503, and when to come again."""
    return Refused(Reason.UNAVAILABLE, detail, after=_AGAIN if after is None else max(math.ceil(after), 1))


def come_again(answers: Sequence[str | Refused]) -> Refused | None:
    """The first refusal that had nothing to do with the event itself."""
    return next((no for no in answers if isinstance(no, Refused) and no.problem.retry_after is not UNSET), None)
