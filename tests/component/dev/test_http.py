"""The stand-ins' HTTP server, spoken to byte by byte; after every scene it must have left nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from andon.dev.http import Answer, Request, Server, halves, response


class World:
    """A server that answers with target and body, and does what the target says."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(self.answer, **options)
        self.requests: list[Request] = []
        self.ended: list[str] = []
        self.port = 0

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        match request.target:
            case b"/slow":
                return self.slow
            case b"/hang":
                return self.hang
            case b"/close":
                return self.close
            case b"/full":
                raise OSError(28, "No space left on device")
            case b"/bug" | b"/later-bug" as target:
                if target == b"/bug":
                    raise LookupError("a bug")
                return self.bug
        return said(request.target.decode() + request.body.decode())

    async def slow(self, transport: asyncio.Transport) -> None:
        await asyncio.sleep(0.05)
        self.ended.append("slow")
        transport.write(said(f"slow {len(self.requests)}"))

    async def hang(self, _transport: asyncio.Transport) -> None:
        await asyncio.Event().wait()

    async def close(self, transport: asyncio.Transport) -> None:
        transport.close()

    async def bug(self, _transport: asyncio.Transport) -> None:
        raise LookupError("a later bug")

    @asynccontextmanager
    async def client(self) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()


def said(text: str) -> bytes:
    return response(text.encode(), "text/plain")


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def post(target: str, body: str) -> bytes:
    return get(target, f"Content-Length: {len(body)}", method="POST") + body.encode()


async def body(reader: StreamReader, status: int = 200) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    return (await reader.readexactly(int(length.split()[1]))).decode()


def scene(play: Callable[[World], Awaitable[None]], **options: Any) -> World:
    world = World(**options)

    async def whole() -> None:
        world.port = await world.server.start()
        try:
            async with asyncio.timeout(5):
                await play(world)
        finally:
            await world.server.stop()
        assert not world.server.connections
        assert not world.server.scripts
        await asyncio.sleep(0.01)  # the clients' own ends
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(whole())
    return world


def talk(play: Callable[[StreamReader, StreamWriter], Awaitable[None]], **options: Any) -> World:
    """A scene of one connection."""

    async def one(world: World) -> None:
        async with world.client() as (reader, writer):
            await play(reader, writer)

    return scene(one, **options)


def test_connection_is_kept() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        for number in range(3):
            writer.write(post(f"/a?{number}", "x" * number))
            assert await body(reader) == f"/a?{number}" + "x" * number

    assert talk(play).requests[2] == Request(b"POST", b"/a?2", b"xx", True)


@pytest.mark.parametrize("last", [get("/a", "Connection: close"), get("/a", version="1.0")])
@pytest.mark.parametrize("behind", [b"", get("/b"), b"\0"])
def test_connection_is_closed_when_the_client_wants_it(last: bytes, behind: bytes) -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(last + behind)
        answer = await reader.read()
        assert answer == said("/a").replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")

    assert len(talk(play).requests) <= 2


def test_connection_is_closed_after_a_script_too() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/slow", "Connection: close"))
        assert await reader.read() == said("slow 1")

    talk(play)


def test_requests_sent_ahead_are_answered_in_order() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/a") + get("/slow") + get("/b"))
        writer.write(post("/c", "1") + get("/slow") + post("/d", "2"))
        answers = [await body(reader) for _ in range(6)]
        # The number says how many were taken up: none before its turn.
        assert answers == ["/a", "slow 2", "/b", "/c1", "slow 5", "/d2"]

    talk(play)


def test_request_in_pieces() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        for byte in post("/a?key=b", "body"):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await body(reader) == "/a?key=bbody"

    talk(play)


def test_large_body_and_chunks() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(post("/", "x" * 1024 * 1024))
        assert await body(reader) == "/" + "x" * 1024 * 1024
        writer.write(get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n2;x=y\r\nde\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n" + get("/next"))
        assert [await body(reader), await body(reader)] == ["/abcde", "/next"]

    talk(play)


@pytest.mark.parametrize("chunked", [False, True])
def test_body_above_the_cap_is_refused(chunked: bool) -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        if chunked:
            writer.write(get("/", "Transfer-Encoding: chunked", method="POST") + b"200000\r\n" + b"x" * 0x200000)
        else:
            writer.write(post("/", "x" * 0x200000))
        assert (await reader.readline()) == b"HTTP/1.1 413 Request Entity Too Large\r\n"
        assert b"Connection: close\r\n" in await reader.read()

    assert talk(play, body_cap=1000).requests == []


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"no http at all\r\n\r\n",
    b"GET / HTTP/7\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    get("/" * 9000),
    get("x:1", method="CONNECT"),
    get("/", "Connection: Upgrade", "Upgrade: websocket"),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_not_http_gets_400_and_the_end(garbage: bytes) -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(garbage)
        assert await body(reader, 400) == ""
        assert await reader.read() == b""

    assert talk(play).requests == []


def test_what_came_before_the_garbage_is_answered_first() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/a") + get("/slow") + get("/b") + b"\0")
        writer.write(get("/c"))
        assert [await body(reader) for _ in range(3)] == ["/a", "slow 2", "/b"]
        assert await body(reader, 400) == ""
        assert await reader.read() == b""

    talk(play)


def test_head_has_no_body() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/a", "Connection: close", method="HEAD"))
        assert (await reader.read()).endswith(b"Content-Length: 2\r\n\r\n")

    talk(play)


def test_script_may_close() -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/close") + get("/a"))
        assert await reader.read() == b""

    assert len(talk(play).requests) == 1


def test_client_that_leaves_in_the_middle() -> None:
    async def play(world: World) -> None:
        for begun in (b"", b"POST /a HT", post("/a", "body")[:-1], get("/slow") + get("/never"), get("/hang")):
            async with world.client() as (_, writer):
                writer.write(begun)
                await writer.drain()
                await asyncio.sleep(0.02)
        while world.server.connections:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        async with world.client() as (reader, writer):
            writer.write(get("/next"))
            assert await body(reader) == "/next"
        await asyncio.sleep(0.1)

    world = scene(play)
    assert [request.target for request in world.requests] == [b"/slow", b"/hang", b"/next"]
    assert world.ended == ["slow"]


def test_stop_with_open_connections() -> None:
    async def play(world: World) -> None:
        async with world.client() as idle, world.client() as half, world.client() as slow, world.client() as hanging:
            idle[1].write(get("/a"))
            assert await body(idle[0]) == "/a"
            half[1].write(post("/a", "body")[:-1])
            slow[1].write(get("/slow"))
            hanging[1].write(get("/hang"))
            await asyncio.sleep(0.02)
            began = time.monotonic()
            await world.server.stop()
            assert time.monotonic() - began < 3
            assert await body(slow[0]) == "slow 3"
            assert [await reader.read() for reader, _ in (idle, half, slow, hanging)] == [b""] * 4
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", world.port)

    scene(play)


def test_full_disk_is_the_servers_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get("/full") + get("/a"))
        assert [await body(reader, 500), await body(reader)] == ["", "/a"]

    talk(play)
    assert "No space left" in caplog.text


@pytest.mark.parametrize("target", ["/bug", "/later-bug"])
def test_bug_closes_the_connection_and_is_told(target: str, caplog: pytest.LogCaptureFixture) -> None:
    async def play(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(get(target))
        assert await reader.read() == b""

    with caplog.at_level(logging.ERROR):
        talk(play)
    assert "bug" in caplog.text


def test_response_is_cut_at_its_empty_line() -> None:
    head, rest = halves(response(b"a\r\n\r\nb", "text/plain", 599))
    assert head == b"HTTP/1.1 599 \r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n"
    assert rest == b"a\r\n\r\nb"
