"""The port for machines: /healthz, /readyz and /metrics of one process, on loopback unless told otherwise.

So little HTTP that no library is loaded for it: the one of the door would be a fifth of a stage's start.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST

from andon.runtime.metrics import Metrics

_HEAD = 8 << 10
_DEADLINE_S = 10.0
_TEXT = "text/plain; charset=utf-8"


class CannotListen(Exception):  # noqa: N818 - a state of the machine, told to people
    """An address this process should serve cannot be used; the text says which and what to do."""

    exit_code = 1


@contextmanager
def listening(address: str) -> Iterator[None]:
    """Around what opens a port: raises CannotListen when the address is taken or not ours."""
    try:
        yield
    except OSError as error:
        # The errors of a look-up have numbers of their own.
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise CannotListen(f"cannot listen on {address} ({why}); end what uses it, or give another address") from None


class HealthPort:
    """Serves until closed, one request a connection: its head within 10 s and 8 KiB, and no body is read. `ready` tells
    whether the process does its work: its partitions are known, its store answers, its configuration is in force."""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._figures = metrics
        self._ready = ready
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> None:
        """Raises CannotListen."""
        with listening(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
            self._server = await asyncio.start_server(self._serve, host, port, limit=_HEAD)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_DEADLINE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.partition(b"\r\n")[0]))
                await writer.drain()
        writer.close()

    def _answer(self, line: bytes) -> bytes:
        method, _, target = line.decode("latin-1").partition(" ")
        path = target.partition(" ")[0].partition("?")[0]
        status, kind, body = HTTPStatus.NOT_FOUND, _TEXT, b"nothing is here\n"
        if method not in ("GET", "HEAD"):
            status, body = HTTPStatus.METHOD_NOT_ALLOWED, b"use GET\n"
        elif path == "/healthz":
            status, body = HTTPStatus.OK, b"ok\n"
        elif path == "/readyz" and self._ready():
            status, body = HTTPStatus.OK, b"ready\n"
        elif path == "/readyz":
            status, body = HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n"
        elif path == "/metrics":
            status, kind, body = HTTPStatus.OK, CONTENT_TYPE_LATEST, self._figures.text()
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + (b"" if method == "HEAD" else body)

    async def close(self) -> None:
        if self._server:
            self._server.close()
