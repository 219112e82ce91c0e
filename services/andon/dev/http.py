"""A small HTTP/1.1 server for stand-ins, cheap per call: benchmarks share their cores with it.

It is for clients on loopback that mean well: what a connection may send ahead is not bounded, Upgrade and CONNECT are
refused, and nobody is asked to go on who waits for 100 Continue.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import httptools

HOST = "127.0.0.1"
_BODY_CAP = 1024 * 1024
_TARGET_CAP = 8 * 1024
_READ = 64 * 1024
_GRACE = 0.1  # seconds
_BLANK = b"\r\n\r\n"
_STATUS = {status.value: status.phrase for status in HTTPStatus}
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_log = logging.getLogger(__name__)


class Request(NamedTuple):
    """A request that has arrived whole; `target` is as on its first line, `keep_alive` what the client wants.

    `headers` have lower-case names, and are there for a server that asked for them.
    """

    method: bytes
    target: bytes
    body: bytes
    keep_alive: bool
    headers: Mapping[str, str] = _NO_HEADERS


Script = Callable[[asyncio.Transport], Awaitable[None]]
Answer = bytes | Script


def response(body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> bytes:
    """The bytes of a whole response; `headers` are more of them."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {_STATUS.get(status, '')}\r\n{more}Content-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}{_BLANK.decode()}".encode() + body


def halves(whole: bytes) -> tuple[bytes, bytes]:
    """Head, with the empty line, and body of a response."""
    cut = whole.index(_BLANK) + len(_BLANK)
    return whole[:cut], whole[cut:]


def parsed(target: bytes) -> tuple[str, dict[str, str]]:
    """Path and query of a request's target, each name with its first value; the path is empty when it is none."""
    try:
        parts = urlsplit(target.decode())
    except ValueError:
        return "", {}
    return unquote(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()}


class Server:
    """Serves on loopback between `start` and `stop`, once.

    `answer` is called for one request of a connection after the other. It returns the response, which is written at
    once, with no task; or a script, which runs as a task and writes to the transport, or closes it. A script goes on
    when its client has left. A request whose answer raises OSError gets a 500; any other error closes the connection.
    """

    def __init__(
        self, answer: Callable[[Request], Answer], *, body_cap: int = _BODY_CAP, headers: bool = False
    ) -> None:
        self.answer = answer
        self.body_cap = body_cap
        self.headers = headers
        self.buffer = memoryview(bytearray(_READ))
        self.connections: set[_Connection] = set()
        self.scripts: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listens on `port`, 0 for a free one, and returns it. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), HOST, port, backlog=1024)
        return cast("int", self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes what is idle; a running script has 0.1 s to end and is cancelled then. Leaves no connection."""
        if self._listener is not None:
            self._listener.close()
        for connection in self.connections:
            connection.close_if_idle()
        if self.scripts:
            await asyncio.wait(self.scripts, timeout=_GRACE)
        for script in self.scripts:
            script.cancel()
        for connection in self.connections:
            connection.abort()
        await asyncio.gather(*self.scripts, return_exceptions=True)
        await asyncio.sleep(0)  # the loop says that a connection is lost on its next turn

    def run(self, script: Coroutine[None, None, None]) -> None:
        """Runs a script beside the connections."""
        task = asyncio.create_task(script)
        self.scripts.add(task)
        task.add_done_callback(self.scripts.discard)


class _Connection(asyncio.BufferedProtocol):
    """Parses what comes in, and answers in order: while a script runs, requests wait.

    All connections receive into one buffer, which the parser has read to its end before the next one is filled.
    asyncio's other kind of protocol takes 256 KiB from the system for every read, and most of it is given back: that
    alone can double the cost of a call.
    """

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        # Headers are taken only where they are wanted: the parser itself knows where a body ends and whether the
        # connection is kept.
        self._headers: dict[str, str] = {}
        if server.headers:
            self.on_header = self._on_header
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._arrived: collections.deque[Request] = collections.deque()
        self._busy = False
        self._refusal = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._arrived.clear()
        self._server.connections.discard(self)

    def close_if_idle(self) -> None:
        if not self._busy:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._refusal:
            return
        try:
            self._parser.feed_data(self._server.buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            self._arrived.pop()  # its body was left unread
            self._refusal = 400
        except httptools.HttpParserError:
            self._refusal = 413 if self._size > self._server.body_cap else 400
        if not self._busy:
            self._go_on()

    # What the parser calls

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > _TARGET_CAP:
            raise ValueError("a target this long")

    def _on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._server.body_cap:
            raise ValueError("a body this long")

    def on_message_complete(self) -> None:
        parser = self._parser
        body = b"".join(self._parts)
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        self._arrived.append(Request(method, self._target, body, keep_alive, self._headers or _NO_HEADERS))
        self._target, self._headers = b"", {}
        self._parts.clear()
        self._size = 0

    # Answers

    def _go_on(self) -> None:
        """Answers what has arrived, up to the first that needs a script."""
        while self._arrived:
            request = self._arrived.popleft()
            try:
                answer = self._server.answer(request)
            except OSError:
                _log.exception("no answer")
                answer = response(b"", "text/plain", 500)
            if not isinstance(answer, bytes):
                self._busy = True
                self._server.run(self._play(answer, request.keep_alive))
                return
            self._write(answer, request)
        if self._refusal and not self._transport.is_closing():
            # Only our half is closed: closing with bytes unread would reset the connection, and the answer be lost.
            self._transport.write(_closing(response(b"", "text/plain", self._refusal)))
            self._transport.write_eof()

    def _write(self, answer: bytes, request: Request) -> None:
        if request.method == b"HEAD":
            answer = halves(answer)[0]
        if request.keep_alive:
            self._transport.write(answer)
        else:
            self._transport.write(_closing(answer))
            self._end()

    async def _play(self, script: Script, keep_alive: bool) -> None:
        try:
            await script(self._transport)
        except BaseException:
            self._transport.abort()
            raise
        self._busy = False
        if not keep_alive or self._transport.is_closing():
            self._end()
        self._go_on()

    def _end(self) -> None:
        """Nothing is answered after this; what was written still goes out."""
        self._arrived.clear()
        self._transport.close()


def _closing(whole: bytes) -> bytes:
    return whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
