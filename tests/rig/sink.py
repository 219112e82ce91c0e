"""What stands at the other end of every call: a group robot that writes down what it saw, and misbehaves on demand.

A program of its own that imports nothing of Andon: `python sink.py PORT RECORD`. RECORD gets one line of JSON for each

    open   a connection, with the process it comes from
    got    a call's body has been read: from here on the effect has happened
    told   the answer has been written
    cut    the caller was gone before it had the whole answer, or the answer was none that it could read
    odd    a call has been answered in a way (`how`) that is neither a success nor, if it says so, an effect
    lured  somebody has followed a redirect to us
    gone   a connection has ended

written before anything else happens, so a killed sink has forgotten nothing. `POST /_do` switches behaviour (see
`Sink`), `DELETE /_do` ends it, `GET /_now` counts calls that have been read and not answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import socket
import struct
import sys
import time
from typing import Any

OK = {"errcode": 0, "errmsg": "ok"}
PAGE = b"<html><body>Please log in to the network.</body></html>"
REFUSALS = ("errcode", "throttle", "redirect")
LURE = "/lure"
FLOOD = 64 << 20


class Sink:
    """`do` maps a key, or "*", to {"what", "low", "high", "code", "after", "to", "chance"}.

    With an effect: `late` answers after low to high seconds, `hang` never, `drip` sends a byte of the answer every
    `low` seconds, `reset` breaks the connection, `html` answers a page, `huge` a body without end. Without one:
    `errcode` answers `code`, `throttle` HTTP 429 with Retry-After `after`, `redirect` HTTP 302 with Location `to`.
    Only the share `chance` of the calls is treated so, the others well.
    """

    def __init__(self, record: str) -> None:
        self._file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._calls = 0
        self._connections = 0
        self._pids: dict[int, int] = {}
        self.do: dict[str, dict[str, Any]] = {}
        self.now = {"waiting": 0, "open": 0, "most_open": 0, "calls": 0, "odd": 0, "most_sent": 0}

    def _write(self, what: str, **more: Any) -> None:
        line = json.dumps({"what": what, "at": time.time(), **more}, ensure_ascii=False)
        os.write(self._file, line.encode() + b"\n")

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        try:
            while (request := await _request(reader)) is not None:
                method, path, body = request
                if path.startswith("/_"):
                    await _answer(writer, self._administer(method, body))
                    continue
                if path.startswith(LURE):
                    self._write("lured", path=path)
                    await _answer(writer, OK)
                    continue
                if number not in self._pids:
                    self._meet(number, writer)
                if not await self._call(number, path, body, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if number in self._pids:
                self._write("gone", connection=number)
                self.now["open"] -= 1
            writer.close()

    def _meet(self, number: int, writer: asyncio.StreamWriter) -> None:
        self._pids[number] = _owner(writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1])
        self.now["open"] += 1
        self.now["most_open"] = max(self.now["most_open"], self.now["open"])
        self._write("open", connection=number, pid=self._pids[number])

    def _administer(self, method: str, body: bytes) -> dict[str, Any]:
        if method == "POST":
            self.do.update(json.loads(body))
        elif method == "DELETE":
            self.do.clear()
            self.now["most_open"] = self.now["open"]
        return self.now

    async def _call(
        self, connection: int, path: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection can take another call."""
        key = path.rpartition("key=")[2]
        do = self.do.get(key) or self.do.get("*") or {"what": "answer"}
        if random.random() >= do.get("chance", 1.0):
            do = {"what": "answer"}
        if do["what"] in REFUSALS:
            self._odd(do["what"], key)
            await _refuse(writer, do)
            return True
        posted = json.loads(body)
        self._calls += 1
        number = self._calls
        self.now["calls"] = number
        text = posted[posted["msgtype"]]["content"]
        self._write("got", call=number, key=key, connection=connection, pid=self._pids[connection], text=text)
        self.now["waiting"] += 1
        try:
            whole = await self._finish(do, key, reader, writer)
        finally:
            self.now["waiting"] -= 1
        self._write("told" if whole else "cut", call=number)
        return whole

    def _odd(self, how: str, key: str) -> None:
        self.now["odd"] += 1
        self._write("odd", how=how, key=key)

    async def _finish(
        self, do: dict[str, Any], key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if do["what"] in ("reset", "html", "huge"):
            self._odd(do["what"], key)
        if do["what"] == "html":
            await _page(writer, PAGE, "200 OK", "Content-Type: text/html")
            return False
        if do["what"] == "huge":
            self.now["most_sent"] = max(self.now["most_sent"], await _flood(writer))
            return False
        if do["what"] == "reset":
            packed = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, packed)
            writer.transport.abort()
            return False
        gone = asyncio.ensure_future(reader.read(1))
        try:
            if do["what"] == "hang":
                await gone
                return False
            if do["what"] == "late":
                pause = random.uniform(do["low"], do["high"])
                await asyncio.wait({gone}, timeout=pause)
            if gone.done():
                return False
            if do["what"] == "drip":
                return await _drip(writer, gone, do["low"])
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone
        await _answer(writer, OK)
        return True


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return method, path, await reader.readexactly(int(length[1])) if length else b""


async def _answer(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    await _page(writer, json.dumps(body).encode(), "200 OK", "Content-Type: application/json")


async def _page(writer: asyncio.StreamWriter, content: bytes, status: str, header: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()


async def _refuse(writer: asyncio.StreamWriter, do: dict[str, Any]) -> None:
    match do["what"]:
        case "errcode":
            await _answer(writer, {"errcode": do["code"], "errmsg": "as the test wants it"})
        case "throttle":
            await _page(writer, PAGE, "429 Too Many Requests", f"Retry-After: {do['after']}")
        case "redirect":
            await _page(writer, b"", "302 Found", f"Location: {do['to']}")


async def _flood(writer: asyncio.StreamWriter) -> int:
    """Sends until the caller has had enough; how many bytes that took."""
    sent = 0
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while sent < FLOOD:
            writer.write(b" " * 65_536)
            sent += 65_536
            await writer.drain()
    writer.transport.abort()
    return sent


async def _drip(writer: asyncio.StreamWriter, gone: asyncio.Future[bytes], pause: float) -> bool:
    content = json.dumps(OK).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content))
    for byte in content:
        writer.write(bytes([byte]))
        await asyncio.wait({gone}, timeout=pause)
        if gone.done():
            return False
    return True


def _owner(port: int, ours: int) -> int:
    """The process that is connected from this port of the loopback to ours, 0 when it is not known (Linux)."""
    here, there = f":{port:04X}", f":{ours:04X}"  # one port may be in use towards several others
    try:
        with open("/proc/net/tcp", encoding="ascii") as table:
            inode = next(f[9] for f in map(str.split, table) if f[1].endswith(here) and f[2].endswith(there))
    except (OSError, StopIteration):
        return 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                        return int(pid)
    return 0


async def main(port: int, record: str) -> None:
    sink = Sink(record)
    server = await asyncio.start_server(sink.connected, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
