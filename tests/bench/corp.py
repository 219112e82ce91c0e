"""`python -m tests.bench.corp`: the stand-in of a WeCom application, for a corp of any size with limits to be chosen.

Its members are named `member(0)`, `member(1)` … A program that is not Andon may write its request as the vendor also
takes it (`--as-written`): numbers as texts, and empty parts for kinds it does not use, both of which the strict
stand-in refuses.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from andon.dev import http, standin
from andon.dev.wecom_app import WecomAppStandIn
from andon.dev.wecom_app_corp import Rules

CORP, SECRET, AGENT = "wwbench", "bench-secret", 1000002
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NUMBERS = ("agentid", "safe", "enable_id_trans", "enable_duplicate_check", "duplicate_check_interval")
_PARTS = ("text", "markdown")


def member(number: int) -> str:
    """A userid of four letters and digits, so that 99,000 of them fit into one andon.yaml. The first is a letter."""
    first, rest = divmod(number, 36**3)
    return "abcdefgh"[first] + "".join(_DIGITS[rest // 36**place % 36] for place in (2, 1, 0))


class AsWritten(WecomAppStandIn):
    """Reads a request as leniently as the vendor, then judges it as strictly as ever."""

    def carried_out(self, account: str, request: http.Request, now: float) -> bytes:
        return super().carried_out(account, request._replace(body=_read(request.body)), now)


def _read(body: bytes) -> bytes:
    try:
        value: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    if not isinstance(value, dict):
        return body
    numbers = {
        name: int(value[name]) for name in _NUMBERS if isinstance(value.get(name), str) and value[name].isdigit()
    }
    unused = {name for name in _PARTS if name != value.get("msgtype") and value.get(name) == {"content": ""}}
    return msgspec.json.encode({name: one for name, one in (value | numbers).items() if name not in unused})


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = standin.options("corp", "A WeCom application's stand-in for a benchmark.", 8721, "message seen")
    parser.add_argument("--members", type=int, required=True, help="how many there are")
    parser.add_argument("--rules", default="{}", help="the vendor's figures, as JSON; by default its true ones")
    parser.add_argument("--as-written", action="store_true", help="takes what the vendor takes beside its own manual")
    chosen = parser.parse_args(arguments)
    rules = msgspec.json.decode(chosen.rules, type=Rules)
    kind = AsWritten if chosen.as_written else WecomAppStandIn
    return standin.served(
        lambda: kind(
            map(member, range(chosen.members)),
            corp_id=CORP,
            secret=SECRET,
            agent=AGENT,
            rules=rules,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
