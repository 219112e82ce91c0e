"""A client that sends exactly the bytes it is given, and says exactly what came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from tests.component.ingress.corpus.case import How

WAIT_S = 20.0


class Answer(msgspec.Struct, frozen=True):
    """What came back; status 0 when nothing did."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def problem(self) -> Mapping[str, Any]:
        """The problem of a refusal, or of the one event of a batch; empty when it is taken, or refused without one."""
        media = self.headers.get("content-type", "")
        if media == "application/problem+json" and self.body:
            found: Mapping[str, Any] = json.loads(self.body)
            return found
        if media.startswith("application/json") and self.body.startswith(b"["):
            (item,) = json.loads(self.body)
            inner: Mapping[str, Any] = item.get("problem", {})
            return inner
        return {}

    @property
    def judged(self) -> tuple[int, str]:
        """Status and reason, of a batch those of its one event."""
        status = self.status
        problem = self.problem
        return int(problem.get("status", status)), str(problem.get("type", "")).removeprefix("urn:andon:problem:")


class Wire:
    """One connection at a time, opened again when the other side has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ask(self, request: bytes) -> Answer:
        """The answer to one whole request."""
        async with asyncio.timeout(WAIT_S):
            if self._reader is None or self._writer is None or self._reader.at_eof():
                await self.close()
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(request)
            answer = await _answer(self._reader, head=request.startswith(b"HEAD "))
            if answer.headers.get("connection", "").lower() == "close":
                await self.close()
            return answer

    async def apart(self, request: bytes, how: How) -> list[Answer]:
        """Every answer that comes on a connection of its own."""
        found: list[Answer] = []
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(request)
                if how is How.LEAVES:
                    await writer.drain()
                    writer.write_eof()
                while (answer := await _answer(reader)).status:
                    found.append(answer)
                    if how is How.HALF:
                        break
            finally:
                writer.close()
        return found

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer:
    try:
        raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0)
    first, *lines = raw.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = 0 if head else int(headers.get("content-length", "0"))
    return Answer(int(first.split(" ")[1]), headers, await reader.readexactly(length))
