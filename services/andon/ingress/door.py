"""From a request to its answer: who is it, what is it, is there room, was it here before, is it in the log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType

from andon.core.event import Event, Position
from andon.core.failure import Retryable
from andon.core.ports import Inbound
from andon.core.reason import Reason
from andon.core.work import StoreFailure
from andon.ingress.admission import Admission, Over
from andon.ingress.clients import Client, Clients
from andon.ingress.refusal import Invalid, Problem, Refused, refused
from andon.ingress.requests import Requests
from andon.ingress.sources.http import Draft
from andon.store.requests import Request

_AGAIN = 5
_NO_STORE = "the door's memory does not answer"
_NO_ACK = "Kafka has not acknowledged the event; send it again with the same id"


class Log(Protocol):
    """The durable log behind the door."""

    async def append(self, events: Sequence[Event], /) -> Sequence[Position | Retryable]:
        """Appends events; one answer each, in order: the position, once acknowledged with acks=all, or why not.

        Answers within its own deadline, whatever the broker does; what it does not know by then it refuses.
        """


class DoorMetrics(Protocol):
    """What the door counts. `source` is the name of a configured source, never a text from a request."""

    def accepted(self, source: str, count: int, /) -> None: ...

    def refused(self, reason: str, /) -> None: ...


class DoorLimits(msgspec.Struct, frozen=True):
    """`body` is the greatest length of a request's body in bytes."""

    body: int = 1 << 20


class Accepted(msgspec.Struct, frozen=True):
    """The body of a 202."""

    id: str


class Item(msgspec.Struct, frozen=True):
    """The answer to one event of a batch: 202 with the id, or what is wrong."""

    status: int
    id: str | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET


class Door:
    """Takes events in for the clients; an answer 202 means that the log has the event (law L7), and nothing less."""

    def __init__(
        self,
        clients: Clients,
        log: Log,
        requests: Requests,
        admission: Admission,
        metrics: DoorMetrics,
        limits: DoorLimits = DoorLimits(),  # noqa: B008 - frozen
    ) -> None:
        self.limits = limits
        self.metrics = metrics
        self.clients = clients
        self._log = log
        self._requests = requests
        self._admission = admission

    def client(self, authorization: str | None) -> Client:
        """The client that shows this Authorization header. Raises Refused."""
        found = self.clients.find(authorization)
        if found is None:
            raise Refused(Reason.UNAUTHORISED, "show a valid bearer token", "Authorization")
        return found

    async def single(self, client: Client, headers: Mapping[str, str], body: bytes) -> Accepted:
        """Takes the one event of the body. Raises Refused."""
        await self._admit(1)
        try:
            draft = client.source.draft(Inbound(client.name, headers, body))
            (no,) = await self._once(client, (draft,))
        except Invalid as invalid:
            raise refused(invalid) from None
        finally:
            self._admission.leave(1)
        if no is not None:
            raise no
        return Accepted(draft.event.id)

    async def batch(self, client: Client, headers: Mapping[str, str], body: bytes) -> list[Item]:
        """Takes the events of an array; one answer per event, in order.

        Raises Refused when the body is no array of events, or when none was taken for want of room or of Kafka.
        """
        inbound = Inbound(client.name, headers, body)
        try:
            elements = client.source.elements(inbound)
        except Invalid as invalid:
            raise refused(invalid) from None
        answers: list[str | Refused] = []
        for start in range(0, len(elements), self._admission.window):
            answers += await self._some(client, inbound, elements[start : start + self._admission.window])
            again = _come_again(answers)
            if again is not None:
                if not any(isinstance(answer, str) for answer in answers):
                    raise again
                # What follows is not tried: a later event of a subject must not overtake an earlier one.
                answers += [again] * (len(elements) - len(answers))
                break
        return [self._item(answer) for answer in answers]

    def _item(self, answer: str | Refused) -> Item:
        if isinstance(answer, str):
            return Item(202, answer)
        self.metrics.refused(answer.reason)
        return Item(answer.problem.status, problem=answer.problem)

    async def _some(self, client: Client, inbound: Inbound, elements: Sequence[msgspec.Raw]) -> list[str | Refused]:
        """Per element, no more than a window of them, the id under which it was accepted, or why it was not."""
        try:
            # Elements wait for their turn as the bytes they came in: parsed they take ten times the memory.
            await self._admit(len(elements))
        except Refused as no:
            return [no] * len(elements)
        try:
            drafts = client.source.drafts(inbound, elements)
            good = [draft for draft in drafts if isinstance(draft, Draft)]
            answers = iter(await self._once(client, good))
        finally:
            self._admission.leave(len(elements))
        return [refused(draft) if isinstance(draft, Invalid) else next(answers) or draft.event.id for draft in drafts]

    async def _admit(self, events: int) -> None:
        """Takes that many places. Raises Refused."""
        if not self._requests.available:
            raise _unavailable(_NO_STORE)
        try:
            if not self._admission.enter(events):
                await self._admission.wait(events)
        except Over as over:
            raise Refused(Reason.OVER_CAPACITY, over.detail, after=over.after) from None

    async def _once(self, client: Client, drafts: Sequence[Draft]) -> Sequence[Refused | None]:
        """Appends what is new and answers what is not as it was answered before; None means accepted."""
        known, strangers = self._requests.look(drafts)
        try:
            if strangers:
                known |= await self._requests.recall(strangers)
        except StoreFailure:
            return [_unavailable(_NO_STORE)] * len(drafts)
        answers: list[Refused | None] = [None] * len(drafts)
        fresh: list[int] = []
        repeats: list[tuple[int, Request]] = []
        for place, draft in enumerate(drafts):
            if draft.size > self.limits.body:
                answers[place] = Refused(Reason.TOO_LARGE, f"an event has at most {self.limits.body:,} bytes")
            elif (first := self._requests.claim(draft, known)) is None:
                fresh.append(place)
            else:
                repeats.append((place, first))
        if fresh:
            await self._append(client, drafts, fresh, answers)
        for place, first in repeats:
            answers[place] = await self._repeat(drafts[place], first)
        return answers

    async def _append(
        self, client: Client, drafts: Sequence[Draft], fresh: Sequence[int], answers: list[Refused | None]
    ) -> None:
        """Appends the claimed drafts at these places and settles or releases every one of them."""
        results: Sequence[Position | Retryable] = ()
        taken = 0
        try:
            results = await self._log.append([drafts[place].event for place in fresh])
        finally:
            for number, place in enumerate(fresh):
                result = results[number] if number < len(results) else None
                if isinstance(result, Position):
                    self._requests.settle(drafts[place], result)
                    taken += 1
                else:
                    self._requests.release(drafts[place])
                    answers[place] = _unavailable(_NO_ACK, result.after if result else None)
            if taken:
                self.metrics.accepted(client.name, taken)

    async def _repeat(self, draft: Draft, first: Request) -> Refused | None:
        if not await self._requests.accepted(first):
            return _unavailable(_NO_ACK)
        if first.digest != draft.digest:
            return Refused(Reason.CONFLICT, "other content was accepted under this id before", "id")
        return None


def _unavailable(detail: str, after: float | None = None) -> Refused:
    return Refused(Reason.UNAVAILABLE, detail, after=_AGAIN if after is None else max(math.ceil(after), 1))


def _come_again(answers: Sequence[str | Refused]) -> Refused | None:
    """The first refusal that had nothing to do with the event itself."""
    return next((no for no in answers if isinstance(no, Refused) and no.problem.retry_after is not UNSET), None)
