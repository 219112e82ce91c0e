"""What every stand-in of a vendor has: its accounts, faults, a record of what people saw, and how it is started.

The record is one line of JSON per call whose text a person would have seen, written before the answer, so a killed
stand-in has forgotten nothing. `GET /_record` counts calls per account, `POST /_fault` takes a `Fault` as JSON,
`DELETE /_fault` ends all faults.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from andon.dev import http

JSON = "application/json; charset=UTF-8"
TEXT = "text/plain; charset=utf-8"
_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_DONE = http.response(b"{}", JSON)
_NOT_FOUND = http.response(b"", TEXT, 404)
_encode = msgspec.json.Encoder().encode


class Refusal(Exception):  # noqa: N818 - the vendor's answer, not an error of ours
    """The vendor says no."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errcode)
        self.errcode = errcode
        self.errmsg = errmsg


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong at the vendor, for the next `times` calls of `key` ("*" for every account).

    `delay` answers after `seconds`; `hang` never; `reset` resets the connection after the body was read; `close`
    closes it; `drip` sends a byte of the answer every `seconds`; `errcode` answers `code`; `html` answers HTTP
    `code` with a page of a proxy; `body` answers HTTP 200 with `text`. `seen` says that the call was carried out all
    the same (delay: always).
    """

    kind: Literal["delay", "hang", "reset", "close", "drip", "errcode", "html", "body"]
    key: str = "*"
    seconds: float = 0.2
    code: int = 500
    times: int | None = None
    seen: bool = False
    text: str = ""


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person in the group saw, `at` in seconds since 1970: the text, and who was called by name."""

    at: float
    key: str
    msgtype: str
    content: str
    called: tuple[str, ...] = ()


class Shown(msgspec.Struct, frozen=True):
    """What a body the vendor takes puts before people."""

    msgtype: str
    content: str
    called: tuple[str, ...] = ()


class Counts(msgspec.Struct):
    """Calls of one account: accepted, refused by errcode, and those a fault swallowed."""

    accepted: int = 0
    refused: dict[str, int] = {}
    faults: int = 0


class Window:
    """At most `limit` calls in any `period` seconds, counted by arrival; 0 means no limit.

    A call too many closes it for `penalty` seconds, if that is longer.
    """

    def __init__(self, limit: int, period: float, penalty: float = 0.0) -> None:
        self._limit = limit
        self._period = period
        self._penalty = penalty
        self._arrivals: collections.deque[float] = collections.deque()
        self._closed_until = 0.0

    def admits(self, now: float) -> bool:
        if not self._limit:
            return True
        if now < self._closed_until:
            return False
        while self._arrivals and self._arrivals[0] <= now - self._period:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._limit:
            self._closed_until = now + self._penalty
            return False
        self._arrivals.append(now)
        return True


class StandIn:
    """A vendor on a loopback port, as an async context manager. `port` 0 takes a free one.

    With a `record` file what people saw goes there; without one it is kept in `seen`. `now` tells the seconds since
    1970. What a vendor says is in the four members that a subclass gives: `accepted`, `account`, `shown`, `refused`.
    """

    accepted: bytes
    """The whole response to a call that is carried out."""

    def __init__(
        self,
        accounts: Iterable[str],
        *,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.seen: list[Seen] = []
        self.counts = {account: Counts() for account in accounts}
        self.faults: list[Fault] = []
        self.now = now
        self._record = record
        self._file: int | None = None
        self._port = port
        self._server = http.Server(self._answer, body_cap=32 << 20)
        self.url = ""

    def account(self, request: http.Request) -> str | None:
        """The account a request calls; None for an address that is not the vendor's. Raises Refusal."""
        raise NotImplementedError

    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        """What people see of a call, or the whole response to one that shows nothing. Raises Refusal."""
        raise NotImplementedError

    def refused(self, errcode: int, errmsg: str) -> bytes:
        """The whole response to a call that is refused."""
        raise NotImplementedError

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
            return self.refused(refusal.errcode, refusal.errmsg)
        if account is None:
            return self._administer(request)
        fault = self._fault(account)
        if fault is None:
            return self._carry_out(account, request)
        return self._go_wrong(fault, account, request)

    def _carry_out(self, account: str, request: http.Request) -> bytes:
        now = self.now()
        try:
            shown = self.shown(account, request, now)
        except Refusal as refusal:
            refused = self.counts[account].refused
            refused[str(refusal.errcode)] = refused.get(str(refusal.errcode), 0) + 1
            return self.refused(refusal.errcode, refusal.errmsg)
        if isinstance(shown, bytes):
            return shown
        seen = Seen(now, account, shown.msgtype, shown.content, shown.called)
        if self._file is None:
            self.seen.append(seen)
        else:
            os.write(self._file, _encode(seen) + b"\n")
        self.counts[account].accepted += 1
        return self.accepted

    def _fault(self, account: str) -> Fault | None:
        for fault in self.faults:
            if fault.key in ("*", account) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def _go_wrong(self, fault: Fault, account: str, request: http.Request) -> http.Answer:
        if fault.kind == "delay":
            return partial(_delay, fault.seconds, partial(self._carry_out, account, request))
        self.counts[account].faults += 1
        answer = self._carry_out(account, request) if fault.seen else self.accepted
        match fault.kind:
            case "errcode":
                return self.refused(fault.code, fault.text or "as the test wants it")
            case "html":
                return http.response(_HTML, "text/html; charset=utf-8", fault.code)
            case "body":
                return http.response(fault.text.encode(), JSON)
            case "drip":
                return partial(_drip, fault.seconds, answer)
            case "hang":
                return _hang
            case "reset":
                return _reset
            case "close":
                return _close

    def _administer(self, request: http.Request) -> bytes:
        match request.method, request.target.partition(b"?")[0]:
            case b"GET", b"/_record":
                return http.response(_encode(self.counts), JSON)
            case b"POST", b"/_fault":
                try:
                    self.fail(msgspec.json.decode(request.body, type=Fault))
                except msgspec.DecodeError as error:
                    return http.response(str(error).encode(), TEXT, 400)
                return _DONE
            case b"DELETE", b"/_fault":
                self.faults.clear()
                return _DONE
        return _NOT_FOUND


async def _delay(seconds: float, carry_out: Callable[[], bytes], transport: asyncio.Transport) -> None:
    await asyncio.sleep(seconds)
    transport.write(carry_out())


async def _drip(seconds: float, answer: bytes, transport: asyncio.Transport) -> None:
    head, body = http.halves(answer)
    transport.write(head)
    for byte in body:
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


def json_of(body: bytes, errcode: int, errmsg: str) -> dict[str, Any]:
    """The map in a request body. Raises Refusal with these words for anything else."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Refusal(errcode, errmsg) from None
    if not isinstance(value, dict):
        raise Refusal(errcode, errmsg)
    return value


def options(name: str, what: str, port: int, period: float = 60.0, limit: int = 20) -> argparse.ArgumentParser:
    """The command line every stand-in has."""
    parser = argparse.ArgumentParser(prog=f"andon.dev.{name}", description=f"A stand-in of the {what}.")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--record", type=Path, help="file that gets a line per call a person would have seen")
    parser.add_argument("--limit", type=int, default=limit, help="calls per period and account; 0 for no limit")
    parser.add_argument("--period", type=float, default=period, help="seconds")
    parser.add_argument("--keys", required=True, help="accounts (keys, tokens, ids of robots), separated by commas")
    return parser


def served(build: Callable[[], AbstractAsyncContextManager[StandIn]]) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    try:
        asyncio.run(_serve(build))
    except OSError as error:
        sys.stderr.write(f"the stand-in cannot start: {error.strerror}\n")
        return 1
    return 0


async def _serve(build: Callable[[], AbstractAsyncContextManager[StandIn]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with build() as standin:
        sys.stdout.write(f"ready {standin.url}\n")
        sys.stdout.flush()
        await stop.wait()


def split(accounts: str) -> Sequence[str]:
    """The accounts of `--keys`."""
    return accounts.split(",")
