"""One SMTP session (RFC 5321) over a connected socket, and how far it came.

A client of our own for one question that no library answers: whether the end of a mail, the line with the single dot,
may have left. Before it the server must forget the mail; after it only the server's answer tells what became of it.
aiosmtplib and smtplib write mail and dot as one piece and say "disconnected" in both cases.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple, cast

from andon.core.fence import fenced

_LINE_CAP = 2_048
_ANSWER_CAP = 32 << 10
# The system may hold so much of a mail that the server has not read; the less, the later its end is written.
_SEND_BUFFER = 64 << 10
_ANSWER = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)")
_BARE_END = re.compile(rb"\r\n|\r|\n")
_DOT = re.compile(rb"^\.", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Answer(NamedTuple):
    """A whole answer: its code, and its text with the lines joined by blanks."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300

    @property
    def passing(self) -> bool:
        """Whether the server says: not now."""
        return 400 <= self.code < 500

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


class Lost(Exception):  # noqa: N818 - what happened to the connection, named by it
    """The connection ended before the answer did."""


class Unreadable(Exception):  # noqa: N818 - as above
    """What came is no answer of SMTP; the text says why, with no word of what came."""


class Refused(Exception):  # noqa: N818 - what the server did, named by it
    """The server does not take the step `step`; `answer` is None where it does not even offer it."""

    def __init__(self, step: str, answer: Answer | None = None) -> None:
        super().__init__(f"{step}: {answer}" if answer else step)
        self.step = step
        self.answer = answer


class Session:
    """A session on a connected socket; belongs to one event loop. `close` it, whatever happened.

    `ended` is true from the moment on at which the end of the mail may have left. Has no deadline of its own. Every
    method raises Lost, Unreadable, and OSError of TLS.
    """

    def __init__(self) -> None:
        self.ended = False
        self.offers: dict[str, str] = {}
        self._lines = _Lines()

    async def begin(self, sock: socket.socket, name: str, tls: tuple[ssl.SSLContext, str] | None = None) -> None:
        """Takes the socket over, by TLS from the first byte on if `tls` (context and host name) is given, and greets
        the server as `name`. Raises Refused."""
        context, host = tls or (None, None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._lines, sock=sock, ssl=context, server_hostname=host)
        _require("greeting", await self._lines.answer())
        await self._greet(name)

    async def secure(self, context: ssl.SSLContext, host: str, name: str) -> None:
        """STARTTLS (RFC 3207), never left out. Raises Refused, also when the server does not offer it."""
        if "STARTTLS" not in self.offers:
            raise Refused("STARTTLS")
        _require("STARTTLS", await self._ask("STARTTLS"))
        await self._lines.secure(context, host)
        await self._greet(name)  # what was offered before was not verified

    async def sign_in(self, user: str, password: str) -> None:
        """AUTH (RFC 4954) PLAIN, else LOGIN. Raises Refused with the step AUTH."""
        ways = self.offers.get("AUTH", "").upper().split()
        if "PLAIN" in ways:
            answer = await self._ask(f"AUTH PLAIN {_plain(user, password)}")
        elif "LOGIN" in ways:
            answer = await self._ask("AUTH LOGIN")
            for secret in (user, password):
                if answer.code == 334:
                    answer = await self._ask(_base64(secret))
        else:
            raise Refused("AUTH")
        if answer.code != 235:
            raise Refused("AUTH", answer)

    async def sender(self, address: str, size: int) -> None:
        """MAIL. Raises Refused."""
        declared = f" SIZE={size}" if "SIZE" in self.offers else ""
        _require("MAIL", await self._ask(f"MAIL FROM:<{address}>{declared}"))

    async def recipient(self, address: str) -> Answer:
        """RCPT; the answer is for this recipient alone."""
        return await self._ask(f"RCPT TO:<{address}>")

    async def mail(self, mail: bytes) -> Answer:
        """DATA, the mail and its end; the answer to the end. Raises Refused when the server does not want to begin, and
        TimeoutError when the time of the call (`core.fence`) is over before the end has left."""
        begun = await self._ask("DATA")
        if begun.code != 354:
            raise Refused("DATA", begun)
        await self._lines.write(stuffed(mail))
        if fenced(asyncio.get_running_loop().time()):
            raise TimeoutError
        self._lines.write_soon(b".\r\n")
        self.ended = True
        return await self._lines.answer()

    def close(self) -> None:
        """Says QUIT where that still makes sense, and waits for nothing; may be called twice."""
        self._lines.close()

    async def _greet(self, name: str) -> None:
        answer = await self._ask(f"EHLO {name}")
        _require("EHLO", answer)
        words = [line.split(" ", 1) for line in self._lines.last[1:]]
        self.offers = {word[0].upper(): word[1] if len(word) > 1 else "" for word in words if word[0]}

    async def _ask(self, command: str) -> Answer:
        if _CONTROL.search(command):
            raise ValueError("a command is one line")
        await self._lines.write(command.encode("ascii") + b"\r\n")
        return await self._lines.answer()


def stuffed(mail: bytes) -> bytes:
    """The mail as it goes over the connection: every line ends in CR LF, and one that begins with a dot gets another
    (RFC 5321, section 4.5.2)."""
    lines = _BARE_END.sub(b"\r\n", mail)
    return _DOT.sub(b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n")


def name_of_us(sock: socket.socket) -> str:
    """What EHLO says: this machine's name where it has a whole one, else its address on this connection
    (RFC 5321, section 4.1.3)."""
    name = socket.gethostname()
    if "." in name and name.isascii() and all(part.replace("-", "a").isalnum() for part in name.split(".")):
        return name
    address = sock.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def said_forms(account: Sequence[str]) -> tuple[str, ...]:
    """Every form in which a server may quote name and password: as they are, and as AUTH says them."""
    if not account:
        return ()
    return (*account, _plain(account[0], account[1]), *map(_base64, account))


def _plain(user: str, password: str) -> str:
    return _base64("\0".join(("", user, password)))


def _require(step: str, answer: Answer) -> None:
    if not answer.good:
        raise Refused(step, answer)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


class _Lines(asyncio.Protocol):
    """The connection as lines: what was read waits in a buffer that nothing but this class sees."""

    def __init__(self) -> None:
        self.last: list[str] = []
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._over = False
        self._asked = True  # a server speaks first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # `write` returns when nothing waits within this process any more.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._read += data
        if len(self._read) > _ANSWER_CAP:
            self.close()
        self._news.set()

    def eof_received(self) -> None:
        self._over = True
        self._news.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self._over = True
        self._news.set()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def write(self, data: bytes) -> None:
        self.write_soon(data)
        await self._room.wait()
        if self._over:
            raise Lost

    def write_soon(self, data: bytes) -> None:
        if self._over or self._transport is None:
            raise Lost
        if self._read.startswith(b"2"):  # a refusal may come early, from a server that is about to hang up
            raise Unreadable("it came before it was asked for")
        self._asked = True
        self._transport.write(data)

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        if self._read:
            raise Unreadable("it sends more before TLS than was asked for")
        if self._transport is None or self._over:
            raise Lost
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(self._transport, self, context, server_hostname=host)
        self.connection_made(cast("asyncio.BaseTransport", secured))

    async def answer(self) -> Answer:
        self.last = []
        code = 0
        size = 0
        while True:
            found = _ANSWER.fullmatch(line := await self._line())
            size += len(line)
            if found is None or (code and int(found[1]) != code):
                raise Unreadable("it is not SMTP")
            if size > _ANSWER_CAP:
                raise Unreadable(f"it has more than {_ANSWER_CAP} bytes")
            code = int(found[1])
            self.last.append(found[3].decode(errors="replace").strip())
            if found[2] != b"-":
                self._asked = False
                return Answer(code, " ".join(self.last))

    async def _line(self) -> bytes:
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > _LINE_CAP:
                raise Unreadable("a line without end")
            if self._over:
                raise Lost
            self._news.clear()
            await self._news.wait()
        line = bytes(self._read[:end]).removesuffix(b"\r")
        del self._read[: end + 1]
        return line

    def close(self) -> None:
        if self._transport is not None and not self._over:
            if not self._asked:
                self._transport.write(b"QUIT\r\n")
            self._transport.abort()  # what was written is the system's by now; nobody waits for the answer
        self._over = True
