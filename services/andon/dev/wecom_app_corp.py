"""The corp behind the stand-in of application messages: members, chats, limits, and what each member sees."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from andon.dev import standin
from andon.dev.standin import Refusal
from andon.dev.wecom_app_rules import Message, To, body_of, checked, checked_in_chat, checked_update
from andon.dev.wecom_app_sent import Sent, Shown
from andon.dev.wecom_app_tokens import Tokens
from andon.dev.wecom_rules import upload

_CHINA_S, _DAY_S, _HOUR_S = 28_800.0, 86_400.0, 3_600.0
_MEDIA_S = 3 * _DAY_S
_MEDIA = {"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20, "file": 20 << 20}


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a member saw, `at` in seconds since 1970: alone or in a `chat`.

    With `what` it is something that happened to a message seen before: "recalled" took it away, "updated" put the
    content there.
    """

    at: float
    member: str
    msgtype: str
    content: str
    chat: str = ""
    what: str = ""


class Counts(standin.Counts):
    """Beside the calls: messages to members, seen and discarded in silence; texts cut in silence; equal messages that
    a duplicate check held back; files uploaded, messages recalled, cards updated; tokens made, and how often one was
    asked for."""

    seen: int = 0
    discarded: int = 0
    cut: int = 0
    repeats: int = 0
    uploads: int = 0
    recalled: int = 0
    updated: int = 0
    tokens: int = 0
    asked: int = 0


class Rules(msgspec.Struct, frozen=True):
    """The vendor's figures, to be made smaller by tests: (count, seconds); 0 is no limit."""

    member: tuple[tuple[int, float], ...] = ((30, 60.0), (1_000, _HOUR_S))
    chats: tuple[tuple[int, float], ...] = ((200, 60.0), (10_000, _DAY_S))
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
    """One corp with one app; `show` is called with everything a member sees. `chats` are the group chats the app made,
    with their members; `callback` says whether it has an address for the answers to cards. Methods raise Refusal."""

    def __init__(
        self,
        members: Iterable[str],
        tokens: Tokens,
        agent: int,
        *,
        parties: Mapping[str, Sequence[str]],
        tags: Mapping[str, Sequence[str]],
        chats: Mapping[str, Sequence[str]],
        unlicensed: Iterable[str],
        callback: bool,
        rules: Rules,
        show: Callable[[Seen], None],
    ) -> None:
        self.members = {name.lower(): name for name in members}
        self.counts = Counts()
        self.tokens = tokens
        self._agent = agent
        self._parties, self._tags = dict(parties), dict(tags)
        self._chats = {
            chat: [one.lower() for one in names if one.lower() in self.members] for chat, names in chats.items()
        }
        self._unlicensed = {name.lower() for name in unlicensed}
        self._callback = callback
        self._rules = rules
        self._show = show
        self._corp = _Windows(rules.corp)
        self._of_member = {name: _Windows(rules.member) for name in self.members}
        self._in_chats = {name: _Windows(rules.chats) for name in self.members}
        self._today: tuple[float, int] = (0.0, 0)
        self._said: dict[bytes, float] = {}
        self._media: dict[tuple[str, str], tuple[str, float]] = {}
        self._sent = Sent()

    def granted(self, query: Mapping[str, str], now: float) -> dict[str, object]:
        """The answer to gettoken."""
        try:
            return self.tokens.granted(query, now)
        finally:
            self.counts.asked, self.counts.tokens = self.tokens.asked, self.tokens.made

    def called(self, query: Mapping[str, str], now: float) -> None:
        """Takes a call with its token, if the corp has one left."""
        self.tokens.require(query, now)
        if not self._corp.admits(now):
            raise Refusal(45009, "api freq out of limit")

    def sent(self, body: bytes, now: float) -> dict[str, object]:
        """The answer to message/send."""
        message = checked(body, self._agent, self._kept(now))
        part = message.part
        if part.answerable and not self._callback:
            raise Refusal(40058, "invalid Request Parameter: the app has no callback url")
        if part.task_id:
            self._sent.require_new(part.task_id)
        to, wrong = self._recipients(message.to)
        if not to:
            raise Refusal(81013, "user & party & tag all invalid")
        self._count_day(now, len(to))
        self.counts.accepted += 1
        self.counts.cut += part.cut
        msgid = f"m{self.counts.accepted}"
        if self._is_repeat(message, body, now):
            self.counts.repeats += 1
            return {"errcode": 0, "errmsg": "ok", **wrong, "msgid": msgid}
        reached = self._deliver(message, to, self._of_member, now)
        shown = Shown(msgid, now, reached, message.msgtype, part.content)
        code = self._sent.keep(shown, part.task_id, answerable=part.answerable)
        more = {"response_code": code} if code else {}
        return {"errcode": 0, "errmsg": "ok", **wrong, "msgid": msgid, **more}

    def sent_to_chat(self, body: bytes, now: float) -> dict[str, object]:
        """The answer to appchat/send: it names no message."""
        message = checked_in_chat(body, self._kept(now))
        members = self._chats.get(message.chat)
        if members is None:
            raise Refusal(86003, "chatid not exist")
        self.counts.accepted += 1
        self.counts.cut += message.part.cut
        self._deliver(message, members, self._in_chats, now)
        return {"errcode": 0, "errmsg": "ok"}

    def uploaded(self, query: Mapping[str, str], body: bytes, now: float) -> dict[str, object]:
        """The answer to media/upload."""
        kind = query.get("type", "")
        name = upload(body, kind, _MEDIA)
        self.counts.uploads += 1
        media_id = f"media-{self.counts.uploads}"
        self._media[media_id, kind] = (name, now)
        return {"errcode": 0, "errmsg": "ok", "type": kind, "media_id": media_id, "created_at": str(int(now))}

    def forget_media(self) -> None:
        """Loses every file, as the vendor may."""
        self._media.clear()

    def recalled(self, body: bytes, now: float) -> dict[str, object]:
        """The answer to message/recall."""
        value = body_of(body)
        if set(value) != {"msgid"}:
            raise Refusal(40063, "some parameters are empty or unknown: msgid")
        message = self._sent.recalled(value["msgid"], now)
        self.counts.recalled += 1
        for name in message.members:
            self._show(Seen(now, self.members[name], message.msgtype, message.content, what="recalled"))
        return {"errcode": 0, "errmsg": "ok"}

    def updated(self, body: bytes, now: float) -> dict[str, object]:
        """The answer to message/update_template_card."""
        update = checked_update(body, self._agent)
        to, wrong = self._recipients(update.to or To(("@all",)))
        members = self._sent.changed(update.code, to if update.to else None, now)
        self.counts.updated += 1
        for name in members:
            self._show(Seen(now, self.members[name], update.msgtype, update.content, what="updated"))
        unknown = [one for one in wrong.get("invaliduser", "").split("|") if one]
        return {"errcode": 0, "errmsg": "ok", "invaliduser": unknown}

    def _kept(self, now: float) -> Callable[[str, str], str | None]:
        def name(media_id: str, kind: str) -> str | None:
            found, at = self._media.get((media_id, kind), ("", 0.0))
            return found if found and now - at < _MEDIA_S else None

        return name

    def _recipients(self, named: To) -> tuple[list[str], dict[str, str]]:
        """Who gets it, once each, and the lists of those who don't."""
        if named.users == ("@all",):
            return [name for name in self.members if name not in self._unlicensed], {}
        users = [name.lower() for name in named.users]
        groups = [*((self._parties, one) for one in named.parties), *((self._tags, one) for one in named.tags)]
        members = [member.lower() for known, one in groups for member in known.get(one, ())]
        to = [one for one in dict.fromkeys([*users, *members]) if one in self.members and one not in self._unlicensed]
        wrong = {
            "invaliduser": "|".join(one for one in users if one not in self.members),
            "invalidparty": "|".join(one for one in named.parties if one not in self._parties),
            "invalidtag": "|".join(one for one in named.tags if one not in self._tags),
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

    def _deliver(
        self, message: Message, to: Sequence[str], windows: Mapping[str, _Windows], now: float
    ) -> tuple[str, ...]:
        """Those who see it."""
        reached = tuple(name for name in to if windows[name].admits(now))
        self.counts.seen += len(reached)
        self.counts.discarded += len(to) - len(reached)  # and not a word of it in the answer
        for name in reached:
            self._show(Seen(now, self.members[name], message.msgtype, message.part.content, message.chat))
        return reached
