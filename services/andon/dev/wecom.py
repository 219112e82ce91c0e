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
from pathlib import Path
from typing import Literal, Self

import msgspec
from aiohttp import web

from andon.dev.wecom_rules import Refusal, checked

_SEND = "/cgi-bin/webhook/send"
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
_OK = b'{"errcode":0,"errmsg":"ok"}'
_encode = msgspec.json.Encoder().encode


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
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        self.url = ""

    async def __aenter__(self) -> Self:
        if self._record:
            self._file = os.open(self._record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024).start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._runner.cleanup()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def fail(self, fault: Fault) -> None:
        """Switches a fault on; the first that fits a call decides."""
        self.faults.append(fault)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != _SEND:
            return await self._administer(request)
        if request.method != "POST":
            return _refused(43002, "require POST method")
        body = await request.read()
        key = request.query.get("key", "")
        if key not in self.counts:
            return _refused(93000, "invalid webhook url")
        fault = self._fault(key)
        if fault is None:
            return self._carry_out(key, body)
        return await self._go_wrong(fault, key, body, request)

    def _carry_out(self, key: str, body: bytes) -> web.Response:
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
        return _json(_OK)

    def _fault(self, key: str) -> Fault | None:
        for fault in self.faults:
            if fault.key in ("*", key) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    async def _go_wrong(self, fault: Fault, key: str, body: bytes, request: web.BaseRequest) -> web.StreamResponse:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return self._carry_out(key, body)
        self.counts[key].faults += 1
        answer = self._carry_out(key, body) if fault.seen else _json(_OK)
        if fault.kind == "errcode":
            return _refused(fault.code, "as the test wants it")
        if fault.kind == "html":
            return web.Response(status=fault.code, text=_HTML, content_type="text/html")
        if fault.kind == "drip":
            return await _drip(request, answer, fault.seconds)
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if request.transport is not None:
            if fault.kind == "reset":
                request.transport.abort()
            else:
                request.transport.close()
        return answer

    async def _administer(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "GET", "/_record":
                return _json(_encode(self.counts))
            case "POST", "/_fault":
                try:
                    self.fail(msgspec.json.decode(await request.read(), type=Fault))
                except msgspec.DecodeError as error:
                    return web.Response(status=400, text=str(error))
                return _json(b"{}")
            case "DELETE", "/_fault":
                self.faults.clear()
                return _json(b"{}")
        return web.Response(status=404)


async def _drip(request: web.BaseRequest, answer: web.Response, seconds: float) -> web.StreamResponse:
    body = bytes(answer.body) if isinstance(answer.body, bytes) else _OK
    stream = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await stream.prepare(request)
    for byte in body:
        await stream.write(bytes([byte]))
        await asyncio.sleep(seconds)
    return stream


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="UTF-8")


def _refused(errcode: int, errmsg: str) -> web.Response:
    hint = f"{errmsg}, hint: [1732240000000000001], from ip: 127.0.0.1, more info at "
    link = f"https://open.work.weixin.qq.com/devtool/query?e={errcode}"
    return _json(_encode({"errcode": errcode, "errmsg": hint + link}))


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
