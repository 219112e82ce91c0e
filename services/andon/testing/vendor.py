"""A fake vendor on the level of bytes: it hears HTTP requests and does to the connection what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import msgspec

GATEWAY = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
NOTHING_SAID = (b"", GATEWAY, b"null", b"[]", b'"ok"', b"{}", b'{"', b"\xff\xfe", b"0")
"""Bodies of answers that are not the vendor's, or that say nothing."""


class Heard(msgspec.Struct, frozen=True):
    """One request as it came: method, target with its query, headers with lower-case names, body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Behaviour = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


def answers(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Behaviour:
    """A whole HTTP answer."""
    return sends(_head(status, {"Content-Length": str(len(body)), **(headers or {})}) + body)


def sends(data: bytes, *, close: bool = False) -> Behaviour:
    """Exactly these bytes, whatever they are; then, if wanted, the connection is closed in order."""

    async def behave(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return behave


def resets() -> Behaviour:
    """A reset (RST) after the whole request was read."""

    async def behave(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


def hangs() -> Behaviour:
    """No answer, ever."""

    async def behave(_heard: Heard, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return behave


def drips(body: bytes, seconds: float, status: int = 200) -> Behaviour:
    """A good answer, one byte every `seconds`."""

    async def behave(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(status, {"Content-Length": str(len(body))}))
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return behave


def floods(total: int) -> Behaviour:
    """HTTP 200 with `total` bytes, as fast as they are taken."""

    async def behave(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(_head(200, {"Content-Length": str(total)}))
        block = b"x" * (64 << 10)
        for _ in range(total // len(block)):
            writer.write(block)
            await writer.drain()

    return behave


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class FakeVendor:
    """A loopback server, as an async context manager; `url` is its address, `heard` every request so far.

    `behave` decides what follows a request and may be replaced at any time. Requests to a path of `aside` are answered
    with what stands there and not counted as heard: they are kept in `beside`. `called` is set by the first request
    heard, `gone` when a client has left an unfinished exchange.
    """

    def __init__(self, behave: Behaviour, aside: Mapping[str, bytes] | None = None) -> None:
        self.behave = behave
        self.aside = dict(aside or {})
        self.heard: list[Heard] = []
        self.beside: list[Heard] = []
        self.connections = 0
        self.called = asyncio.Event()
        self.gone = asyncio.Event()
        self.url = ""
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the port and every connection; may be called twice."""
        self._server.close()
        open_ = dict(self._open)
        for task, writer in open_.items():
            task.cancel()
            writer.transport.abort()  # the task may never have begun
        await asyncio.gather(*open_, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                heard = await _hear(reader)
                if (answer := self.aside.get(heard.target.partition("?")[0])) is not None:
                    self.beside.append(heard)
                    await answers(200, answer)(heard, writer)
                    continue
                self.heard.append(heard)
                self.called.set()
                await self._exchange(heard, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            return  # asyncio.streams would print the cancellation of a connection as an error
        finally:
            writer.transport.abort()

    async def _exchange(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One exchange, ended early when the client leaves."""
        behaving = asyncio.ensure_future(self.behave(heard, writer))
        leaving = asyncio.ensure_future(_left(reader))
        try:
            await asyncio.wait((behaving, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not behaving.done():
                raise ConnectionAbortedError
            behaving.result()
        except ConnectionError:
            self.gone.set()
            raise
        finally:
            behaving.cancel()
            leaving.cancel()
            await asyncio.gather(behaving, leaving, return_exceptions=True)


async def _left(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof():  # noqa: ASYNC110 - a stream tells its end in no other way that keeps its bytes
        await asyncio.sleep(0.005)


async def _hear(reader: asyncio.StreamReader) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = head[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Heard(method, target, headers, body)
