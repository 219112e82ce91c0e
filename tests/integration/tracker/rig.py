"""A real Roundup to check the plug-in on, and a look into it that does not go through the plug-in."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from andon.config.secrets import SecretRef
from andon.core.failure import Retryable
from andon.core.ports import Context, Reply, Wire
from andon.core.reason import Reason
from andon.runtime.clock import SystemClock
from andon.testing.contract_tickets import Seen
from andon.ticketing.systems.roundup import Roundup
from andon.web.nowire import NoWire
from andon.web.wire import HttpWire

PASSWORD = "correct-horse-7Q"
VARIABLE = "ANDON_TEST_TRACKER_PASSWORD"
os.environ[VARIABLE] = PASSWORD

Before = Callable[[str, str], Awaitable[None]]


class FaultyWire(NoWire):
    """A wire on which the answer of the n-th request is lost, and on which something may happen before a request."""

    def __init__(self, wire: Wire, lose_answer: int = 0, before: Before | None = None) -> None:
        self.wire = wire
        self.requests: list[tuple[str, str]] = []
        self._lose = lose_answer
        self.before = before

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15.0,
    ) -> Reply:
        if self.before:
            await self.before(method, url)
        self.requests.append((method, url))
        reply = await self.wire.request(method, url, body=body, headers=headers, deadline=deadline)
        if len(self.requests) == self._lose:
            raise Retryable(Reason.CONNECTION, "lost by the test", ambiguous=True)
        return reply


class RoundupRig:
    def __init__(self, url: str, wire: Wire) -> None:
        self.url = url
        self.wire = wire

    def system(self, *, lose_answer: int = 0) -> Roundup:
        return self.on(FaultyWire(self.wire, lose_answer))

    def on(self, wire: Wire, **options: Any) -> Roundup:
        fields = {"url": self.url, "user": "admin", "password": SecretRef(f"env:{VARIABLE}")} | options
        return Roundup(Roundup.Config.model_validate(fields), Context("tracker", Path(), SystemClock(), wire))

    def now(self) -> float:
        return time.time()

    async def ask(
        self, method: str, path: str, body: Any = None, etag: str = "", user: str = "admin"
    ) -> tuple[int, Any]:
        """A request by hand: the status and the decoded body."""
        account = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        headers = {
            "Authorization": f"Basic {account}",
            "Origin": self.url.removesuffix("/tracker/"),
            "X-Requested-With": "test",
            "Referer": self.url,
            "Content-Type": "application/json",
            **({"If-Match": etag} if etag else {}),
        }
        sent = b"" if body is None else msgspec.json.encode(body)
        reply = await self.wire.request(method, f"{self.url}rest/data/{path}", body=sent, headers=headers)
        return reply.status, msgspec.json.decode(reply.body)

    async def seen(self, title: str) -> Sequence[Seen]:
        query = urlencode({"title": title, "@fields": "title,status,messages", "@verbose": "2"})
        _, answer = await self.ask("GET", f"issue?{query}")
        return [await self._seen(issue) for issue in answer["data"]["collection"] if issue["title"].endswith(title)]

    async def _seen(self, issue: Any) -> Seen:
        comments = []
        for note in issue["messages"]:
            _, answer = await self.ask("GET", f"msg/{note['id']}?@fields=content&@verbose=3")
            comments.append(answer["data"]["attributes"]["content"])
        return Seen(issue["id"], issue["title"], issue["status"]["name"] == "resolved", tuple(comments))


@asynccontextmanager
async def rig(url: str) -> AsyncIterator[RoundupRig]:
    wire = HttpWire()
    try:
        yield RoundupRig(url, wire)
    finally:
        await wire.close()
