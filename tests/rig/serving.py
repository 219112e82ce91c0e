"""A server of connections that leaves none behind."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(
    serve: Serve, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """Serves every connection with `serve`, and ends it with the server at the latest; the port."""
    open_: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What asyncio prints of a client that has left, or of a cancellation, is no error of a test.
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            await serve(reader, writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), 1)
        writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(connection(reader, writer))
        open_[task] = writer
        task.add_done_callback(open_.pop)

    async with await asyncio.start_server(accept, host, port, ssl=tls) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            left = dict(open_)
            for task, writer in left.items():
                task.cancel()
                writer.transport.abort()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)
