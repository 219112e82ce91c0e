"""The Feishu custom bot (飞书自定义机器人): a webhook that posts into one group, signed in its body.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot

The reply's code decides, never the HTTP status: the vendor answers its own refusals with HTTP 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import field_validator

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Rate
from andon.core.failure import UNREADABLE, Failure, Rejected
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt, Reply
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, ChannelSpecimen
from andon.egress.cards.feishu import ROBOT
from andon.egress.robots import Kinds, called
from andon.egress.vendors import JSON, OTHER, BaseUrl, Meaning, detail, foreign, revealed

# The vendor's 100 calls a minute and 5 a second, each with a margin for clocks and ways that differ.
LIMIT = Limit(100, 62.0)
BURST = Limit(5, 1.1)
BODY = 20_000
# The rest of the body's 20 KB is for the signature, the card around a markdown and a hundred people called by name.
BYTES = {"text": 13_000, "markdown": 13_000}
# Its refusal does not say which of the two limits was met; the shorter one is over by then.
THROTTLED_SECONDS = 15.0
_KINDS = Kinds("a Feishu bot", BYTES, ROBOT, in_json=True)
_encode = msgspec.json.Encoder().encode

_THROTTLED = Meaning(True, Reason.THROTTLED, THROTTLED_SECONDS)
_BAD_REQUEST = 9499
_MEANING = {
    _BAD_REQUEST: Meaning(False, Reason.REJECTED, advice="the body has not the form or the size that Feishu takes"),
    11232: _THROTTLED,
    99991400: _THROTTLED,  # said by the gateway before all of Feishu's interfaces
    19001: Meaning(False, Reason.CREDENTIALS, advice="`hook` is not the id of a bot"),
    19007: Meaning(False, Reason.GONE, advice="the bot is disabled: enable it, or put another's hook in `robots`"),
    19021: Meaning(False, Reason.CREDENTIALS, advice="`secret` is not the bot's, or this machine's clock is wrong"),
    19022: Meaning(False, Reason.CREDENTIALS, advice="enter this address in the bot's list of addresses"),
    19024: Meaning(False, Reason.REJECTED, advice="the template must say one of the bot's keywords"),
    -1: Meaning(True, Reason.BUSY),
}


class _Answer(msgspec.Struct):
    code: int | None = None
    msg: Any = ""
    StatusCode: int | None = None
    StatusMessage: Any = ""


_decode = msgspec.json.Decoder(_Answer).decode


class Robot(Section):
    """A bot of the group."""

    hook: SecretRef
    """The last part of its webhook address, behind `/hook/`."""
    secret: SecretRef | None = None
    """Its signing secret, when signatures are switched on."""


class FeishuRobot:
    """One group's bot, or several bots of the same group as equal lines.

    `send` makes one POST. Accepted means code 0 under HTTP 200: the vendor has no receipts.
    """

    class Config(Section):
        """`limit` replaces 100 calls a minute and bot; set it only for a private deployment whose limit differs."""

        robots: tuple[Robot, ...]
        """Bots of the same group; several share the load. The first names their queue: add and take out behind it."""
        base_url: BaseUrl = "https://open.feishu.cn"
        """Lark: `https://open.larksuite.com`."""
        limit: Rate = LIMIT
        burst: Rate = BURST
        """Replaces 5 calls a second and bot."""

        @field_validator("robots")
        @classmethod
        def _distinct(cls, robots: tuple[Robot, ...]) -> tuple[Robot, ...]:
            if not robots:
                raise ValueError("needs at least one entry")
            if len({robot.hook for robot in robots}) < len(robots):
                raise ValueError("the same hook stands twice; each bot has its own limit and its own hook")
            return robots

        def limit_domain(self) -> str:
            """The pool of bots, by the reference of the first one's hook: others may come and go behind it."""
            return f"feishu_robot:{self.robots[0].hook.reference}"

        def limits(self) -> tuple[Limit, ...]:
            return (self.limit, self.burst)

        def lines(self) -> int:
            return len(self.robots)

        def line_names(self) -> tuple[str, ...]:
            """The bots, by the references of their hooks."""
            return tuple(robot.hook.reference for robot in self.robots)

    structures: ClassVar = ROBOT
    calls_by_name: ClassVar = ("text", "markdown")
    specimen: ClassVar = ChannelSpecimen(
        options={"robots": [{"hook": REFERENCE, "secret": REFERENCE}], "base_url": BASE},
        kinds=BYTES,
        accepted=b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}',
        refused=(
            b'{"code":9499,"msg":"Bad Request","data":{}}',
            b'{"code":19001,"msg":"param invalid: incoming webhook access token invalid","data":{}}',
            b'{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time","data":{}}',
            b'{"code":19022,"msg":"Ip Not Allowed","data":{}}',
            b'{"code":19024,"msg":"Key Words Not Found","data":{}}',
            b'{"StatusCode":19001,"StatusMessage":"param invalid"}',
        ),
        throttled=(
            b'{"code":11232,"msg":"frequency limited","data":{}}',
            b'{"code":9499,"msg":"too many request","data":{}}',
        ),
        structured={
            "post": '{"zh_cn":{"title":"停机","content":[[{"tag":"text","text":"冲压机 7"}]]}}',
            "interactive": '{"schema":"2.0","body":{"elements":[{"tag":"markdown","content":"**冲压机 7**"}]}}',
        },
        recipients=100,  # what a call by name leaves room for beside the longest text
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._robots = config.robots
        self._address = f"{config.base_url}/open-apis/bot/v2/hook/"
        self._wire = context.wire
        self._clock = context.clock

    def __repr__(self) -> str:
        return f"FeishuRobot({', '.join(robot.hook.reference for robot in self._robots)})"

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """Parts that leave room for the rest of a body of 20 KB; a card is one. Raises Rejected for another kind."""
        return _KINDS.split(content, tail)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Posts one part by the bot `call.line`. An answer that is not the vendor's is never a success."""
        _KINDS.require(call.content)
        robot = self._robots[call.line]
        hook = revealed(robot.hook)
        secret = revealed(robot.secret) if robot.secret else None
        said = _said(call)
        if secret is not None:
            seconds = int(self._clock.now())
            said |= {"timestamp": str(seconds), "sign": signature(secret, seconds)}
        body = _encode(said)
        if len(body) > BODY:
            raise Rejected(Reason.TOO_LONG, f"{len(body):,} bytes; Feishu takes {BODY:,}: shorten it, or call fewer")
        address = self._address + quote(hook, safe="")
        reply = await self._wire.request("POST", address, body=body, headers=JSON, deadline=call.deadline)
        failure = _judge(reply, hook, secret)
        if failure:
            raise failure
        return [Receipt(recipient) for recipient in call.recipients]

    async def close(self) -> None:
        """Nothing to release: the wire belongs to the service."""


def signature(secret: str, seconds: int) -> str:
    """The bot's signature of a time: time and secret are the key, and nothing is signed."""
    key = f"{seconds}\n{secret}".encode()
    return base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()


def _said(call: Call) -> dict[str, Any]:
    """The body without its signature. A bot has no message of markdown; a card of one piece of it looks the same."""
    names, kind, text = called(call), call.content.kind, call.content.text
    if kind in ROBOT:
        raw = msgspec.Raw(text.encode())
        return {"msg_type": kind} | ({"card": raw} if kind == "interactive" else {"content": {"post": raw}})
    people = (*names.people, *(("all",) if names.everybody else ()))
    if kind == "markdown":
        tags = " ".join(f"<at id={one}></at>" for one in people)
        element = {"tag": "markdown", "content": f"{text}\n{tags}" if tags else text}
        return {"msg_type": "interactive", "card": {"schema": "2.0", "body": {"elements": [element]}}}
    tags = " ".join(f'<at user_id="{one}"></at>' for one in people)
    return {"msg_type": "text", "content": {"text": f"{text}\n{tags}" if tags else text}}


def _judge(reply: Reply, hook: str, secret: str | None) -> Failure | None:
    """What went wrong, or None. Old servers say StatusCode alone; where both stand, both must be 0."""
    try:
        answer = _decode(reply.body)
    except UNREADABLE:
        return foreign(reply, THROTTLED_SECONDS)
    codes = [code for code in (answer.code, answer.StatusCode) if code is not None]
    code = next(filter(None, codes), 0)
    if not codes or (code == 0 and reply.status != 200):
        return foreign(reply, THROTTLED_SECONDS)
    if code == 0:
        return None
    text = answer.msg or answer.StatusMessage
    # The vendor's one code for a bad body and for calls that come too fast; only the text tells them apart.
    too_fast = code == _BAD_REQUEST and "too many request" in str(text).lower()
    meaning = _THROTTLED if too_fast else _MEANING.get(code, OTHER)
    return meaning.failure(detail(code, text, hook, *([secret] if secret else [])))
