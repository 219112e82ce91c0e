"""A strict receiver of webhooks, for the demo, tests and users' own tests.

Written from Standard Webhooks 1.0.0; shares no code with the channel. It verifies every signature, knows a repeat by
its id, and writes down what came.

    HOOK=whsec_… python -m andon.dev.webhook --port 8721 --record FILE --secret-env HOOK

The record is one line of JSON per request that was taken, written before the answer. `GET /_record` counts per path,
`POST /_fault` takes a `Fault` as JSON, `DELETE /_fault` ends all faults.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Self

import msgspec

from andon.dev import http
from andon.dev.webhook_rules import Refusal, Verifier, require_body

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_encode = msgspec.json.Encoder().encode
_HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_DONE = http.response(b"{}", _JSON)


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong, for the next `times` requests to `path` ("*" for every path).

    `delay` answers after `seconds`; `hang` never; `reset` resets the connection after the body was read; `close`
    closes it; `drip` sends a byte of the answer every `seconds`; `status` answers `code` with `body` and the headers
    given; `html` answers `code` with a page of a proxy. `seen` says that the request was taken all the same (delay:
    always).
    """

    kind: Literal["delay", "hang", "reset", "close", "drip", "status", "html"]
    path: str = "*"
    seconds: float = 0.2
    code: int = 500
    body: str = ""
    headers: dict[str, str] = {}
    times: int | None = None
    seen: bool = False


class Taken(msgspec.Struct, frozen=True):
    """A request that was taken, `at` in seconds since 1970; `repeat` when its id had come before."""

    at: float
    path: str
    id: str
    content_type: str
    body: str
    repeat: bool
    headers: dict[str, str]


class Counts(msgspec.Struct):
    """Requests of one path: taken, repeats among them, refused by word, and those a fault swallowed."""

    taken: int = 0
    repeats: int = 0
    refused: dict[str, int] = {}
    faults: int = 0


class WebhookStandIn:
    """The receiver on a loopback port, as an async context manager. `port` 0 takes a free one.

    `secrets` are whsec_… and whpk_…; without any, signatures are not asked for. `answer` is the body of a good answer.
    With a `record` file what was taken goes there; without one it is kept in `taken`. `now` tells the seconds since
    1970.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        *,
        answer: bytes = b"",
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.taken: list[Taken] = []
        self.counts: dict[str, Counts] = {}
        self.faults: list[Fault] = []
        self.url = ""
        self._verifier = Verifier(list(secrets))
        self._good = http.response(answer, _JSON if answer else _TEXT)
        self._known: set[str] = set()
        self._now = now
        self._record = record
        self._file: int | None = None
        self._port = port
        self._server = http.Server(self._answer, headers=True)

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
        """Switches a fault on; the first that fits a request decides."""
        self.faults.append(fault)

    def _answer(self, request: http.Request) -> http.Answer:
        path = request.target.decode("latin-1").partition("?")[0]
        if path.startswith("/_"):
            return self._administer(request.method, path, request.body)
        counts = self.counts.setdefault(path, Counts())
        fault = next((one for one in self.faults if one.path in ("*", path) and one.times != 0), None)
        if fault is None:
            return self._take(path, request, counts)
        fault.times = None if fault.times is None else fault.times - 1
        if fault.kind == "delay":
            return partial(_delay, fault.seconds, partial(self._take, path, request, counts))
        counts.faults += 1
        answer = self._take(path, request, counts) if fault.seen else self._good
        return _gone_wrong(fault, answer)

    def _take(self, path: str, request: http.Request, counts: Counts) -> bytes:
        try:
            if request.method != b"POST":
                raise Refusal(405, "method")
            identity = self._verifier.check(request.headers, request.body, self._now())
            media = request.headers.get("content-type", "")
            require_body(media, request.body)
        except Refusal as refusal:
            counts.refused[refusal.word] = counts.refused.get(refusal.word, 0) + 1
            return http.response(_encode({"error": refusal.word}), _JSON, refusal.status)
        repeat = identity in self._known
        self._known.add(identity)
        one = Taken(self._now(), path, identity, media, request.body.decode(), repeat, dict(request.headers))
        if self._file is None:
            self.taken.append(one)
        else:
            os.write(self._file, _encode(one) + b"\n")
        counts.taken += 1
        counts.repeats += repeat
        return self._good

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
        return http.response(b"", _TEXT, 404)


def _gone_wrong(fault: Fault, answer: bytes) -> http.Answer:
    match fault.kind:
        case "status":
            whole = http.response(fault.body.encode(), _TEXT, fault.code)
            more = "".join(f"\r\n{name}: {value}" for name, value in fault.headers.items())
            return whole.replace(b"\r\n", more.encode() + b"\r\n", 1)
        case "html":
            return http.response(_HTML, "text/html; charset=utf-8", fault.code)
        case "drip":
            return partial(_drip, fault.seconds, answer)
        case "reset":
            return _reset
        case "close":
            return _close
    return _hang


async def _delay(seconds: float, take: Callable[[], bytes], transport: asyncio.Transport) -> None:
    await asyncio.sleep(seconds)
    transport.write(take())


async def _drip(seconds: float, answer: bytes, transport: asyncio.Transport) -> None:
    for byte in answer:
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


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    secrets = [os.environ[name] for name in options.secret_env]
    answer = options.answer.encode()
    async with WebhookStandIn(secrets, answer=answer, record=options.record, port=options.port) as standin:
        sys.stdout.write(f"ready {standin.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when it cannot start."""
    parser = argparse.ArgumentParser(prog="andon.dev.webhook", description="A strict receiver of webhooks.")
    parser.add_argument("--port", type=int, default=8721)
    parser.add_argument("--record", type=Path, help="file that gets a line per request that was taken")
    parser.add_argument("--answer", default="", help="body of a good answer")
    parser.add_argument(
        "--secret-env", action="append", default=[], metavar="NAME", help="variable with whsec_… or whpk_…; repeatable"
    )
    try:
        asyncio.run(_serve(parser.parse_args(arguments)))
    except OSError as error:
        sys.stderr.write(f"the stand-in cannot start: {error.strerror}\n")
        return 1
    except KeyError as error:
        sys.stderr.write(f"the stand-in cannot start: the variable {error.args[0]} is not set\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
