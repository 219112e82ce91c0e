"""A mail server on loopback that says to each step what a test wants, or does to the connection what networks do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Self

import msgspec

HANG, RESET, CLOSE = "hang", "reset", "close"
"""In place of an answer: none, a reset (RST), an orderly end."""
GREETING, END = "greeting", "."

_GOOD = {
    GREETING: "220 mail.test ESMTP",
    "STARTTLS": "220 go ahead",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go ahead",
    END: "250 queued",
    "AUTH": "235 welcome",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class Mail(msgspec.Struct, frozen=True):
    """A mail that was taken: sender and recipients as the session named them, and the mail as it came."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    tls: bool


class FakeMail:
    """As an async context manager; `port` is where it listens.

    `says` gives the answer to a step instead of a good one: by its first word (`DATA`), the end of a mail `.`, the
    greeting `greeting`, or the whole line (`RCPT TO:<a@b.cn>`), which goes before. HANG, RESET and CLOSE are answers
    too. `says` may be changed at any time. `offers` are the lines of EHLO; STARTTLS is among them when `tls` is given.
    `cuts` resets the connection once so many bytes of a mail were read. `heard` are the lines of all sessions, `mails`
    what was taken.
    """

    def __init__(
        self,
        says: Mapping[str, str] | None = None,
        *,
        offers: tuple[str, ...] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.says = dict(says or {})
        self.cuts: int | None = None
        self.heard: list[str] = []
        self.mails: list[Mail] = []
        self.port = 0
        self.called = asyncio.Event()
        self.gone = asyncio.Event()
        self._tls = tls
        self._offers = offers if offers is not None else ("SIZE 1000000", "AUTH PLAIN LOGIN")
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)  # what is not read here waits at the client
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._accept, sock=listener)
        self.port = listener.getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the port and every connection; may be called twice."""
        self._server.close()
        left = dict(self._open)
        for task, writer in left.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*left, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Session(self, reader, writer).run()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            return  # asyncio.streams would print it as an error
        finally:
            self.gone.set()
            writer.transport.abort()

    def answer(self, line: str) -> str:
        """What is said to a line."""
        word = line.split(" ", 1)[0]
        return self.says.get(line) or self.says.get(word) or _GOOD.get(word, "500 what?")

    def offered(self, secured: bool) -> str:
        """The answer to EHLO."""
        lines = ["mail.test", *self._offers, *(["STARTTLS"] if self._tls and not secured else [])]
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What STARTTLS leads to."""
        return self._tls


class _Session:
    def __init__(self, server: FakeMail, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._secured = False
        self._sender = ""
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say(self._server.answer(GREETING))
        while True:
            line = (await self._reader.readuntil(b"\r\n")).decode().removesuffix("\r\n")
            self._server.heard.append(line)
            self._server.called.set()
            await self._step(line)

    async def _step(self, line: str) -> None:
        word, answer = line.split(" ", 1)[0].upper(), self._server.answer(line)
        if word == "EHLO":
            await self._say(self._server.says.get("EHLO") or self._server.offered(self._secured))
            return
        await self._say(answer)
        good = answer.startswith(("2", "3"))
        if word == "STARTTLS" and good and self._server.tls:
            await self._writer.start_tls(self._server.tls)
            self._secured = True
        elif word == "MAIL" and good:
            self._sender, self._recipients = _address(line), []
        elif word == "RCPT" and good:
            self._recipients.append(_address(line))
        elif word == "DATA" and good:
            await self._data()
        elif word == "AUTH" and answer.startswith("334"):
            for _ in range(2):
                self._server.heard.append((await self._reader.readuntil(b"\r\n")).decode().strip())
                await self._say("334 more" if _ == 0 else _GOOD["AUTH"])
        elif word == "QUIT":
            raise ConnectionAbortedError

    async def _data(self) -> None:
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            data += await self._reader.readuntil(b"\n")
            if self._server.cuts is not None and len(data) >= self._server.cuts:
                raise ConnectionAbortedError  # closing with bytes unread resets it
        answer = self._server.answer(END)
        if answer.startswith("2"):
            mail = (b"\r\n" + data.removesuffix(b".\r\n")).replace(b"\r\n.", b"\r\n").removeprefix(b"\r\n")
            self._server.mails.append(Mail(self._sender, tuple(self._recipients), mail, self._secured))
        await self._say(answer)

    async def _say(self, answer: str) -> None:
        if answer == HANG:
            await self._reader.read()  # until the client has left
            raise ConnectionAbortedError
        if answer == RESET:
            self._writer.transport.abort()
            raise ConnectionAbortedError
        if answer == CLOSE:
            self._writer.close()
            raise ConnectionAbortedError
        self._writer.write(answer.encode() + b"\r\n")
        await self._writer.drain()


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
