"""The corp behind the stand-in of application messages: tokens, members, limits, and what each member sees."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from andon.dev import standin
from andon.dev.standin import Refusal
from andon.dev.wecom_app_rules import Message, checked

_CHINA_S, _DAY_S, _HOUR_S = 28_800.0, 86_400.0, 3_600.0
_WRONG_SECRETS = 5


class Seen(msgspec.Struct, frozen=True):
    """What a member saw, `at` in seconds since 1970."""

    at: float
    member: str
    msgtype: str
    content: str


class Counts(standin.Counts):
    """Beside the calls: messages to members, seen and discarded in silence; texts cut in silence; equal messages that
    a duplicate check held back; tokens made, and how often one was asked for."""

    seen: int = 0
    discarded: int = 0
    cut: int = 0
    repeats: int = 0
    tokens: int = 0
    asked: int = 0


class Rules(msgspec.Struct, frozen=True):
    """The vendor's figures, to be made smaller by tests: (count, seconds); 0 is no limit."""

    member: tuple[tuple[int, float], ...] = ((30, 60.0), (1_000, _HOUR_S))
    corp: tuple[tuple[int, float], ...] = ((10_000, 60.0), (150_000, _HOUR_S))
    per_account: int = 200
    token_lasts: int = 7_200
    ban: float = _HOUR_S


class _Windows:
    """Counts by arrival in sliding windows; what it does not admit does not count."""

    def __init__(self, limits: Iterable[tuple[int, float]]) -> None:
        self._limits = [limit for limit in limits if limit[0]]
        self._longest = max((period for _, period in self._limits), default=0.0)
        self._arrivals: collections.deque[float] = collections.deque()

    def admits(self, now: float) -> bool:
        arrivals = self._arrivals
        while arrivals and arrivals[0] <= now - self._longest:
            arrivals.popleft()
        for count, period in self._limits:
            if len(arrivals) >= count and arrivals[-count] > now - period:
                return False
        if self._limits:
            arrivals.append(now)
        return True


class Corp:
    """One corp with one app; `show` is called with everything a member sees. Methods raise Refusal."""

    def __init__(
        self,
        members: Iterable[str],
        corp_id: str,
        secret: str,
        agent: int,
        *,
        parties: Mapping[str, Sequence[str]],
        tags: Mapping[str, Sequence[str]],
        unlicensed: Iterable[str],
        rules: Rules,
        show: Callable[[Seen], None],
    ) -> None:
        self.members = {name.lower(): name for name in members}
        self.counts = Counts()
        self._corp_id, self._secret, self._agent = corp_id, secret, agent
        self._parties, self._tags = dict(parties), dict(tags)
        self._unlicensed = {name.lower() for name in unlicensed}
        self._rules = rules
        self._show = show
        self._token, self._token_ends = "", 0.0
        self._wrong = 0
        self._banned_until = 0.0
        self._corp = _Windows(rules.corp)
        self._of_member = {name: _Windows(rules.member) for name in self.members}
        self._today: tuple[float, int] = (0.0, 0)
        self._said: dict[bytes, float] = {}

    def revoke(self) -> None:
        """Takes the token back before its time, as the vendor may."""
        self._token = ""

    def granted(self, query: Mapping[str, str], now: float) -> dict[str, object]:
        """The answer to gettoken."""
        self.counts.asked += 1
        if now < self._banned_until:
            raise Refusal(45009, "api freq out of limit")
        if not query.get("corpsecret"):
            raise Refusal(41004, "corpsecret missing")
        if query.get("corpid") != self._corp_id:
            raise Refusal(40013, "invalid corpid")
        if query["corpsecret"] != self._secret:
            self._wrong += 1
            if self._wrong >= _WRONG_SECRETS:
                self._banned_until, self._wrong = now + self._rules.ban, 0
            raise Refusal(40001, "invalid credential")
        self._wrong = 0
        if not self._token or now >= self._token_ends:
            self.counts.tokens += 1
            self._token, self._token_ends = (
                f"token-{self.counts.tokens}-{os.urandom(8).hex()}",
                (now + self._rules.token_lasts),
            )
        left = max(1, int(self._token_ends - now))
        return {"errcode": 0, "errmsg": "ok", "access_token": self._token, "expires_in": left}

    def sent(self, query: Mapping[str, str], body: bytes, now: float) -> dict[str, object]:
        """The answer to message/send."""
        given = query.get("access_token")
        if not given:
            raise Refusal(41001, "access_token missing")
        if given != self._token:
            raise Refusal(40014, "invalid access_token")
        if now >= self._token_ends:
            raise Refusal(42001, "access_token expired")
        if not self._corp.admits(now):
            raise Refusal(45009, "api freq out of limit")
        message = checked(body, self._agent)
        to, wrong = self._recipients(message)
        if not to:
            raise Refusal(81013, "user & party & tag all invalid")
        self._count_day(now, len(to))
        self.counts.accepted += 1
        self.counts.cut += message.cut
        if self._is_repeat(message, body, now):
            self.counts.repeats += 1
        else:
            self._deliver(message, to, now)
        return {"errcode": 0, "errmsg": "ok", **wrong, "msgid": f"m{self.counts.accepted}"}

    def _recipients(self, message: Message) -> tuple[list[str], dict[str, str]]:
        """Who gets it, once each, and the lists of those who don't."""
        if message.users == ("@all",):
            return [name for name in self.members if name not in self._unlicensed], {}
        users = [name.lower() for name in message.users]
        groups = [*((self._parties, one) for one in message.parties), *((self._tags, one) for one in message.tags)]
        named = [member.lower() for known, one in groups for member in known.get(one, ())]
        to = [one for one in dict.fromkeys([*users, *named]) if one in self.members and one not in self._unlicensed]
        wrong = {
            "invaliduser": "|".join(one for one in users if one not in self.members),
            "invalidparty": "|".join(one for one in message.parties if one not in self._parties),
            "invalidtag": "|".join(one for one in message.tags if one not in self._tags),
            "unlicenseduser": "|".join(one for one in users if one in self._unlicensed),
        }
        return to, {name: text for name, text in wrong.items() if text}

    def _count_day(self, now: float, people: int) -> None:
        day = (now + _CHINA_S) // _DAY_S
        used = self._today[1] if self._today[0] == day else 0
        most = len(self.members) * self._rules.per_account
        if most and used + people > most:
            raise Refusal(45009, "api freq out of limit: accounts x 200 a day")
        self._today = (day, used + people)

    def _is_repeat(self, message: Message, body: bytes, now: float) -> bool:
        if not message.duplicate_check:
            return False
        before = self._said.get(body)
        self._said[body] = now
        return before is not None and now - before < message.interval

    def _deliver(self, message: Message, to: Sequence[str], now: float) -> None:
        for name in to:
            if not self._of_member[name].admits(now):
                self.counts.discarded += 1  # and not a word of it in the answer
                continue
            self.counts.seen += 1
            self._show(Seen(now, self.members[name], message.msgtype, message.content))
