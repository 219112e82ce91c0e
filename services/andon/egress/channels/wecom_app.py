"""Messages of a WeCom application to members and to its group chats (developer.work.weixin.qq.com, page 90236).

The reply's errcode decides, and beside errcode 0 the lists of those who were not told. What the vendor discards without
a word (beyond 30 a minute and 1,000 an hour to one member) must never be sent: the limits say so to the desk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import Field, field_validator

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Rate, Seconds
from andon.core.delivery import MAX_RECIPIENTS
from andon.core.failure import Rejected
from andon.core.outcome import Parked
from andon.core.policy import Limit
from andon.core.ports import Call, ChannelConfig, Content, Context, Receipt
from andon.core.reason import Reason
from andon.core.specimen import BASE, HIDDEN, REFERENCE, ChannelSpecimen
from andon.egress.cards.wecom_app import APP, FILES, MINIPROGRAM, UPDATE
from andon.egress.channels import wecom_app_bodies as bodies
from andon.egress.channels import wecom_app_codes as codes
from andon.egress.channels import wecom_app_limits as counted
from andon.egress.channels import wecom_app_people as people
from andon.egress.channels.wecom_app_account import TOKEN_PATH, Account
from andon.egress.channels.wecom_app_codes import Answer
from andon.egress.media import Media, read, upload_of
from andon.egress.robots import Kinds
from andon.egress.vendors import BaseUrl, Meaning

BYTES = {"text": 2048, "markdown": 2048}
_KINDS = Kinds("a WeCom app", BYTES, APP)
RECALL_SECONDS = 86_400.0
_SEND, _CHAT = "/cgi-bin/message/send", "/cgi-bin/appchat/send"
_UPLOAD, _RECALL = "/cgi-bin/media/upload", "/cgi-bin/message/recall"
_UPDATE = "/cgi-bin/message/update_template_card"
_NOT_IN_CHATS = {
    kind: f"a group chat takes no {what}: use a textcard, news or a text"
    for kind, what in (("template_card", "template_card"), (UPDATE, "template_card"), (MINIPROGRAM, MINIPROGRAM))
}
_NOT_FOR_ALL = {MINIPROGRAM: f"a {MINIPROGRAM} does not go to @all: name people, departments or tags"}
_REFERENCE = 512
_WAITS = Parked(Reason.BUSY, "a chat has a call of its own")


class WecomApp:
    """One application of one corp. `send` makes one call, and one more when the token had to be renewed."""

    class Config(Section):
        """`corp_id` and `secret` are references, `agent_id` is the app's number."""

        corp_id: SecretRef
        agent_id: Annotated[int, Field(ge=0)]
        secret: SecretRef
        base_url: BaseUrl = "https://qyapi.weixin.qq.com"
        safe: bool = False
        """Whether messages are marked confidential: they cannot be forwarded, and bear a watermark."""
        accounts: Annotated[int, Field(ge=1)] | None = None
        """How many accounts the corp has: an app reaches `accounts` x `per_account` members a day, each counted as
        often as it is written to. Without it nothing is counted by the day."""
        sizes: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
        """How many members `party:ID`, `tag:ID` or `@all` stands for; all `accounts` where it is not said."""
        per_account: Annotated[int, Field(ge=1)] = 200
        """Times `accounts` is what the app may send in a calendar day of China."""
        per_member: Annotated[tuple[Rate, ...], Field(min_length=1)] = counted.MEMBER
        """What one member gets of this app; the vendor discards without a word what is beyond 30 a minute and 1,000 an
        hour. Two seconds more than that keep its windows covered."""
        per_chat: Annotated[tuple[Rate, ...], Field(min_length=1)] = counted.CHAT
        """What one member gets in all group chats of this app; the vendor discards without a word what is beyond 200 a
        minute and 10,000 a day."""
        per_corp: Annotated[tuple[Rate, ...], Field(min_length=1)] = counted.CORP
        """Calls of all apps of the corp: 10,000 a minute and 150,000 an hour."""
        block: Seconds = codes.THROTTLED_SECONDS
        """For how long an app that called too often is shut out; for a private deployment whose limits differ."""
        coalesce: Seconds = 0.0
        """How long a notice that is not urgent waits for others of the app that say the very same to other people; then
        one call tells all of them. By default it does not wait: two seconds are felt, equal notices are rare."""

        def limit_domain(self) -> str:
            """The corp, with all of its apps, by the reference of its id."""
            return f"wecom_app:{self.corp_id.reference}"

        @field_validator("sizes")
        @classmethod
        def _wide(cls, sizes: dict[str, int]) -> dict[str, int]:
            for name in sizes:
                if not people.wide(name) or people.mistake(name):
                    raise ValueError(f"'{name}' is no party:ID, tag:ID or @all")
            return sizes

        def limits(self) -> tuple[Limit, ...]:
            day = counted.a_day(self.per_account * (self.accounts or 0))
            return (*self.per_corp, *counted.each(self.per_member), *day)

        def sender(self) -> str:
            """The app: each has its own count of each member."""
            return str(self.agent_id)

        def behind(self, name: str, /) -> int | None:
            if people.is_chat(name):
                return 1  # for anyone, but of no day: who is in a chat does not count there
            return self.sizes.get(name, self.accounts or 1) if people.wide(name) else None

        def toward(self, to: Sequence[str], /) -> ChannelConfig:
            """Chats have limits of their own; a fact that names one is counted as people are."""
            if not any(map(people.is_chat, to)):
                return self
            return counted.ToChats(self.limit_domain(), self.agent_id, self.per_corp, self.per_chat)

        def unfit(self, to: Sequence[str], kind: str, /) -> str:
            unfit = _NOT_IN_CHATS.get(kind, "") if any(map(people.is_chat, to)) else ""
            return _NOT_FOR_ALL.get(kind, "") if people.ALL in to else unfit

        def lines(self) -> int:
            return 1

        def recipient_mistakes(self, to: Sequence[str], /) -> Sequence[tuple[int | None, str]]:
            return list(people.mistakes(to))

    structures: ClassVar = APP
    specimen: ClassVar = ChannelSpecimen(
        options={"corp_id": REFERENCE, "agent_id": 1000002, "secret": REFERENCE, "base_url": BASE},
        kinds=BYTES,
        accepted=b'{"errcode":0,"errmsg":"ok","msgid":"xxxx"}',
        refused=(
            b'{"errcode":40001,"errmsg":"invalid credential"}',
            b'{"errcode":40058,"errmsg":"text.content exceed max length 2048. Invalid input"}',
            b'{"errcode":60020,"errmsg":"not allow to access from your ip"}',
            b'{"errcode":301002,"errmsg":"not allow operate another agent with this accesstoken"}',
            b'{"errcode":48002,"errmsg":"api forbidden"}',
        ),
        throttled=(
            b'{"errcode":45009,"errmsg":"api freq out of limit"}',
            b'{"errcode":-1,"errmsg":"system busy"}',
            b'{"errcode":45033,"errmsg":"out of concurrency limit"}',
        ),
        aside={TOKEN_PATH: b'{"errcode":0,"access_token":"' + HIDDEN + b'-token","expires_in":7200}'},
        structured={
            "textcard": '{"title":"停机","description":"冲压机 7","url":"https://mes.corp/1"}',
            "news": '{"articles":[{"title":"停机","url":"https://mes.corp/1"}]}',
            "template_card": '{"card_type":"button_interaction","main_title":{"title":"停机"},'
            '"button_list":[{"text":"接手","key":"take"}]}',
            MINIPROGRAM: '{"appid":"wx1","title":"停机通知","page":"pages/fault?id=1",'
            '"content_item":[{"key":"设备","value":"冲压机 7"}]}',
            UPDATE: '{"response_code":"rc","button":"已接手"}',
        },
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._folder = context.directory
        self._media = Media(context.clock)
        name = f"{config.limit_domain()}:{config.agent_id}:{config.secret.reference}@{config.base_url}"
        self._account = Account(name, config.base_url, config.corp_id, config.secret, config.block, context)

    def __repr__(self) -> str:
        return f"WecomApp({self._config.limit_domain()!r}, {self._config.agent_id})"

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """Parts of at most 2048 bytes: what is longer the vendor cuts without a word. A card is one part. Raises
        Rejected for another kind."""
        return _KINDS.split(content, tail)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Sends one part to up to 1,000 members at once, or to one chat: others wait for calls of their own.

        A file is uploaded before, unless the vendor still has it. Raises Retryable or Rejected.
        """
        _KINDS.require(call.content)
        limit = BYTES.get(call.content.kind)
        if limit is not None and len(call.content.text.encode()) > limit:
            raise Rejected(Reason.TOO_LONG, "the vendor would cut it without a word")
        to = people.addressed(call.recipients)
        if max(len(to.parties), len(to.tags)) > people.MOST_GROUPS:
            raise Rejected(Reason.TOO_LARGE, f"one call takes at most {people.MOST_GROUPS} parties, and as many tags")
        if len(call.recipients) > MAX_RECIPIENTS:
            raise Rejected(Reason.TOO_LARGE, f"one call takes at most {MAX_RECIPIENTS} recipients")
        failed = dict.fromkeys(to.wrong, Parked(Reason.INVALID, "it is no userid, party:ID, tag:ID or chat:ID"))
        kind = call.content.kind
        if kind in _NOT_IN_CHATS:
            failed |= dict.fromkeys(to.chats, Parked(Reason.REJECTED, _NOT_IN_CHATS[kind]))
            to = to._replace(chats=())
        if kind in _NOT_FOR_ALL and people.ALL in to.users:
            why = Parked(Reason.REJECTED, _NOT_FOR_ALL[kind])
            return [Receipt(name, failed=failed.get(name, why)) for name in call.recipients]
        if not (to.people or to.chats):
            return [Receipt(name, failed=failed[name]) for name in call.recipients]
        if kind == UPDATE:
            return await self._updated(call, failed)
        answer = await self._told(call, to)
        reached = [name for name in call.recipients if not people.is_chat(name)] if to.people else to.chats[:1]
        waiting = to.chats if to.people else to.chats[1:]
        failed |= dict(_failed(answer, [name for name in reached if name not in failed]))
        by = _reference(answer)
        return [_receipt(name, failed.get(name), by, later=name in waiting) for name in call.recipients]

    async def _updated(self, call: Call, failed: Mapping[str, Parked]) -> Sequence[Receipt]:
        """Changes a card that was sent, for those of its people who are recipients of the call."""
        words = msgspec.json.decode(call.content.text)
        card = msgspec.json.encode(words["card"]).decode() if "card" in words else ""
        to = [name for name in call.recipients if name not in failed]
        body = bodies.update(self._config.agent_id, words["response_code"], to, words.get("button", ""), card)
        missed = await self._update(body, call.deadline, codes.PERHAPS_USED if call.perhaps else codes.USED)
        gone = dict.fromkeys((name.lower() for name in missed), Parked(Reason.GONE, "this card was not sent to them"))
        return [Receipt(name, failed=failed.get(name) or gone.get(name.lower())) for name in call.recipients]

    async def _told(self, call: Call, to: people.Addressed) -> Answer:
        """The vendor's answer to the people of `to`, or to the first chat of it."""
        kind = call.content.kind
        if kind not in FILES:
            return await self._posted(kind, bodies.part(call), to, call.deadline)
        loop = asyncio.get_running_loop()
        ends = loop.time() + call.deadline
        words = msgspec.json.decode(call.content.text)
        name = words.pop("file")
        upload = await read(self._folder / name, lambda: upload_of(self._folder, name, 0, kind), call.deadline)

        async def post(body: bytes, headers: Mapping[str, str], deadline: float) -> object:
            query = f"&type={kind}"
            said = await self._account.call(_UPLOAD, body, codes.Uploaded, deadline, headers=headers, query=query)
            return said.media_id

        async def send(media_id: str, deadline: float) -> Answer:
            return await self._posted(kind, {"media_id": media_id, **words}, to, deadline)

        return await self._media.sent(upload, FILES[kind], post, send, ends - loop.time())

    async def _posted(self, kind: str, part: Any, to: people.Addressed, deadline: float) -> Answer:
        if to.people:
            return await self._sent(_SEND, self._body(kind, part, to), deadline)
        return await self._sent(_CHAT, bodies.to_chat(kind, part, to.chats[0], safe=self._config.safe), deadline)

    def _body(self, kind: str, part: Any, to: people.Addressed) -> bytes:
        return bodies.message(kind, part, to, self._config.agent_id, safe=self._config.safe)

    async def _sent(self, path: str, body: bytes, deadline: float) -> Answer:
        good = (0, *(codes.NOBODY if path == _SEND else codes.NO_CHAT))
        return await self._account.call(path, body, Answer, deadline, good=good)

    async def recall(self, reference: str, sent: float, /, *, deadline: float = 15.0) -> None:
        """Takes a message back from all who got it, where they read it in WeCom (`core.ports.Recalls`)."""
        if self._clock.now() - sent >= RECALL_SECONDS:
            raise Rejected(Reason.GONE, "too old: the vendor takes back what was sent within 24 hours")
        msgid = reference.partition(" ")[0]
        await self._account.call(_RECALL, bodies.recall(msgid), codes.Said, deadline, other=codes.TOO_OLD)

    async def update_card(
        self, response_code: str, /, *, to: Sequence[str] = (), button: str = "", card: str = "", deadline: float = 15.0
    ) -> Sequence[str]:
        """Puts `button` on the buttons of a card, which nobody can press then, or another card (JSON) in its place,
        for those of `to` or for all who got it. Names those who did not get the change.

        `response_code` is the second word of a receipt's reference, or comes with a click: good once, for 72 hours.
        Raises Retryable, or Rejected, with GONE for a code that is good no more.
        """
        body = bodies.update(self._config.agent_id, response_code, to, button, card)
        return await self._update(body, deadline, codes.USED)

    async def _update(self, body: bytes, deadline: float, used: Mapping[int, Meaning]) -> Sequence[str]:
        said = await self._account.call(_UPDATE, body, codes.Updated, deadline, other=used)
        return tuple(said.invaliduser or ())

    async def close(self) -> None:
        """Nothing to release: the wire and the vault belong to the service."""


def _reference(answer: Answer) -> str:
    """The message's id, by which it can be recalled, and after a blank the code by which its card can be updated."""
    msgid, code = (str(one or "") for one in (answer.msgid, answer.response_code))
    both = f"{msgid} {code}" if msgid and code else msgid
    return both if len(both.encode()) <= _REFERENCE else msgid[:_REFERENCE]


def _receipt(name: str, failed: Parked | None, by: str, *, later: bool) -> Receipt:
    if failed is None and later:
        return Receipt(name, failed=_WAITS, later=True)
    return Receipt(name, reference=by) if failed is None else Receipt(name, failed=failed)


def _failed(answer: Answer, recipients: Sequence[str]) -> Iterator[tuple[str, Parked]]:
    """Whom the vendor names beside its answer; it writes userids in lower case, whatever they were."""
    gone = Parked(Reason.GONE, "the vendor knows no such recipient, or the app may not see it")
    nobody = answer.errcode in codes.NOBODY | codes.NO_CHAT
    unlicensed = Parked(Reason.REJECTED, "the member has no licence for this app's interface")
    told: dict[str, Parked] = dict.fromkeys(_names(answer.unlicenseduser, ""), unlicensed)
    for names, word in ((answer.invaliduser, ""), (answer.invalidparty, people.PARTY), (answer.invalidtag, people.TAG)):
        told.update(dict.fromkeys(_names(names, word), gone))
    for name in recipients:
        if nobody:
            yield name, told.get(name.lower(), gone)
        elif (failed := told.get(name.lower())) is not None:
            yield name, failed


def _names(names: str | None, word: str) -> Iterator[str]:
    return (word + one.lower() for one in (names or "").split("|") if one)
