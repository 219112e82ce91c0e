"""What every stand-in has: faults, a record of what came through, counts, pages of its own, and how it is started.

The record is one line of JSON for each thing that a person would have seen or a receiver taken, written before the
answer, so a killed stand-in has forgotten nothing. `GET /_record` shows the counts, `POST /_fault` takes a `Fault` as
JSON, `DELETE /_fault` ends all faults.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

import msgspec

from andon.dev import http

JSON = "application/json; charset=UTF-8"
TEXT = "text/plain; charset=utf-8"
_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
DONE = http.response(b"{}", JSON)
_NOT_FOUND = http.response(b"", TEXT, 404)
_encode = msgspec.json.Encoder().encode
Seen = TypeVar("Seen")
"""What is put on record of a call."""


class Refusal(Exception):  # noqa: N818 - the other side's answer, not an error of ours
    """The other side says no: its number for that, and its words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.code = code
        self.text = text

    @property
    def counted(self) -> str:
        """What it is counted under."""
        return str(self.code)


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong at the other side, for the next `times` calls of `key` ("*" for every account).

    `delay` answers after `seconds`; `hang` never; `reset` resets the connection after the body was read; `close`
    closes it; `drip` sends a byte of the answer every `seconds`; `errcode` refuses with `code`; `html` answers HTTP
    `code` with a page of a proxy; `body` answers HTTP 200 with `text`; `status` answers HTTP `code` with `text` and
    `headers`. `seen` says that the call was carried out all the same (delay: always).
    """

    kind: Literal["delay", "hang", "reset", "close", "drip", "errcode", "html", "body", "status"]
    key: str = "*"
    seconds: float = 0.2
    code: int = 500
    times: int | None = None
    seen: bool = False
    text: str = ""
    headers: dict[str, str] = {}


class Counts(msgspec.Struct):
    """Calls: accepted, refused by errcode, and those a fault swallowed."""

    accepted: int = 0
    refused: dict[str, int] = {}
    faults: int = 0


class StandIn(ABC, Generic[Seen]):
    """The other side on a loopback port, as an async context manager. `port` 0 takes a free one.

    With a `record` file what came through goes there; without one it is kept in `seen`. `now` tells the seconds since
    1970. What the other side says is in the members that a subclass gives: `accepted`, `counts`, `account`, `tally`,
    `carried_out`, `refused`. A subclass that looks at `headers` asks for them.
    """

    accepted: bytes
    """The whole response to a call that is carried out."""
    counts: Counts | Mapping[str, Counts]
    """What `GET /_record` shows: of the whole stand-in, or by account."""

    def __init__(
        self,
        *,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
        headers: bool = False,
    ) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.now = now
        self._record = record
        self._file: int | None = None
        self._port = port
        self._server = http.Server(self._answer, body_cap=32 << 20, headers=headers)
        self.url = ""

    @abstractmethod
    def account(self, request: http.Request) -> str | None:
        """What a request calls: an account, or a path; None for an address that is not the other side's.

        Raises Refusal.
        """

    @abstractmethod
    def tally(self, account: str) -> Counts:
        """Where calls of an account are counted."""

    @abstractmethod
    def carried_out(self, account: str, request: http.Request, now: float) -> bytes:
        """Carries a call out: the whole response. It `show`s and counts what came through. Raises Refusal."""

    @abstractmethod
    def refused(self, code: int, text: str) -> bytes:
        """The whole response to a call that is refused."""

    def show(self, seen: Seen) -> None:
        """Puts one thing on record."""
        if self._file is None:
            self.seen.append(seen)
        else:
            os.write(self._file, _encode(seen) + b"\n")

    async def __aenter__(self) -> Self:
        if self._record:
            self._file = os.open(self._record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._port = await self._server.start(self._port)
        self.url = f"http://{http.HOST}:{self._port}"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._server.stop()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def fail(self, fault: Fault) -> None:
        """Switches a fault on; the first that fits a call decides."""
        self.faults.append(fault)

    def _answer(self, request: http.Request) -> http.Answer:
        try:
            account = self.account(request)
        except Refusal as refusal:
            return self.refused(refusal.code, refusal.text)
        if account is None:
            return self.administered(request)
        fault = self._fault(account)
        if fault is None:
            return self._carry_out(account, request)
        return self._go_wrong(fault, account, request)

    def _carry_out(self, account: str, request: http.Request) -> bytes:
        try:
            return self.carried_out(account, request, self.now())
        except Refusal as refusal:
            refused = self.tally(account).refused
            refused[refusal.counted] = refused.get(refusal.counted, 0) + 1
            return self.refused(refusal.code, refusal.text)

    def _fault(self, account: str) -> Fault | None:
        for fault in self.faults:
            if fault.key in ("*", account) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def _go_wrong(self, fault: Fault, account: str, request: http.Request) -> http.Answer:
        if fault.kind == "delay":
            return partial(_delay, fault.seconds, partial(self._carry_out, account, request))
        self.tally(account).faults += 1
        answer = self._carry_out(account, request) if fault.seen else self.accepted
        match fault.kind:
            case "errcode":
                return self.refused(fault.code, fault.text or "as the test wants it")
            case "html":
                return http.response(_HTML, "text/html; charset=utf-8", fault.code)
            case "body":
                return http.response(fault.text.encode(), JSON)
            case "status":
                return http.response(fault.text.encode(), TEXT, fault.code, fault.headers)
            case "drip":
                return partial(_drip, fault.seconds, answer)
            case "hang":
                return _hang
            case "reset":
                return _reset
            case "close":
                return _close

    def administered(self, request: http.Request) -> bytes:
        """The answer of a page of the stand-in's own, or 404."""
        match request.method, request.target.partition(b"?")[0]:
            case b"GET", b"/_record":
                return http.response(_encode(self.counts), JSON)
            case b"POST", b"/_fault":
                try:
                    self.fail(msgspec.json.decode(request.body, type=Fault))
                except msgspec.DecodeError as error:
                    return http.response(str(error).encode(), TEXT, 400)
                return DONE
            case b"DELETE", b"/_fault":
                self.faults.clear()
                return DONE
        return _NOT_FOUND


async def _delay(seconds: float, carry_out: Callable[[], bytes], transport: asyncio.Transport) -> None:
    await asyncio.sleep(seconds)
    transport.write(carry_out())


async def _drip(seconds: float, answer: bytes, transport: asyncio.Transport) -> None:
    head, body = http.halves(answer)
    if body:
        transport.write(head)
    for byte in body or head:
        if transport.is_closing():
            return
        transport.write(bytes([byte]))
        await asyncio.sleep(seconds)


async def _hang(_transport: asyncio.Transport) -> None:
    await asyncio.Event().wait()


async def _reset(transport: asyncio.Transport) -> None:
    transport.abort()


async def _close(transport: asyncio.Transport) -> None:
    transport.close()


def options(name: str, what: str, port: int, record: str) -> argparse.ArgumentParser:
    """The command line every stand-in has; `record` says what gets a line."""
    parser = argparse.ArgumentParser(prog=f"andon.dev.{name}", description=what)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--record", type=Path, help=f"file that gets a line per {record}")
    return parser


def failed(why: str | None) -> int:
    """Says why a stand-in cannot start: the code its process ends with."""
    sys.stderr.write(f"the stand-in cannot start: {why}\n")
    return 1


def served(build: Callable[[], StandIn[Any]]) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    try:
        asyncio.run(_serve(build))
    except OSError as error:
        return failed(error.strerror)
    return 0


async def _serve(build: Callable[[], StandIn[Any]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with build() as standin:
        sys.stdout.write(f"ready {standin.url}\n")
        sys.stdout.flush()
        await stop.wait()
