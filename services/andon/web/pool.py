"""Connections that are kept, and how a new one comes to be."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from errno import ECONNABORTED
from functools import partial

from andon.web.address import Address, Origin
from andon.web.connection import Connection

CONNECT_SECONDS = 5.0
# Servers close idle connections after 5 s (Apache, Node.js, uvicorn) to 75 s; giving one up earlier keeps requests off
# half-closed sockets.
IDLE_SECONDS = 4.0


class Pool:
    """At most `most` connections in use at one time; idle ones are kept for 4 s. Belongs to one event loop.

    Each connection that `kept` or `connected` gave takes a place until `leave`, and is open when it is given.
    `buffer` is what its connections read into; pools of one loop may share it. `dial` gives a
    connected socket for an origin, `tls` the context of those that want TLS.
    """

    def __init__(
        self,
        most: int,
        cap: int,
        buffer: memoryview,
        dial: Callable[[Origin], Awaitable[socket.socket]],
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._most = most
        self._make = partial(Connection, cap, buffer)
        self._dial = dial
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Origin, deque[Connection]] = {}
        self._used = 0
        self._closed = False
        self._waiting: deque[asyncio.Future[None]] = deque()
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
        """An open connection, new unless one is kept, once there is a place for it. Raises OSError, and what `dial` and
        `tls` raise."""
        if self._used >= self._most or self._waiting:
            await self._place()
        else:
            self._used += 1
        try:
            connection = self._taken(address.origin)
            if connection is not None:
                return connection
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._opened(address)
        except BaseException:
            self._free()
            raise

    def _taken(self, origin: Origin) -> Connection | None:
        """The idle connection that was used last, if one is not too old, still open, and has said nothing since."""
        idle = self._idle.get(origin)
        before = self._loop.time() - IDLE_SECONDS
        while idle:
            connection = idle.pop()
            if connection.since > before and connection.open and connection.quiet():
                return connection
            connection.close()
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
        tls = self._tls() if origin.tls else None
        sock = await self._dial(origin)
        # From here on asyncio closes the socket, whatever happens.
        _, connection = await self._loop.create_connection(
            self._make, sock=sock, ssl=tls, server_hostname=origin.host if tls else None
        )
        if not connection.open:  # asyncio reads on in the step that ends the handshake, and found an end or a word
            raise ConnectionAbortedError(ECONNABORTED, "closed before it could be asked")
        return connection
