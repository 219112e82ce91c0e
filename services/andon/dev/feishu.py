"""A strict stand-in of the Feishu custom bot (飞书自定义机器人), for tests and benchmarks.

Shares no code with the channel. It answers HTTP 200 with a code as the vendor does, verifies the signature in the body
and holds both of the vendor's limits. It is stricter in one way: a field the vendor would ignore, and a component of a
card that this stand-in does not know, is refused.

    python -m andon.dev.feishu --port 8722 --record FILE --keys id1,id2 --secrets s1,s2

Record, counts and faults are those of every stand-in (`andon.dev.standin`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from andon.dev import http, robot, standin
from andon.dev.feishu_rules import checked
from andon.dev.robot import RobotStandIn, Shown, Window
from andon.dev.standin import Fault, Refusal

__all__ = ["Fault", "FeishuStandIn"]

_HOOK = "/open-apis/bot/v2/hook/"
_OK = b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}'
_encode = msgspec.json.Encoder().encode


class FeishuStandIn(RobotStandIn):
    """Bots by the ids in their addresses, each with its secret; "" is a bot without a signature.

    `limit` calls per `period` seconds and bot, and `burst` per second; 0 is no limit. With `keywords` a notice must
    have one of them.
    """

    accepted = http.response(_OK, standin.JSON)

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        limit: int = 100,
        period: float = 60.0,
        burst: int = 5,
        keywords: tuple[str, ...] = (),
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(secrets, record=record, port=port, now=now)
        self._secrets = dict(secrets)
        self._keywords = keywords
        self._windows = {bot: (Window(limit, period), Window(burst, 1.0)) for bot in secrets}

    def account(self, request: http.Request) -> str | None:
        path = request.target.decode("latin-1").partition("?")[0]
        if not path.startswith(_HOOK):
            return None
        bot = path.removeprefix(_HOOK)
        if bot not in self._secrets:
            raise Refusal(19001, "param invalid: incoming webhook access token invalid")
        if request.method != b"POST":
            raise Refusal(9499, "Bad Request")
        return bot

    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        admitted = [window.admits(now) for window in self._windows[account]]  # a call counts in both
        if not all(admitted):
            raise Refusal(11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]")
        return checked(request.body, self._secrets[account], self._keywords, now)

    def refused(self, code: int, text: str) -> bytes:
        return http.response(_encode({"code": code, "msg": text, "data": {}}), standin.JSON)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = robot.options("feishu", "Feishu custom bot", 8722, limit=100)
    parser.add_argument("--secrets", default="", help="the bots' secrets in the order of --keys; none without it")
    parser.add_argument("--burst", type=int, default=5, help="calls per second; 0 for no limit")
    chosen = parser.parse_args(arguments)
    secrets = robot.secrets_of(parser, chosen)
    return standin.served(
        lambda: FeishuStandIn(
            secrets,
            limit=chosen.limit,
            period=chosen.period,
            burst=chosen.burst,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
