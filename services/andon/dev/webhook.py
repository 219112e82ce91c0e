"""A strict receiver of webhooks, for the demo, tests and users' own tests.

Written from Standard Webhooks 1.0.0; shares no code with the channel. It verifies every signature, knows a repeat by
its id, and writes down what came.

    HOOK=whsec_… python -m andon.dev.webhook --port 8721 --record FILE --secret-env HOOK

Record, counts and faults are those of every stand-in (`andon.dev.standin`), by path.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from andon.dev import http, standin
from andon.dev.standin import Fault, StandIn
from andon.dev.webhook_rules import Refusal, Verifier, require_body

__all__ = ["Fault", "WebhookStandIn"]

_encode = msgspec.json.Encoder().encode


class Taken(msgspec.Struct, frozen=True):
    """A request that was taken, `at` in seconds since 1970; `repeat` when its id had come before."""

    at: float
    path: str
    id: str
    content_type: str
    body: str
    repeat: bool
    headers: dict[str, str]


class Counts(standin.Counts):
    """Requests of one path, refused by word; `repeats` among those accepted."""

    repeats: int = 0


class WebhookStandIn(StandIn[Taken]):
    """The receiver. Every path is one of its addresses.

    `secrets` are whsec_… and whpk_…; without any, signatures are not asked for. `answer` is the body of a good answer.
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
        super().__init__(record=record, port=port, now=now, headers=True)
        self.counts: dict[str, Counts] = {}
        self.accepted = http.response(answer, standin.JSON if answer else standin.TEXT)
        self._verifier = Verifier(list(secrets))
        self._known: set[str] = set()

    def account(self, request: http.Request) -> str | None:
        path = request.target.decode("latin-1").partition("?")[0]
        return None if path.startswith("/_") else path

    def tally(self, account: str) -> Counts:
        return self.counts.setdefault(account, Counts())

    def carried_out(self, account: str, request: http.Request, now: float) -> bytes:
        if request.method != b"POST":
            raise Refusal(405, "method")
        identity = self._verifier.check(request.headers, request.body, now)
        media = request.headers.get("content-type", "")
        require_body(media, request.body)
        repeat = identity in self._known
        self._known.add(identity)
        self.show(Taken(now, account, identity, media, request.body.decode(), repeat, dict(request.headers)))
        counts = self.tally(account)
        counts.accepted += 1
        counts.repeats += repeat
        return self.accepted

    def refused(self, code: int, text: str) -> bytes:
        return http.response(_encode({"error": text}), standin.JSON, code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when it cannot start."""
    parser = standin.options("webhook", "A strict receiver of webhooks.", 8721, "request that was taken")
    parser.add_argument("--answer", default="", help="body of a good answer")
    parser.add_argument(
        "--secret-env", action="append", default=[], metavar="NAME", help="variable with whsec_… or whpk_…; repeatable"
    )
    chosen = parser.parse_args(arguments)
    try:
        secrets = [os.environ[name] for name in chosen.secret_env]
    except KeyError as error:
        return standin.failed(f"the variable {error.args[0]} is not set")
    return standin.served(
        lambda: WebhookStandIn(secrets, answer=chosen.answer.encode(), record=chosen.record, port=chosen.port)
    )


if __name__ == "__main__":
    sys.exit(main())
