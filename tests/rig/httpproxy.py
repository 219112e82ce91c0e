"""A small HTTP proxy: CONNECT tunnels, and requests with an absolute address. Imports nothing of Andon."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import Literal, Self

from tests.rig.serving import served

Refusal = Literal["hang", "close", "nonsense"] | int


class HttpProxy:
    """On loopback, as an async context manager. `asked` holds the first line and the headers of every request.

    `names` gives the port on loopback that a `host:port` stands for; an address of loopback stands for itself.
    `account` is user and password it wants (else 407). `refusal` is what it does to every request instead.
    """

    def __init__(
        self,
        names: Mapping[str, int] | None = None,
        *,
        account: tuple[str, str] | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        self.asked: list[bytes] = []
        self.refusal = refusal
        self._names = dict(names or {})
        self._account = account
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = served(self._serve)
        self.port = await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        match self.refusal:
            case "hang":
                await asyncio.Event().wait()
            case "close":
                return
            case "nonsense":
                writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
                await writer.drain()
                return
        if status := self.refusal or (0 if self._may(head) else 407):
            writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        there, out = await asyncio.open_connection("127.0.0.1", self._names.get(f"{host}:{port}", int(port)))
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        try:
            pumps = [asyncio.ensure_future(_pump(reader, out)), asyncio.ensure_future(_pump(there, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            out.transport.abort()

    def _may(self, head: bytes) -> bool:
        if self._account is None:
            return True
        shown = b64encode(":".join(self._account).encode())
        return b"\r\nProxy-Authorization: Basic " + shown + b"\r\n" in head


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
