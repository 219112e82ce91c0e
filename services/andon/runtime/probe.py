"""Asks a program on this machine whether it is ready, without an HTTP library."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE = 2.0


def answers(port: int, path: str = "/readyz") -> Callable[[], Awaitable[bool]]:
    """A question, to be asked again and again: does http://127.0.0.1:<port><path> answer 200 within 2 s?"""

    async def ask() -> bool:
        try:
            return await asyncio.wait_for(_status(port, path), DEADLINE) == 200
        except (OSError, TimeoutError, ValueError):
            return False

    return ask


async def _status(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.readline()).split(b" ")[1])
    except IndexError:
        return 0
    finally:
        writer.close()
