"""Readiness is a 200 and nothing else."""

import asyncio

import pytest

from andon.runtime.probe import answers


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"", False),
        (b"nonsense\r\n", False),
        (b"HTTP/1.1 two\r\n", False),
    ],
)
def test_what_is_answered(answer: bytes, *, ready: bool) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        writer.close()

    async def scenario() -> bool:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await answers(server.sockets[0].getsockname()[1])()

    assert asyncio.run(scenario()) is ready
    assert asked == [b"GET /readyz HTTP/1.1\r\n"]


def test_nobody_there_is_not_ready() -> None:
    async def scenario() -> bool:
        async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
        return await answers(port)()

    assert asyncio.run(scenario()) is False
