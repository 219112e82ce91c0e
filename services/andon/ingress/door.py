"""From a request to its answer: who is it, what is it, is there room, was it here before, is it in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from andon.core.event import Event
from andon.core.failure import Invalid, Rejected, Retryable
from andon.core.ports import Answer, CallbackSource, Clock, Inbound, Mapped
from andon.core.reason import Reason
from andon.ingress.acceptance import Acceptance, DoorMetrics, come_again, unavailable
from andon.ingress.bodies.draft import Draft, draft_of, signed
from andon.ingress.entry.clients import Client, Clients
from andon.ingress.entry.gate import Gate
from andon.ingress.entry.sparing import Sparing
from andon.ingress.muting.mutes import Mutes
from andon.ingress.refusal import BASIC, Problem, Refused, refused
from andon.ingress.refusals import Refusal, Refusals
from andon.ingress.sources.alertmanager import AlertmanagerSource
from andon.ingress.sources.http import HttpSource
from andon.ingress.tokens.compact import Untrusted
from andon.ingress.tokens.provider import KeysUnknown
from andon.kafka.connection import LARGEST

log = logging.getLogger(__name__)

_S = TypeVar("_S")
BATCH = "/v1/events:batch"
_SMALL = 16 << 10
_MOST_RECORD = LARGEST - (1 << 10)  # key, frame and batch come to it
_SHOW = "show a valid bearer token"
_INVALID = {"WWW-Authenticate": f'Bearer error="invalid_token", {BASIC}'}  # RFC 6750, 3.1


class DoorLimits(msgspec.Struct, frozen=True):
    """`body` is the greatest length of a request's body in bytes."""

    body: int = 1 << 20


class Accepted(msgspec.Struct, frozen=True):
    """The body of a 202."""

    id: str


class Taken(msgspec.Struct, frozen=True):
    """The body of a 202 to a body that was mapped: the ids of its events in order, and how many the map left out."""

    ids: list[str]
    left_out: int = 0


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
        acceptance: Acceptance,
        gate: Gate,
        refusals: Refusals,
        metrics: DoorMetrics,
        limits: DoorLimits = DoorLimits(),  # noqa: B008 - frozen
        callbacks: Mapping[str, CallbackSource] = {},
        mutes: Mutes | None = None,
        *,
        clock: Clock,
    ) -> None:
        self.limits = limits
        self.gate = gate
        self.refusals = refusals
        self.metrics = metrics
        self.clients = clients
        self.callbacks = callbacks
        self.mutes = mutes
        self._acceptance = acceptance
        self._sparing = Sparing(log, clock)

    async def client(self, authorization: str | None) -> Client:
        """The client that shows this Authorization header. Raises Refused."""
        found = self.clients.find(authorization)
        if found is not None:
            return found
        try:
            found = await self.clients.prove(authorization)
        except Untrusted as no:
            raise Refused(Reason.UNAUTHORISED, no.told or _SHOW, "Authorization", headers=_INVALID) from None
        except KeysUnknown as unknown:
            raise unavailable("the keys of the token's issuer cannot be read now", unknown.after) from None
        if found is None:
            raise Refused(Reason.UNAUTHORISED, _SHOW, "Authorization")
        return found

    async def single(self, client: Client, headers: Mapping[str, str], body: bytes) -> Accepted:
        """Takes the one event of the body. Raises Refused."""
        source = _of_kind(client, HttpSource)
        self.gate.spend(client.name, 1)
        if not self._acceptance.enter(1):
            await self._acceptance.turn(1)
        try:
            draft = source.draft(Inbound(client.name, headers, body))
            no = self._unfit(draft)
            if no is None:
                (no,) = await self._acceptance.once(client.name, (draft,))
        except Invalid as invalid:
            raise refused(invalid) from None
        finally:
            self._acceptance.leave(1)
        if no is not None:
            raise no
        return Accepted(draft.id)

    async def batch(self, client: Client, headers: Mapping[str, str], body: bytes) -> list[Item]:
        """Takes the events of an array; one answer per event, in order.

        Raises Refused when the body is no array of events, or when none was taken for want of room or of Kafka.
        """
        inbound, source = Inbound(client.name, headers, body), _of_kind(client, HttpSource)
        try:
            elements = source.elements(inbound)
        except Invalid as invalid:
            raise refused(invalid) from None
        self.gate.spend(client.name, len(elements))
        answers: list[str | Refused] = []
        for start in range(0, len(elements), self._acceptance.window):
            answers += await self._some(source, inbound, elements[start : start + self._acceptance.window])
            again = come_again(answers)
            if again is not None:
                if not any(isinstance(answer, str) for answer in answers):
                    raise again
                # What follows is not tried: a later event of a subject must not overtake an earlier one.
                answers += [again] * (len(elements) - len(answers))
                break
        return [Item(202, answer) if isinstance(answer, str) else self._refusal(client, answer) for answer in answers]

    async def alerts(
        self, client: Client, headers: Mapping[str, str], body: bytes, query: Mapping[str, str] = {}
    ) -> None:
        """Takes the alerts of a body. Raises Refused, after it has taken the good ones, when one of them is none."""
        inbound = Inbound(client.name, headers, body, query)
        try:
            found = _of_kind(client, AlertmanagerSource).each(inbound)
        except Invalid as invalid:
            raise refused(invalid) from None
        self.gate.spend(client.name, len(found))
        made = [draft_of(one, client.name) if isinstance(one, Event) else one for one in found]
        judged = [(one, self._unfit(one)) for one in made]
        await self._acceptance.good_taken(client.name, [one for one, no in judged if isinstance(one, Draft) and not no])
        for no in (no for _, no in judged if no is not None):
            raise no

    async def hook(self, client: Client, headers: Mapping[str, str], body: bytes) -> Taken:
        """Takes the events that the map of the client's source makes of a body. Raises Refused, after it has taken the
        good ones, when one of them is none."""
        source = _of_kind(client, HttpSource)
        try:
            async with self._acceptance.room(1):
                found = await _apart(len(body), source.mapped, Inbound(client.name, headers, body))
        except Invalid as invalid:
            raise refused(invalid) from None
        except LookupError:
            raise Refused(Reason.INVALID, "this source has no `map`; its events go to /v1/events", status=404) from None
        self.gate.spend(client.name, max(len(found), 1))
        made = [draft_of(one.event, client.name, one.digest) if isinstance(one, Mapped) else one for one in found]
        judged = [(one, self._unfit(one)) for one in made if one is not None]
        good = [one for one, no in judged if isinstance(one, Draft) and no is None]
        await self._acceptance.good_taken(client.name, good)
        for no in (no for _, no in judged if no is not None):
            raise no
        left_out = made.count(None)
        if left_out:
            self.metrics.left_out(client.name, left_out)
        return Taken([one.id for one, _ in judged if isinstance(one, Draft)], left_out)

    async def callback(self, inbound: Inbound) -> Answer:
        """Takes what a vendor calls back with; `client` is the name of a source in `callbacks`. The answer, once the
        log has its events. Raises Refused; until then the vendor is to try again."""
        source = self.callbacks[inbound.client]
        async with self._acceptance.room(1):
            try:
                called = source.called(inbound)
                self.gate.spend(inbound.client, len(called.events))
                drafts = [draft_of(event, inbound.client) for event in called.events]
                if called.signature:
                    drafts = [signed(one, inbound.client, called.signature, at) for at, one in enumerate(drafts)]
                await self._acceptance.all_taken(inbound.client, drafts)
                if called.left_out:
                    self.metrics.left_out(inbound.client, called.left_out)
                return called.answer
            except Rejected as no:
                raise refused(no) from None
            except Retryable as error:
                raise self._not_now(inbound.client, error) from None

    def greet(self, inbound: Inbound) -> Answer:
        """The answer to a vendor that asks whether an address is ours. Raises Refused."""
        try:
            return self.callbacks[inbound.client].greet(inbound)
        except Rejected as no:
            raise refused(no) from None
        except Retryable as error:
            raise self._not_now(inbound.client, error) from None

    def _not_now(self, name: str, error: Retryable) -> Refused:
        """The answer of a source that cannot tell who calls. Why is for the log: it names files and variables, and
        whoever calls is a stranger yet."""
        self._sparing.warning(f"the source {name} cannot be called back now: {error.detail}")
        return unavailable(f"the source {name} cannot be called back now; the log of the door says why")

    def _refusal(self, client: Client, no: Refused) -> Item:
        self.refusals.note(Refusal(no.reason, client.name, BATCH, client.name))
        return Item(no.problem.status, problem=no.problem)

    async def _some(self, source: HttpSource, inbound: Inbound, elements: Sequence[msgspec.Raw]) -> list[str | Refused]:
        """Per element, no more than a window of them, the id under which it was accepted, or why it was not."""
        try:
            # Elements wait for their turn as the bytes they came in: parsed they take ten times the memory.
            if not self._acceptance.enter(len(elements)):
                await self._acceptance.turn(len(elements))
        except Refused as no:
            return [no] * len(elements)
        try:
            drafts = source.drafts(inbound, elements)
            good = [draft for draft in drafts if isinstance(draft, Draft) and self._unfit(draft) is None]
            answers = await self._acceptance.once(inbound.client, good)
        finally:
            self._acceptance.leave(len(elements))
        judged = [no or draft.id for draft, no in zip(good, answers, strict=True)]
        if len(good) == len(drafts):
            return judged
        rest = iter(judged)
        return [self._unfit(draft) or next(rest) for draft in drafts]

    def _unfit(self, draft: Draft | Invalid) -> Refused | None:
        if isinstance(draft, Invalid):
            return refused(draft)
        if draft.size > self.limits.body or len(draft.record) > _MOST_RECORD:
            return Refused(Reason.TOO_LARGE, f"an event has at most {min(self.limits.body, _MOST_RECORD):,} bytes")
        return None


async def _apart(size: int, work: Callable[[Inbound], _S], inbound: Inbound) -> _S:
    """The work done; that on a large body beside the loop, so that no one waits for it."""
    return work(inbound) if size <= _SMALL else await asyncio.to_thread(work, inbound)


def _of_kind(client: Client, kind: type[_S]) -> _S:
    """The client's source. Raises Refused for a token that is for something else."""
    if not isinstance(client.source, kind):
        raise Refused(Reason.FORBIDDEN, "this token is for another address of the door", "Authorization")
    return client.source
