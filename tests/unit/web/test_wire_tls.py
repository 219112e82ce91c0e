"""HttpWire over TLS, directly and through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from andon.core.failure import Failure
from andon.web.wire import HttpWire
from tests.unit.web.rig import (
    BODY,
    PATH,
    SECRET,
    assert_not_sent,
    failing,
    post,
)

openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl program to make a certificate")


@pytest.fixture
def secure(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for `localhost`, and the certificate who trusts it must know."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of connections, each ended with it at the latest; its port."""
    open_: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_)


def https(context: ssl.SSLContext, heard: list[bytes]) -> contextlib.AbstractAsyncContextManager[int]:
    """A server that answers every request over TLS; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(BODY)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    return served(serve, context)


def tunnel(asked: list[bytes]) -> contextlib.AbstractAsyncContextManager[int]:
    """A proxy that opens every tunnel it is asked for; its port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        there, out = await asyncio.open_connection("127.0.0.1", int(asked[-1].split()[1].rpartition(b":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.wait(
                [asyncio.ensure_future(pump(reader, out)), asyncio.ensure_future(pump(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            out.transport.abort()

    return served(serve)


@openssl
def test_untrusted_certificate_is_not_sent(secure: tuple[ssl.SSLContext, Path]) -> None:
    heard: list[bytes] = []

    async def scene() -> tuple[Failure, Failure]:
        async with https(secure[0], heard) as port, tunnel([]) as proxy:
            found = []
            for wire in (HttpWire(), HttpWire(proxy=f"http://user:{SECRET}@127.0.0.1:{proxy}")):
                found.append(await failing(post(wire, f"https://localhost:{port}")))
                await wire.close()
            return found[0], found[1]

    for failure in asyncio.run(scene()):
        assert_not_sent(failure)
        assert "certificate" in failure.detail
    assert heard == []


@openssl
def test_trusted_server_is_reached_directly_and_through_a_proxy(
    secure: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(secure[1])
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    heard: list[bytes] = []
    asked: list[bytes] = []

    async def scene() -> list[int]:
        async with https(secure[0], heard) as port, tunnel(asked) as proxy:
            found = []
            for wire in (HttpWire(), HttpWire(proxy=f"http://user:{SECRET}@127.0.0.1:{proxy}")):
                found += [(await post(wire, f"https://localhost:{port}")).status for _ in range(2)]
                await wire.close()
            return found

    assert asyncio.run(scene()) == [200] * 4
    assert len(asked) == 1, "a tunnel is used again"
    assert b"Proxy-Authorization: Basic " in asked[0]
    assert all(one.startswith(f"POST {PATH} HTTP/1.1\r\n".encode()) and b"Proxy-" not in one for one in heard)
