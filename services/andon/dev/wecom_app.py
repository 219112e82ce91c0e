"""A strict stand-in of WeCom's application messages, for the demo, tests and benchmarks.

Written from the vendor's page 90236 and recorded replies; shares no code with the channel. It answers HTTP 200 with an
errcode as the vendor does, and does in silence what the vendor does in silence: what is beyond 30 a minute and 1,000 an
hour to one member is answered with errcode 0 and seen by nobody, and a text beyond 2048 bytes is cut.

    python -m andon.dev.wecom_app --port 8721 --record FILE --secret S --members wang,li

The record is one line of JSON per member and message a person would have seen, written before the answer.
`GET /_record` counts, `POST /_fault` takes a `Fault` as JSON, `DELETE /_fault` ends all faults, `POST /_revoke` takes
back the token.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from andon.dev import http
from andon.dev.standin import Refusal
from andon.dev.wecom_app_corp import Corp, Rules, Seen

_TOKEN, _SEND = "/cgi-bin/gettoken", "/cgi-bin/message/send"
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_JSON, _TEXT = "application/json; charset=UTF-8", "text/plain; charset=utf-8"
_DONE = http.response(b"{}", _JSON)
_NOT_FOUND = http.response(b"", _TEXT, 404)
_encode = msgspec.json.Encoder().encode


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong at the vendor, for the next `times` calls of `path` ("send" or "gettoken").

    `delay` answers after `seconds`; `hang` never; `reset` resets the connection after the body was read; `close`
    closes it; `errcode` answers `code`; `html` answers HTTP `code` with a page of a proxy. `seen` says that the call
    was carried out all the same (delay: always).
    """

    kind: Literal["delay", "hang", "reset", "close", "errcode", "html"]
    path: Literal["send", "gettoken"] = "send"
    seconds: float = 0.2
    code: int = 500
    times: int | None = None
    seen: bool = False


class WecomAppStandIn:
    """One corp with one app, on a loopback port, as an async context manager. `port` 0 takes a free one.

    `members` are the userids the app may write to, with `parties` and `tags` (number to members) among them;
    `unlicensed` are members the vendor names as such. With a `record` file what people saw goes there; without one it
    is kept in `seen`. `now` tells the seconds since 1970.
    """

    def __init__(
        self,
        members: Iterable[str],
        *,
        corp_id: str = "wwcorp",
        secret: str = "secret",  # noqa: S107 - a stand-in's, which protects nothing
        agent: int = 1000002,
        parties: Mapping[str, Sequence[str]] | None = None,
        tags: Mapping[str, Sequence[str]] | None = None,
        unlicensed: Iterable[str] = (),
        rules: Rules | None = None,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.corp = Corp(
            members,
            corp_id,
            secret,
            agent,
            parties=parties or {},
            tags=tags or {},
            unlicensed=unlicensed,
            rules=rules or Rules(),
            show=self._show,
        )
        self.counts = self.corp.counts
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.url = ""
        self._now = now
        self._record = record
        self._file: int | None = None
        self._port = port
        self._server = http.Server(self._answer)

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

    # ---- requests

    def _answer(self, request: http.Request) -> http.Answer:
        try:
            parts = urlsplit(request.target.decode())
        except ValueError:
            return _NOT_FOUND
        path = unquote(parts.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if path not in (_TOKEN, _SEND):
            return self._administer(request.method, path, request.body)
        carry_out = partial(self._carry_out, path, request.method, query, request.body)
        fault = self._fault(path)
        return carry_out() if fault is None else self._go_wrong(fault, carry_out)

    def _carry_out(self, path: str, method: bytes, query: Mapping[str, str], body: bytes) -> bytes:
        now = self._now()
        try:
            if path == _TOKEN:
                return _said(self.corp.granted(query, now))
            if method != b"POST":
                raise Refusal(43002, "require POST method")
            return _said(self.corp.sent(query, body, now))
        except Refusal as refusal:
            self.counts.refused[str(refusal.errcode)] = self.counts.refused.get(str(refusal.errcode), 0) + 1
            return _refused(refusal.errcode, refusal.errmsg)

    def _show(self, seen: Seen) -> None:
        if self._file is None:
            self.seen.append(seen)
        else:
            os.write(self._file, _encode(seen) + b"\n")

    # ---- faults and administration

    def _fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if path.endswith(fault.path) and fault.times != 0:
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None

    def _go_wrong(self, fault: Fault, carry_out: Callable[[], bytes]) -> http.Answer:
        if fault.kind == "delay":
            return partial(_delay, fault.seconds, carry_out)
        self.counts.faults += 1
        if fault.seen:
            carry_out()
        match fault.kind:
            case "errcode":
                return _refused(fault.code, "as the test wants it")
            case "html":
                return http.response(_HTML, "text/html; charset=utf-8", fault.code)
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
            case b"POST", "/_revoke":
                self.corp.revoke()
                return _DONE
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


async def _hang(_transport: asyncio.Transport) -> None:
    await asyncio.Event().wait()


async def _reset(transport: asyncio.Transport) -> None:
    transport.abort()


async def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _said(value: dict[str, object]) -> bytes:
    return http.response(_encode(value), _JSON)


def _refused(errcode: int, errmsg: str) -> bytes:
    hint = f"{errmsg}, hint: [1732240000000000001], from ip: 127.0.0.1, more info at "
    return _said({"errcode": errcode, "errmsg": f"{hint}https://open.work.weixin.qq.com/devtool/query?e={errcode}"})


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    standin = WecomAppStandIn(
        options.members.split(","),
        corp_id=options.corp,
        secret=options.secret,
        agent=options.agent,
        record=options.record,
        port=options.port,
    )
    async with standin:
        sys.stdout.write(f"ready {standin.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = argparse.ArgumentParser(prog="andon.dev.wecom_app", description="A stand-in of a WeCom application.")
    parser.add_argument("--port", type=int, default=8721)
    parser.add_argument("--record", type=Path, help="file that gets a line per message a member would have seen")
    parser.add_argument("--corp", default="wwcorp", help="the corp's id")
    parser.add_argument("--secret", default="secret", help="the app's secret")
    parser.add_argument("--agent", type=int, default=1000002, help="the app's number")
    parser.add_argument("--members", required=True, help="userids, separated by commas")
    try:
        asyncio.run(_serve(parser.parse_args(arguments)))
    except OSError as error:
        sys.stderr.write(f"the stand-in cannot start: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
