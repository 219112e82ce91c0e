"""One kept-alive HTTP/1.1 connection (RFC 9112): a request is written whole, its one answer is read and bounded.

Parsing is llhttp's (the parser of Node.js, by httptools). What is ours is what no client library tells: whether a byte
of the request may have left, which is the difference between trying again and asking a person (law L6).
"""

from __future__ import annotations

import asyncio
import re
import select
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from andon.core.ports import Reply

HEAD_CAP = 64 << 10
# All that may stand in Content-Encoding (IANA's registry) and changes a body; some take the header for the charset.
_COMPRESSED = re.compile(r"\b(?:gzip|compress|deflate|br|zstd|dcb|dcz|exi|aes128gcm)\b", re.IGNORECASE)


class Lost(Exception):  # noqa: N818 - what happened to the connection, named by it
    """The connection ended before the answer did."""


class Unreadable(Exception):  # noqa: N818 - as above
    """What came is no answer that can be read; the text says why, with no word of what came."""


class Connection(asyncio.BufferedProtocol):
    """Belongs to one event loop; made by `loop.create_connection`. One request at a time.

    `open` is true while a next request may be written; `since` is for the pool's use. An answer whose body is longer
    than `cap` bytes is unreadable. `buffer` is for all connections of a loop: what was read is parsed at once. (For
    asyncio's other kind of protocol each read takes 256 KiB from the system and gives most of it back.)
    """

    def __init__(self, cap: int, buffer: memoryview) -> None:
        self.open = False
        self.since = 0.0
        self._cap = cap
        self._buffer = buffer
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        # What old servers write and every browser reads: lines that end in LF alone, folded headers, a length beside
        # chunks. That could make a second answer of a first one, and what stands behind an answer is read by nobody.
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_headers=True, lenient_chunked_length=True
        )
        self._transport: asyncio.Transport | None = None
        self._socket = select.poll()
        self._answer: asyncio.Future[Reply] | None = None
        self._bare = 0
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._complete = False

    # ---- ours

    def quiet(self) -> bool:
        """Whether an `open` connection has nothing to read, its end included. What lies there before a request is
        written would be read after it, and taken for its answer."""
        return not self._socket.poll(0)

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Writes a request to an `open` connection. From here on it counts as begun, and the future ends in the
        answer, Lost or Unreadable."""
        if not self.open or self._transport is None or self._answer is not None:
            raise RuntimeError("this connection cannot be asked now")
        self._begin()
        self._bare = 0
        self._answer = answer = self._loop.create_future()
        self._transport.write(request)
        return answer

    def close(self) -> None:
        """Ends the connection at once; who waits for an answer is told that it is lost."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()
        self._fail(Lost())

    # ---- asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._socket.register(transport.get_extra_info("socket"), select.POLLIN)
        self.open = True

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None:
            self.close()  # nobody asked
            return
        size = self._size
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except HttpParserUpgrade:
            self._break("it changes the protocol")
            return
        except HttpParserError as error:
            if not self._complete:
                self._break(f"it is not HTTP ({type(error).__name__})")
                return
            self.open = False  # the answer is whole; what stands behind it is nobody's
        # Heads, trailers, interim answers, words between chunks: the parser keeps or passes over them without an end.
        self._bare = 0 if self._size > size else self._bare + nbytes
        self._judge()

    def _judge(self) -> None:
        """After each piece: whether the answer is whole, or can never be read."""
        if self._bare > HEAD_CAP and not self._complete:
            self._break(f"it goes on for more than {HEAD_CAP} bytes without a body")
        elif not self._status:
            return
        elif self._size > self._cap or int(self._headers.get("content-length", 0)) > self._cap:
            self._break(f"it has more than {self._cap} bytes")
        elif _COMPRESSED.search(self._headers.get("content-encoding", "")):
            self._break("it is compressed, and nobody asked for that")
        elif self._complete:
            self._tell()

    def eof_received(self) -> None:
        # Without a length the end of the connection is the end of the body.
        if self._status and not {"content-length", "transfer-encoding"} & self._headers.keys():
            self._tell()
        self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self.close()

    def _tell(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Reply(self._status, b"".join(self._body), self._headers))
        self._answer = None

    def _break(self, why: str) -> None:
        self._fail(Unreadable(f"HTTP {self._status}, but {why}" if self._status else why))
        self.close()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._answer = None

    # ---- the parser's

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # what comes behind the body says nothing of it (RFC 9110, section 6.5.1)
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self.open = self.open and self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._cap:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._begin()  # only an interim word (RFC 9110, section 15.2); the answer follows
        else:
            self._complete = True
