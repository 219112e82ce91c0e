"""A load of HTTP requests cheap enough not to be the bottleneck: 64 keep-alive connections, bytes made beforehand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial

from andon.kafka.codecs import encode
from tests.bench.plant import event


class Connection(asyncio.Protocol):
    """Sends the next request as soon as an answer has come."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self._requests = requests
        self._done = done
        self._answer = b""
        self.refused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.refused += b" 20" not in head[:14] or b'"problem"' in body
        self._answer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def requests(path: str, start: int, count: int, batch: int) -> list[bytes]:
    """Whole requests with new ids; `batch` 1 posts single events."""
    return packed(path, [encode(event(number)) for number in range(start, start + count)], batch)


def packed(path: str, events: Sequence[bytes], batch: int) -> list[bytes]:
    """Whole requests with these events, `batch` to each; 1 posts single events."""
    made = []
    for first in range(0, len(events), batch):
        body = events[first] if batch == 1 else b"[" + b",".join(events[first : first + batch]) + b"]"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\nContent-Type: application/json\r\n"
        made.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


async def rate(port: int, prepared: list[bytes], connections: int = 64) -> float:
    """Requests per second; raises AssertionError when any was refused."""
    loop = asyncio.get_running_loop()
    rest = iter(prepared)
    began = time.perf_counter()
    made: list[Connection] = []
    waits = []
    for _ in range(connections):
        done = loop.create_future()
        _, protocol = await loop.create_connection(partial(Connection, rest, done), "127.0.0.1", port)
        made.append(protocol)
        waits.append(done)
    await asyncio.gather(*waits)
    took = time.perf_counter() - began
    assert not sum(one.refused for one in made), f"{sum(one.refused for one in made)} requests were refused"
    return len(prepared) / took
