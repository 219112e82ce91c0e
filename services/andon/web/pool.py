"""Connections that are kept, and how a new one comes to be: plain, by TLS, or through a proxy."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections import deque
from functools import partial
from typing import cast
from urllib.parse import unquote, urlsplit

from andon.web.address import Address, Origin
from andon.web.connection import HEAD_CAP, Connection

CONNECT_SECONDS = 5.0
# Servers close idle connections after 15 to 75 s; giving one up earlier keeps requests off half-closed sockets.
IDLE_SECONDS = 10.0
_READ = 64 << 10


class Proxy:
    """An HTTP proxy, from an address such as http://user:password@10.0.8.3:3128. Raises ValueError."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("a proxy is written as http://host:port")
        self.host = parts.hostname
        self.port = parts.port or 80
        self.authorization = ""
        if parts.username is not None:
            shown = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.authorization = f"Proxy-Authorization: Basic {b64encode(shown.encode()).decode()}\r\n"


class ProxyRefused(OSError):  # noqa: N818 - what the proxy did, named by it
    """The proxy does not open a tunnel."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Pool:
    """At most `most` connections in use at one time; idle ones are kept for 10 s. Belongs to one event loop.

    `proxy` is used for every connection. Verifies TLS against the system's roots.
    """

    def __init__(self, most: int, cap: int, proxy: Proxy | None) -> None:
        self._most = most
        self._make = partial(Connection, cap, memoryview(bytearray(_READ)))
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, deque[Connection]] = {}
        self._used = 0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tls: ssl.SSLContext | None = None
        self._sweep: asyncio.TimerHandle | None = None

    def kept(self, origin: Origin) -> Connection | None:
        """A connection that was used before and is still open, if there is one and a place for it."""
        if self._used >= self._most or self._waiting:
            return None
        connection = self._taken(origin)
        if connection is not None:
            self._used += 1
        return connection

    async def connected(self, address: Address) -> Connection:
        """A connection, new unless one is kept, once there is a place for it. Raises OSError."""
        if self._used >= self._most or self._waiting:
            await self._place()
        else:
            self._used += 1
        connection = self._taken(address.origin)
        if connection is not None:
            return connection
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._opened(address)
        except BaseException:
            self._free()
            raise

    def _taken(self, origin: Origin) -> Connection | None:
        """The idle connection that was used last, if one is still open."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return None

    def leave(self, origin: Origin, connection: Connection) -> None:
        """Gives a connection back; one that serves no further request is closed."""
        if connection.open and not self._closed:
            connection.since = self._loop.time()
            self._idle.setdefault(origin, deque()).append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(IDLE_SECONDS, self._close_old)
        else:
            connection.close()  # not left to the server, which may keep it for as long as it likes
        self._free()

    def close(self) -> None:
        """Closes what is idle, and from now on each connection as it is given back; may be called twice."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    # ---- places

    async def _place(self) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free()  # its turn came in the very step in which it gave up
            raise

    def _free(self) -> None:
        """A place is free: it goes to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._used -= 1

    def _close_old(self) -> None:
        before = self._loop.time() - IDLE_SECONDS
        for origin, idle in list(self._idle.items()):
            while idle and (idle[0].since <= before or not idle[0].open):
                idle.popleft().close()
            if not idle:
                del self._idle[origin]
        self._sweep = self._loop.call_later(IDLE_SECONDS, self._close_old) if self._idle else None

    # ---- opening

    async def _opened(self, address: Address) -> Connection:
        origin = address.origin
        if self._proxy is None:
            tls = self._context() if origin.tls else None
            _, connection = await self._loop.create_connection(self._make, origin.host, origin.port, ssl=tls)
        elif not origin.tls:
            _, connection = await self._loop.create_connection(self._make, self._proxy.host, self._proxy.port)
        else:
            connection = await self._tunnelled(origin, self._proxy)
        return connection

    async def _tunnelled(self, origin: Origin, proxy: Proxy) -> Connection:
        transport, tunnel = await self._loop.create_connection(_Tunnel, proxy.host, proxy.port)
        try:
            host = f"[{origin.host}]" if ":" in origin.host else origin.host
            place = f"{host}:{origin.port}"
            transport.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{proxy.authorization}\r\n".encode())
            status = await tunnel.status
            if not 200 <= status < 300:
                raise ProxyRefused(status)
            connection = self._make()
            secured = await self._loop.start_tls(transport, connection, self._context(), server_hostname=origin.host)
            connection.connection_made(cast("asyncio.BaseTransport", secured))
        except BaseException:
            transport.abort()
            raise
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Tunnel(asyncio.Protocol):
    """Waits for the head of a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.status.done() or (b"\r\n\r\n" not in self._head and len(self._head) <= HEAD_CAP):
            return
        words = self._head.split(b" ", 2)
        known = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
        self.status.set_result(int(words[1]) if known else 502)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(ConnectionAbortedError())
            self.status.exception()  # nobody may be waiting any more
