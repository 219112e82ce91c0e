"""Requests at their time, whatever is answered to those before: latency counts from the moment a request was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

FROZEN_S = 0.2
"""From here on the generator says of itself that it stood still."""
WITHIN_S = 120.0
CONNECTIONS = 512
"""As many as the generator opens; a request that is due and finds none free waits, and its time runs."""
_TICK_S = 0.02


class Sent(NamedTuple):
    """One request with its answer; status 0 is none. Moments are those of the monotonic clock."""

    kind: str
    number: str
    due: float
    answered: float
    status: int

    @property
    def took_s(self) -> float:
        return self.answered - self.due


class Stalls:
    """When the generator itself stood still: it wakes up every 20 ms, and writes down whenever it did not."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    async def watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            if now - last > FROZEN_S:
                self.found.append((last, now))
            last = now

    @property
    def total_s(self) -> float:
        return sum(end - begin for begin, end in self.found)

    def within(self, one: Sent) -> float:
        """For how many seconds it stood still while this request was under way."""
        return sum(max(0.0, min(end, one.answered) - max(begin, one.due)) for begin, end in self.found)


class _Line(asyncio.Protocol):
    """A connection with one request at a time on it."""

    def __init__(self, idle: list[_Line]) -> None:
        self._idle = idle
        self._answer = b""
        self._waiting: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> asyncio.Future[int]:
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if len(body) >= length and self._waiting is not None:
            self._waiting.set_result(int(head[9:12]))
            self._waiting, self._answer = None, b""
            self._idle.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(0)


async def sent_openly(port: int, requests: Sequence[tuple[str, str, bytes]], rate: float) -> tuple[list[Sent], Stalls]:
    """Sends each (kind, number, whole request) when it is due, on a connection that is free or a new one."""
    loop = asyncio.get_running_loop()
    idle: list[_Line] = []
    done: list[Sent] = []
    stalls = Stalls()
    watching = loop.create_task(stalls.watch())

    room = asyncio.Semaphore(CONNECTIONS)

    async def one(kind: str, number: str, request: bytes, due: float) -> None:
        async with room:
            line = idle.pop() if idle else (await loop.create_connection(lambda: _Line(idle), "127.0.0.1", port))[1]
            status = await line.send(request)
            done.append(Sent(kind, number, due, time.monotonic(), status))

    began = time.monotonic() + 0.2
    tasks: set[asyncio.Task[None]] = set()
    for at, (kind, number, request) in enumerate(requests):
        due = began + at / rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        task = loop.create_task(one(kind, number, request, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=WITHIN_S)
    watching.cancel()
    for line in idle:
        line.transport.close()
    assert len(done) == len(requests), f"{len(requests) - len(done)} requests have no answer"
    return sorted(done, key=lambda sent: sent.due), stalls
