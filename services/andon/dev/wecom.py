"""A strict stand-in of the WeCom group robot, for the demo, tests and benchmarks.

Written from the vendor's page 91770 and recorded replies; shares no code with the channel. It answers HTTP 200 with
an errcode as the vendor does, and is stricter in one way: a field the vendor would ignore is refused.

    python -m andon.dev.wecom --port 8720 --record FILE --keys a,b,c

The record is one line of JSON per call whose text a person would have seen, written before the answer, so a killed
stand-in has forgotten nothing. `GET /_record` counts calls per key, `POST /_fault` takes a `Fault` as JSON,
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
from functools import partial
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from andon.dev import http
from andon.dev.wecom_rules import Refusal, checked

_SEND = "/cgi-bin/webhook/send"
_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_encode = msgspec.json.Encoder().encode
_JSON = "application/json; charset=UTF-8"
_TEXT = "text/plain; charset=utf-8"
_OK = http.response(b'{"errcode":0,"errmsg":"ok"}', _JSON)
_DONE = http.response(b"{}", _JSON)
_NOT_FOUND = http.response(b"", _TEXT, 404)


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong at the vendor, for the next `times` calls of `key` ("*" for every key).

    `delay` answers after `seconds`; `hang` never; `reset` resets the connection after the body was read; `close`
    closes it; `drip` sends a byte of the answer every `seconds`; `errcode` answers `code`; `html` answers HTTP
    `code` with a page of a proxy. `seen` says that the call was carried out all the same (delay: always).
    """

    kind: Literal["delay", "hang", "reset", "close", "drip", "errcode", "html"]
    key: str = "*"
    seconds: float = 0.2
    code: int = 500
    times: int | None = None
    seen: bool = False


class Seen(msgspec.Struct, frozen=True):
    """What a person in the group saw, `at` in seconds since 1970."""

    at: float
    key: str
    msgtype: str
    content: str


class Counts(msgspec.Struct):
    """Calls of one key: accepted, refused by errcode, and those a fault swallowed."""

    accepted: int = 0
    refused: dict[str, int] = {}
    faults: int = 0


class _Window:
    """At most `limit` calls in any `period` seconds, counted by arrival; 0 means no limit."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._arrivals: collections.deque[float] = collections.deque()

    def admits(self, now: float) -> bool:
        if not self._limit:
            return True
        while self._arrivals and self._arrivals[0] <= now - self._period:
            self._arrivals.popleft()
        if len(self._arrivals) >= self._limit:
            return False
        self._arrivals.append(now)
        return True


class WecomStandIn:
    """The stand-in on a loopback port, as an async context manager. `port` 0 takes a free one.

    `limit` calls per `period` seconds and key, 0 for no limit. With a `record` file what people saw goes there;
    without one it is kept in `seen`. `now` tells the seconds since 1970.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        limit: int = 20,
        period: float = 60.0,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.seen: list[Seen] = []
        self.counts = {key: Counts() for key in keys}
        self.faults: list[Fault] = []
        self._windows = {key: _Window(limit, period) for key in self.counts}
        self._now = now
        self._record = record
        self._file: int | None = None
        self._port = port
        self._server = http.Server(self._answer)
        # Nearly every call has one of these targets to the byte; the others are parsed.
        self._targets = {f"{_SEND}?key={quote(key)}".encode(): (_SEND, key) for key in self.counts}
        self.url = ""

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
        path, key = self._targets.get(request.target) or _parsed(request.target)
        if path != _SEND:
            return self._administer(request.method, path, request.body)
        if request.method != b"POST":
            return _refused(43002, "require POST method")
        if key not in self.counts:
            return _refused(93000, "invalid webhook url")
        fault = self._fault(key)
        if fault is None:
            return self._carry_out(key, request.body)
        return self._go_wrong(fault, key, request.body)

    def _carry_out(self, key: str, body: bytes) -> bytes:
        now = self._now()
        try:
            if not self._windows[key].admits(now):
                raise Refusal(45009, "api freq out of limit")
            msgtype, content = checked(body)
        except Refusal as refusal:
            refused = self.counts[key].refused
            refused[str(refusal.errcode)] = refused.get(str(refusal.errcode), 0) + 1
            return _refused(refusal.errcode, refusal.errmsg)
        seen = Seen(now, key, msgtype, content)
        if self._file is None:
            self.seen.append(seen)
        else:
            os.write(self._file, _encode(seen) + b"\n")
        self.counts[key].accepted += 1
        return _OK

    def _fault(self, key: str) -> Fault | None:
        for fault in self.faults:
            if fault.key in ("*", key) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def _go_wrong(self, fault: Fault, key: str, body: bytes) -> http.Answer:
        if fault.kind == "delay":
            return partial(_delay, fault.seconds, partial(self._carry_out, key, body))
        self.counts[key].faults += 1
        answer = self._carry_out(key, body) if fault.seen else _OK
        match fault.kind:
            case "errcode":
                return _refused(fault.code, "as the test wants it")
            case "html":
                return http.response(_HTML, "text/html; charset=utf-8", fault.code)
            case "drip":
                return partial(_drip, fault.seconds, answer)
            case "hang":
                return _hang
            case "reset":
                return _reset
            case "close":
                return _close

    def _administer(self, method: bytes, path: str, body: bytes) -> bytes:
        match method, path:
            case b"GET", "/_record":
                return http.response(_encode(self.counts), _JSON)
            case b"POST", "/_fault":
                try:
                    self.fail(msgspec.json.decode(body, type=Fault))
                except msgspec.DecodeError as error:
                    return http.response(str(error).encode(), _TEXT, 400)
                return _DONE
            case b"DELETE", "/_fault":
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


def _parsed(target: bytes) -> tuple[str, str]:
    """Path and key of a request's target; both are empty when it is none."""
    try:
        parts = urlsplit(target.decode())
    except ValueError:
        return "", ""
    return unquote(parts.path), parse_qs(parts.query).get("key", [""])[0]


def _refused(errcode: int, errmsg: str) -> bytes:
    hint = f"{errmsg}, hint: [1732240000000000001], from ip: 127.0.0.1, more info at "
    link = f"https://open.work.weixin.qq.com/devtool/query?e={errcode}"
    return http.response(_encode({"errcode": errcode, "errmsg": hint + link}), _JSON)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    standin = WecomStandIn(
        options.keys.split(","),
        limit=options.limit,
        period=options.period,
        record=options.record,
        port=options.port,
    )
    async with standin:
        sys.stdout.write(f"ready {standin.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = argparse.ArgumentParser(prog="andon.dev.wecom", description="A stand-in of the WeCom group robot.")
    parser.add_argument("--port", type=int, default=8720)
    parser.add_argument("--record", type=Path, help="file that gets a line per call a person would have seen")
    parser.add_argument("--limit", type=int, default=20, help="calls per period and key; 0 for no limit")
    parser.add_argument("--period", type=float, default=60.0, help="seconds")
    parser.add_argument("--keys", required=True, help="robot keys, separated by commas")
    try:
        asyncio.run(_serve(parser.parse_args(arguments)))
    except OSError as error:
        sys.stderr.write(f"the stand-in cannot start: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
