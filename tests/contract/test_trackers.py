"""Every installed ticket system keeps to the contract when its tracker does not; broken ones are caught."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.core.failure import Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Context, Ticket
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, TicketSpecimen
from andon.runtime.registry import Registry
from andon.testing.contract_trackers import LAWS, run
from andon.testing.rig import ContractBroken

GROUP = "andon.ticket_systems"


class Desk:
    """A ticket system written for this file only; its tracker answers {"tickets": [{"id": …, "closed": …}]}."""

    class Config(Section):
        url: str
        token: SecretRef

        def limit_domain(self) -> str:
            return f"desk:{urlsplit(self.url).netloc}"

        def limits(self) -> tuple[Limit, ...]:
            return ()

        def lines(self) -> int:
            return 1

    specimen: ClassVar = TicketSpecimen({"url": BASE, "token": REFERENCE})

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.wire = context.wire

    async def ask(self, path: str, said: object) -> list[Ticket]:
        headers = {"Authorization": f"Bearer {self.config.token.reveal()}"}
        body = json.dumps(said).encode()
        reply = await self.wire.request("POST", f"{self.config.url}/{path}", body=body, headers=headers)
        if reply.status in (401, 403):
            raise Rejected(Reason.CREDENTIALS, f"HTTP {reply.status}")
        if reply.status != 200:
            raise Retryable(Reason.SERVER_ERROR, f"HTTP {reply.status}")
        return self.read(reply.body)

    def read(self, body: bytes) -> list[Ticket]:
        try:
            return [Ticket(one["id"], "", "http://desk", one["closed"]) for one in json.loads(body)["tickets"]]
        except (ValueError, TypeError, KeyError):
            raise Retryable(Reason.BAD_REPLY, "no tickets") from None

    async def find(self, key: str, /) -> Ticket | None:
        return next(iter(await self.ask("find", key)), None)

    async def open(self, key: str, title: str, text: str, severity: str, /) -> Ticket:
        return (await self.ask("open", [key, title, text, severity]))[0]

    async def comment(self, ticket: str, text: str, /) -> None:
        await self.ask("comment", [ticket, text])

    async def move(self, ticket: str, state: str, text: str, /) -> Ticket:
        return (await self.ask("move", [ticket, state, text]))[0]

    async def reopen(self, ticket: str, text: str, /) -> Ticket:
        return (await self.ask("reopen", [ticket, text]))[0]

    async def changes(self, since: float, /) -> Sequence[Ticket]:
        return await self.ask("changes", since)

    async def close(self) -> None:
        pass


class ShowsItsToken(Desk):
    async def ask(self, path: str, said: object) -> list[Ticket]:
        try:
            return await super().ask(path, said)
        except Retryable as failure:
            raise Retryable(failure.reason, f"{path} with {self.config.token.reveal()}") from None


class BelievesJson(Desk):
    def read(self, body: bytes) -> list[Ticket]:
        return [Ticket(one["id"], "", "http://desk", one["closed"]) for one in json.loads(body)["tickets"]]


class FindsNothingInNoise(Desk):
    async def find(self, key: str, /) -> Ticket | None:
        try:
            return await super().find(key)
        except Retryable:
            return None


class CommentsBlindly(Desk):
    async def comment(self, ticket: str, text: str, /) -> None:
        try:
            await super().comment(ticket, text)
        except Retryable:
            return


class SwallowsCancellation(Desk):
    async def ask(self, path: str, said: object) -> list[Ticket]:
        try:
            return await super().ask(path, said)
        except asyncio.CancelledError:
            raise Retryable(Reason.INTERRUPTED) from None


class Blocks(Desk):
    async def ask(self, path: str, said: object) -> list[Ticket]:
        time.sleep(0.06)  # noqa: ASYNC251 - what it does wrong
        return await super().ask(path, said)


class EverythingMayHaveHappened(Desk):
    async def ask(self, path: str, said: object) -> list[Ticket]:
        try:
            return await super().ask(path, said)
        except Retryable as failure:
            raise Retryable(failure.reason, ambiguous=True) from None


class TakesAnyKey(Desk):
    class Config(Desk.Config):
        model_config: ClassVar = {"extra": "ignore"}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("kind", Registry().kinds(GROUP))
def test_ticket_system_keeps_the_law(kind: str, name: str) -> None:
    run(name, Registry().plug_in(GROUP, kind))


@pytest.mark.parametrize("name", LAWS)
def test_a_ticket_system_of_ones_own_keeps_the_law(name: str) -> None:
    run(name, Desk)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ShowsItsToken, "secret_is_never_shown"),
        (BelievesJson, "no_answer_raises_anything_but_retryable_and_rejected"),
        (FindsNothingInNoise, "what_cannot_be_read_is_no_answer"),
        (CommentsBlindly, "what_cannot_be_read_is_no_answer"),
        (SwallowsCancellation, "cancellation_ends_the_call"),
        (Blocks, "waiting_leaves_the_event_loop_to_others"),
        (EverythingMayHaveHappened, "call_that_never_left_is_not_ambiguous"),
        (TakesAnyKey, "configuration_refuses_unknown_keys"),
    ],
)
def test_a_broken_ticket_system_is_caught(kind: type[Any], name: str) -> None:
    with pytest.raises(ContractBroken):
        run(name, kind)
