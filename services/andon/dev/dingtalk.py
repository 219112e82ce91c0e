"""A strict stand-in of the DingTalk custom robot (钉钉自定义机器人), for tests and benchmarks.

Shares no code with the channel. It answers HTTP 200 with an errcode as the vendor does, verifies the signature, closes
a robot for ten minutes that was called too often, and shows a repeated `msgUuid` to nobody. It is stricter in two ways:
a field the vendor would ignore is refused, and so is an `at` whom the content does not name.

    python -m andon.dev.dingtalk --port 8721 --record FILE --keys token1,token2 --secrets s1,s2

Record, counts and faults are those of every stand-in (`andon.dev.standin`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from andon.dev import http, robot, standin
from andon.dev.dingtalk_rules import checked, verify
from andon.dev.robot import RobotStandIn, Shown, Window
from andon.dev.standin import Fault, Refusal

__all__ = ["IP_THROTTLED", "DingtalkStandIn", "Fault"]

IP_THROTTLED = '{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"0"}'
"""What the gateway answers an address that calls too often, without an errcode; for a fault of kind `body`."""

_SEND = "/robot/send"
_encode = msgspec.json.Encoder().encode


class DingtalkStandIn(RobotStandIn):
    """Robots by their access tokens, each with its secret; "" is a robot without a signature.

    `limit` calls per `period` seconds and robot, 0 for no limit; one more closes it for `penalty` seconds. With
    `keywords` a notice must have one of them.
    """

    accepted = http.response(b'{"errcode":0,"errmsg":"ok"}', standin.JSON)

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        limit: int = 20,
        period: float = 60.0,
        penalty: float = 600.0,
        keywords: tuple[str, ...] = (),
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(secrets, record=record, port=port, now=now)
        self._secrets = dict(secrets)
        self._keywords = keywords
        self._windows = {token: Window(limit, period, penalty) for token in secrets}
        self._known: set[tuple[str, str]] = set()

    def account(self, request: http.Request) -> str | None:
        path, query = http.parsed(request.target)
        if path != _SEND:
            return None
        if request.method != b"POST":
            raise Refusal(43002, "require POST method")
        token = query.get("access_token", "")
        if not token:
            raise Refusal(40035, "missing parameter access_token")
        if token not in self._secrets:
            raise Refusal(300005, "token is not exist")
        return token

    def shown(self, account: str, request: http.Request, now: float) -> Shown | bytes:
        query = http.parsed(request.target)[1]
        if secret := self._secrets[account]:
            verify(secret, query.get("timestamp", ""), query.get("sign", ""), now)
        if not self._windows[account].admits(now):
            raise Refusal(130101, "send too fast, exceed 20 times per minute")
        shown, uuid = checked(request.body, self._keywords)
        if uuid and (account, uuid) in self._known:
            return self.accepted
        if uuid:
            self._known.add((account, uuid))
        return shown

    def refused(self, code: int, text: str) -> bytes:
        return http.response(_encode({"errcode": code, "errmsg": text}), standin.JSON)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = robot.options("dingtalk", "DingTalk custom robot", 8721)
    parser.add_argument("--secrets", default="", help="the robots' secrets in the order of --keys; none without it")
    parser.add_argument("--penalty", type=float, default=600.0, help="seconds a robot called too often is shut for")
    chosen = parser.parse_args(arguments)
    secrets = robot.secrets_of(parser, chosen)
    return standin.served(
        lambda: DingtalkStandIn(
            secrets,
            limit=chosen.limit,
            period=chosen.period,
            penalty=chosen.penalty,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
