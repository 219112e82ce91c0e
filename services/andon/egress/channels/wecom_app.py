"""Messages of a WeCom application to members (developer.work.weixin.qq.com, page 90236).

The reply's errcode decides, and beside errcode 0 the lists of those who were not told. What the vendor discards without
a word (beyond 30 a minute and 1,000 an hour to one member) must never be sent: the limits say so to the desk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec
from pydantic import Field, field_validator

from andon.config.secrets import SecretMissing, SecretRef
from andon.config.settings import Section
from andon.config.units import Rate
from andon.core.delivery import MAX_RECIPIENTS
from andon.core.failure import Rejected, Retryable
from andon.core.outcome import Parked
from andon.core.policy import Limit, Per
from andon.core.ports import Call, Content, Context, Receipt
from andon.core.reason import Reason
from andon.core.specimen import BASE, HIDDEN, REFERENCE, ChannelSpecimen
from andon.core.text import split_bytes
from andon.egress.channels import wecom_app_codes as codes
from andon.egress.channels import wecom_app_people as people
from andon.egress.channels.wecom_app_codes import Answer
from andon.egress.tokens import Granted, Tokens
from andon.egress.vendors import JSON, BaseUrl, revealed

BYTES = {"text": 2048, "markdown": 2048}
# The vendor counts by 60 s and 60 min; two seconds more keep its windows covered when our clocks or the way differ.
MEMBER = (Limit(30, 62.0), Limit(1_000, 3_602.0))
CORP = (Limit(10_000, 62.0), Limit(150_000, 3_602.0))
_DAY_S, _MIDNIGHT_S, _MARGIN_S = 86_400.0, 57_600.0, 2.0  # midnight in China is 16:00 UTC, all the year
_TOKEN_PATH, _SEND_PATH = "/cgi-bin/gettoken", "/cgi-bin/message/send"
_MSGID = 512
_encode = msgspec.json.Encoder().encode


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
        per_member: Annotated[tuple[Rate, ...], Field(min_length=1)] = MEMBER
        """What one member gets of this app; the vendor discards without a word what is beyond 30 a minute and 1,000 an
        hour. Two seconds more than that keep its windows covered."""
        per_corp: Annotated[tuple[Rate, ...], Field(min_length=1)] = CORP
        """Calls of all apps of the corp: 10,000 a minute and 150,000 an hour."""

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
            each = (Limit(limit.count, limit.period, Per.RECIPIENT) for limit in self.per_member)
            count = self.per_account * (self.accounts or 0)
            a_day = (Limit(count, _DAY_S, Per.PERSON, _MIDNIGHT_S, _MARGIN_S),) if count else ()
            return (*self.per_corp, *each, *a_day)

        def sender(self) -> str:
            """The app: each has its own count of each member."""
            return str(self.agent_id)

        def behind(self, name: str, /) -> int | None:
            return self.sizes.get(name, self.accounts or 1) if people.wide(name) else None

        def lines(self) -> int:
            return 1

        def recipient_mistakes(self, to: Sequence[str], /) -> Sequence[tuple[int | None, str]]:
            return list(people.mistakes(to))

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
        aside={_TOKEN_PATH: b'{"errcode":0,"access_token":"' + HIDDEN + b'-token","expires_in":7200}'},
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._wire = context.wire
        name = f"{config.limit_domain()}:{config.agent_id}:{config.secret.reference}@{config.base_url}"
        self._tokens = Tokens(name, config.secret, self._granted, context.clock, context.vault)

    def __repr__(self) -> str:
        return f"WecomApp({self._config.limit_domain()!r}, {self._config.agent_id})"

    def split(self, content: Content, /) -> Sequence[Content]:
        """Parts of at most 2048 bytes: what is longer the vendor cuts without a word. Raises Rejected for another
        kind."""
        parts = split_bytes(content.text, _limit(content))
        return (content,) if len(parts) == 1 else [Content(content.kind, part) for part in parts]

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Sends one part to up to 1,000 members at once. Raises Retryable or Rejected."""
        if len(call.content.text.encode()) > _limit(call.content):
            raise Rejected(Reason.TOO_LONG, "the vendor would cut it without a word")
        to = people.addressed(call.recipients)
        if max(len(to.parties), len(to.tags)) > people.MOST_GROUPS:
            raise Rejected(Reason.TOO_LARGE, f"one call takes at most {people.MOST_GROUPS} parties, and as many tags")
        if len(call.recipients) > MAX_RECIPIENTS:
            raise Rejected(Reason.TOO_LARGE, f"one call takes at most {MAX_RECIPIENTS} recipients")
        wrong = dict.fromkeys(to.wrong, Parked(Reason.INVALID, "it is no userid, party:ID or tag:ID"))
        if len(wrong) == len(call.recipients):
            return [Receipt(name, failed=wrong[name]) for name in call.recipients]
        answer = await self._sent(self._body(call.content, to), call.deadline)
        failed = wrong | dict(_failed(answer, call.recipients))
        by = str(answer.msgid or "")[:_MSGID]
        return [
            Receipt(name, failed=failed[name]) if name in failed else Receipt(name, reference=by)
            for name in call.recipients
        ]

    def _body(self, content: Content, to: people.Addressed) -> bytes:
        value: dict[str, Any] = {
            "touser": "|".join(to.users),
            "toparty": "|".join(to.parties),
            "totag": "|".join(to.tags),
            "msgtype": content.kind,
            "agentid": self._config.agent_id,
            content.kind: {"content": content.text},
            "safe": int(self._config.safe),
            # It would take a second equal notice for a repeat of the first and drop it, answering "ok".
            "enable_duplicate_check": 0,
        }
        return _encode({name: one for name, one in value.items() if one != ""})

    async def _sent(self, body: bytes, deadline: float) -> Answer:
        """The vendor's good answer. A token it takes no more is renewed once; the desk waits after a second refusal."""
        ends = asyncio.get_running_loop().time() + deadline
        token = await self._tokens.token(deadline)
        answer = await self._posted(body, token, ends)
        if answer.errcode in codes.STALE:
            token = await self._tokens.token(_left(ends), stale=token)
            answer = await self._posted(body, token, ends)
        if answer.errcode in codes.STALE:
            raise Retryable(Reason.CREDENTIALS, f"errcode {answer.errcode}: a new access token is refused as well")
        if answer.errcode not in (0, codes.NOBODY):
            raise codes.failure(answer, (token, *self._secrets()))
        return answer

    async def _posted(self, body: bytes, token: str, ends: float) -> Answer:
        address = f"{self._config.base_url}{_SEND_PATH}?access_token={quote(token, safe='')}"
        return codes.read(await self._wire.request("POST", address, body=body, headers=JSON, deadline=_left(ends)))

    async def _granted(self, secret: str, deadline: float) -> Granted:
        corp = revealed(self._config.corp_id)
        query = urlencode({"corpid": corp, "corpsecret": secret})
        address = f"{self._config.base_url}{_TOKEN_PATH}?{query}"
        answer = codes.read(await self._wire.request("GET", address, deadline=deadline))
        if answer.errcode != 0:
            raise codes.failure(answer, (secret, corp), asking=True)
        if not answer.access_token:
            raise Retryable(Reason.BAD_REPLY, "errcode 0 without an access token")
        return Granted(answer.access_token, answer.expires_in)

    def _secrets(self) -> Iterator[str]:
        for reference in (self._config.corp_id, self._config.secret):
            try:
                yield reference.reveal()
            except SecretMissing:
                continue

    async def close(self) -> None:
        """Nothing to release: the wire and the vault belong to the service."""


def _left(ends: float) -> float:
    left = ends - asyncio.get_running_loop().time()
    if left <= 0:
        raise Retryable(Reason.NOT_SENT, "the time of the call went on its access token")
    return left


def _limit(content: Content) -> int:
    limit = BYTES.get(content.kind)
    if limit is None:
        raise Rejected(Reason.REJECTED, f"a WeCom app takes text or markdown, not {content.kind}")
    return limit


def _failed(answer: Answer, recipients: Sequence[str]) -> Iterator[tuple[str, Parked]]:
    """Whom the vendor names beside its answer; it writes userids in lower case, whatever they were."""
    gone = Parked(Reason.GONE, "the vendor knows no such recipient, or the app may not see it")
    unlicensed = Parked(Reason.REJECTED, "the member has no licence for this app's interface")
    told: dict[str, Parked] = dict.fromkeys(_names(answer.unlicenseduser, ""), unlicensed)
    for names, word in ((answer.invaliduser, ""), (answer.invalidparty, people.PARTY), (answer.invalidtag, people.TAG)):
        told.update(dict.fromkeys(_names(names, word), gone))
    for name in recipients:
        if answer.errcode == codes.NOBODY:
            yield name, told.get(name.lower(), gone)
        elif (failed := told.get(name.lower())) is not None:
            yield name, failed


def _names(names: str | None, word: str) -> Iterator[str]:
    return (word + one.lower() for one in (names or "").split("|") if one)
