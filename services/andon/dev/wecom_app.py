"""A strict stand-in of WeCom's application messages, for the demo, tests and benchmarks.

Written from the vendor's pages 90236, 90248, 90253, 94867 and 94888 and recorded replies; shares no code with the
channel. It answers HTTP 200 with an errcode as the vendor does, and does in silence what the vendor does in silence:
what is beyond 30 a minute and 1,000 an hour to one member (200 and 10,000 a day in chats) is answered with errcode 0
and seen by nobody, and what is longer than the vendor shows is cut.

    python -m andon.dev.wecom_app --port 8721 --record FILE --secret S --members wang,li --chats shift:wang+li

Record, counts and faults are those of every stand-in (`andon.dev.standin`), by the keys "gettoken", "send", "chat",
"upload", "recall" and "update"; the record has a line per member and message, and one when a message is taken back or
its card changed. `POST /_revoke` takes back the token.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from andon.dev import http, standin
from andon.dev.standin import Fault, Refusal, StandIn
from andon.dev.wecom_app_corp import Corp, Counts, Rules, Seen
from andon.dev.wecom_app_tokens import Tokens
from andon.dev.wecom_rules import refusal

__all__ = ["Fault", "WecomAppStandIn"]

_TOKEN, _UPLOAD = "gettoken", "upload"
_ACCOUNTS = {
    "/cgi-bin/gettoken": _TOKEN,
    "/cgi-bin/message/send": "send",
    "/cgi-bin/appchat/send": "chat",
    "/cgi-bin/media/upload": _UPLOAD,
    "/cgi-bin/message/recall": "recall",
    "/cgi-bin/message/update_template_card": "update",
}
_encode = msgspec.json.Encoder().encode


class WecomAppStandIn(StandIn[Seen]):
    """One corp with one app.

    `members` are the userids the app may write to, with `parties` and `tags` (number to members) among them, and
    `chats` (id to members) that it made; `unlicensed` are members the vendor names as such; `callback` says whether it
    may send cards that are answered.
    """

    accepted = http.response(b'{"errcode":0,"errmsg":"ok"}', standin.JSON)

    def __init__(
        self,
        members: Iterable[str],
        *,
        corp_id: str = "wwcorp",
        secret: str = "secret",  # noqa: S107 - a stand-in's, which protects nothing
        agent: int = 1000002,
        parties: Mapping[str, Sequence[str]] | None = None,
        tags: Mapping[str, Sequence[str]] | None = None,
        chats: Mapping[str, Sequence[str]] | None = None,
        unlicensed: Iterable[str] = (),
        callback: bool = True,
        rules: Rules | None = None,
        record: Path | None = None,
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(record=record, port=port, now=now)
        rules = rules or Rules()
        self.corp = Corp(
            members,
            Tokens(corp_id, secret, rules.token_lasts, rules.ban),
            agent,
            parties=parties or {},
            tags=tags or {},
            chats=chats or {},
            unlicensed=unlicensed,
            callback=callback,
            rules=rules,
            show=self.show,
        )
        self.counts: Counts = self.corp.counts

    def account(self, request: http.Request) -> str | None:
        return _ACCOUNTS.get(http.parsed(request.target)[0])

    def tally(self, account: str) -> Counts:
        return self.counts

    def carried_out(self, account: str, request: http.Request, now: float) -> bytes:
        query = http.parsed(request.target)[1]
        if account == _TOKEN:
            return _said(self.corp.granted(query, now))
        if request.method != b"POST":
            raise Refusal(43002, "require POST method")
        if account == _UPLOAD and not request.body:
            raise Refusal(44001, "empty media data")  # said before the token is looked at
        self.corp.called(query, now)
        match account:
            case "send":
                return _said(self.corp.sent(request.body, now))
            case "chat":
                return _said(self.corp.sent_to_chat(request.body, now))
            case "upload":
                return _said(self.corp.uploaded(query, request.body, now))
            case "recall":
                return _said(self.corp.recalled(request.body, now))
            case _:
                return _said(self.corp.updated(request.body, now))

    def refused(self, code: int, text: str) -> bytes:
        return refusal(code, text)

    def administered(self, request: http.Request) -> bytes:
        if (request.method, request.target) == (b"POST", b"/_revoke"):
            self.corp.tokens.revoke()
            return standin.DONE
        return super().administered(request)


def _said(value: dict[str, object]) -> bytes:
    return http.response(_encode(value), standin.JSON)


def _chats(text: str) -> dict[str, list[str]]:
    named = (one.partition(":") for one in text.split(","))
    return {chat: members.split("+") for chat, _, members in named}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0, or 1 when the port or the record cannot be opened."""
    parser = standin.options(
        "wecom_app", "A stand-in of a WeCom application.", 8721, "message a member would have seen"
    )
    parser.add_argument("--corp", default="wwcorp", help="the corp's id")
    parser.add_argument("--secret", default="secret", help="the app's secret")
    parser.add_argument("--agent", type=int, default=1000002, help="the app's number")
    parser.add_argument("--members", required=True, help="userids, separated by commas")
    parser.add_argument("--chats", type=_chats, default={}, help="group chats: id:member+member, separated by commas")
    chosen = parser.parse_args(arguments)
    return standin.served(
        lambda: WecomAppStandIn(
            chosen.members.split(","),
            corp_id=chosen.corp,
            secret=chosen.secret,
            agent=chosen.agent,
            chats=chosen.chats,
            record=chosen.record,
            port=chosen.port,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
