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
from urllib.parse import quote

import msgspec

from andon.dev import http, robot, standin
from andon.dev.robot import RobotStandIn, Shown, Window
from andon.dev.standin import Fault, Refusal
from andon.dev.wecom_rules import checked, refusal, upload

__all__ = ["Fault", "WecomStandIn"]

_SEND = "/cgi-bin/webhook/send"
_UPLOAD = "/cgi-bin/webhook/upload_media"
_KEPT_S = 3 * 86_400.0
_encode = msgspec.json.Encoder().encode


class WecomStandIn(RobotStandIn):
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
        self._targets = {f"{_SEND}?key={quote(key)}".encode(): (_SEND, key, "") for key in self.counts}
        self.media: dict[tuple[str, str, str], tuple[str, float]] = {}
        """Name and time of every upload, by key, kind and media_id."""

    def account(self, request: http.Request) -> str | None:
        path, key, _ = self._targets.get(request.target) or _parsed(request.target)
        if path not in (_SEND, _UPLOAD):
            return None
        if path == _UPLOAD and not request.body:
            raise Refusal(44001, "empty media data")  # said before the key is looked at
        if request.method != b"POST":
            raise Refusal(43002, "require POST method")
        if key not in self.counts:
            raise Refusal(93000, "invalid webhook url")
        return key

    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        path, _, kind = self._targets.get(request.target) or _parsed(request.target)
        if path == _UPLOAD:
            return self._uploaded(account, kind, request.body, now)
        if not self._windows[account].admits(now):
            raise Refusal(45009, "api freq out of limit")
        return checked(request.body, lambda media_id, kind: self._name(account, kind, media_id, now))

    def _uploaded(self, key: str, kind: str, body: bytes, now: float) -> bytes:
        name = upload(body, kind)
        media_id = f"media-{len(self.media) + 1}"
        self.media[key, kind, media_id] = (name, now)
        answer = {"errcode": 0, "errmsg": "ok", "type": kind, "media_id": media_id, "created_at": str(int(now))}
        return http.response(_encode(answer), standin.JSON)

    def _name(self, key: str, kind: str, media_id: str, now: float) -> str | None:
        name, at = self.media.get((key, kind, media_id), ("", 0.0))
        return name if name and now - at < _KEPT_S else None

    def refused(self, code: int, text: str) -> bytes:
        return refusal(code, text)


def _parsed(target: bytes) -> tuple[str, str, str]:
    """Path, key and type of a request's target; "" where there is none."""
    path, query = http.parsed(target)
    return path, query.get("key", ""), query.get("type", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    chosen = robot.options("wecom", "WeCom group robot", 8720).parse_args(arguments)
    return standin.served(
        lambda: WecomStandIn(
            robot.split(chosen.keys),
            limit=chosen.limit,
            period=chosen.period,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
