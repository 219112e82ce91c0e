"""A strict stand-in of the WeCom group robot, for the demo, tests and benchmarks.

Written from the vendor's page 91770 and recorded replies; shares no code with the channel. It answers HTTP 200 with
an errcode as the vendor does, and is stricter in one way: a field the vendor would ignore is refused.

    python -m andon.dev.wecom --port 8720 --record FILE --keys a,b,c

Record, counts and faults are those of every stand-in (`andon.dev.standin`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from andon.dev import http, standin
from andon.dev.standin import Fault, Refusal, Shown, StandIn, Window
from andon.dev.wecom_rules import checked

__all__ = ["Fault", "WecomStandIn"]

_SEND = "/cgi-bin/webhook/send"
_encode = msgspec.json.Encoder().encode


class WecomStandIn(StandIn):
    """Robots by their keys. `limit` calls per `period` seconds and key, 0 for no limit."""

    accepted = http.response(b'{"errcode":0,"errmsg":"ok"}', standin.JSON)

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
        super().__init__(keys, record=record, port=port, now=now)
        self._windows = {key: Window(limit, period) for key in self.counts}
        # Nearly every call has one of these targets to the byte; the others are parsed.
        self._targets = {f"{_SEND}?key={quote(key)}".encode(): (_SEND, key) for key in self.counts}

    def account(self, request: http.Request) -> str | None:
        path, key = self._targets.get(request.target) or _parsed(request.target)
        if path != _SEND:
            return None
        if request.method != b"POST":
            raise Refusal(43002, "require POST method")
        if key not in self.counts:
            raise Refusal(93000, "invalid webhook url")
        return key

    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        if not self._windows[account].admits(now):
            raise Refusal(45009, "api freq out of limit")
        return checked(request.body)

    def refused(self, errcode: int, errmsg: str) -> bytes:
        hint = f"{errmsg}, hint: [1732240000000000001], from ip: 127.0.0.1, more info at "
        link = f"https://open.work.weixin.qq.com/devtool/query?e={errcode}"
        return http.response(_encode({"errcode": errcode, "errmsg": hint + link}), standin.JSON)


def _parsed(target: bytes) -> tuple[str, str]:
    """Path and key of a request's target; both are empty when it is none."""
    try:
        parts = urlsplit(target.decode())
    except ValueError:
        return "", ""
    return unquote(parts.path), parse_qs(parts.query).get("key", [""])[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    chosen = standin.options("wecom", "WeCom group robot", 8720).parse_args(arguments)
    return standin.served(
        lambda: WecomStandIn(
            standin.split(chosen.keys),
            limit=chosen.limit,
            period=chosen.period,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
