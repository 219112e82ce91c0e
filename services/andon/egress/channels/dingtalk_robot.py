"""The DingTalk custom robot (钉钉自定义机器人): a signed webhook that posts into one group.

https://open.dingtalk.com/document/robots/custom-robot-access

The reply's errcode decides, never the HTTP status: the vendor answers its own refusals with HTTP 200.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

import msgspec
from pydantic import field_validator

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Rate
from andon.core.failure import LONGEST_S, UNREADABLE, Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt, Reply
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, ChannelSpecimen
from andon.egress.cards.dingtalk import ROBOT
from andon.egress.robots import Called, Kinds, called
from andon.egress.vendors import JSON, OTHER, TOO_LONG, BaseUrl, Meaning, detail, foreign, revealed

# The vendor counts 20 calls a minute. Two seconds more keep its window covered when our clocks or the way differ.
LIMIT = Limit(20, 62.0)
BODY = 20_000
# Of the body's 20,000 bytes the rest is for the title, the signature's neighbours and fifty people called by name.
BYTES = {"text": 13_000, "markdown": 13_000}
PEOPLE = 50
THROTTLED_SECONDS = 600.0
_BUSY_SECONDS = 60.0
_DIGITS = 18
_TITLE = 60
_LOOKED_AT = 1_024  # characters: markup takes quadratic time to find, and a title is short
_IP_THROTTLED = 1111
_OLD_AUTH = 88
_SECURITY = 310000
_MARKUP = re.compile(r"^[#>\-\s]+|[*`_~]|!?\[([^\]]*)\]\([^)]*\)")
_KINDS = Kinds("a DingTalk robot", BYTES, ROBOT, in_json=True)
_encode = msgspec.json.Encoder().encode

_THROTTLED = Meaning(True, Reason.THROTTLED, THROTTLED_SECONDS)
_NO_TOKEN = Meaning(False, Reason.CREDENTIALS, advice="take the robot's token anew from the group's settings")
_GONE = Meaning(False, Reason.GONE, advice="the robot was stopped, or taken out of the group")
# The gateway before the old interface has codes of its own for an address that calls too often;
# it says them as errcode, or as the sub_code of 88.
_GATEWAY_LIMITS = dict.fromkeys(range(90_001, 90_019), Meaning(True, Reason.THROTTLED, _BUSY_SECONDS))
_MEANING = {
    **_GATEWAY_LIMITS,
    -1: Meaning(True, Reason.BUSY),
    # The documents, logs and the real server each say another code to a robot that was called too often.
    410100: _THROTTLED,
    130101: _THROTTLED,
    660026: _THROTTLED,
    300001: _NO_TOKEN,
    300005: _NO_TOKEN,
    400101: _NO_TOKEN,
    400013: _GONE,
    400102: _GONE,
    400106: _GONE,
    460101: TOO_LONG,
}
# All of them are errcode 310000; only the text tells them apart: English in the documents, Chinese from the servers.
_KEYWORD = Meaning(False, Reason.REJECTED, advice="the template must say one of the robot's keywords")
_CLOCK = Meaning(True, Reason.CREDENTIALS, advice="this machine's clock is wrong by more than an hour")
_SIGN = Meaning(False, Reason.CREDENTIALS, advice="`secret` is not the robot's")
_ADDRESS = Meaning(False, Reason.CREDENTIALS, advice="enter this address in the robot's list of addresses")
_SECURITY_MEANING = (
    ("keyword", _KEYWORD),
    ("关键词", _KEYWORD),
    ("timestamp", _CLOCK),
    ("签名过期", _CLOCK),
    ("sign", _SIGN),
    ("签名", _SIGN),
    ("whitelist", _ADDRESS),
    ("白名单", _ADDRESS),
)
_REFUSED = Meaning(False, Reason.CREDENTIALS)


class _Answer(msgspec.Struct):
    errcode: int | str | None = None
    errmsg: Any = ""
    sub_code: Any = ""
    sub_msg: Any = ""
    status: Any = None
    wait: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Access(NamedTuple):
    token: str
    secret: str | None


class Robot(Section):
    """A robot of the group."""

    token: SecretRef
    """The `access_token` of its webhook address."""
    secret: SecretRef | None = None
    """Its signing secret (SEC…), when signatures are switched on."""


class DingtalkRobot:
    """One group's robot, or several robots of the same group as equal lines.

    `send` makes one POST. Accepted means errcode 0 under HTTP 200: the vendor has no receipts. It knows a repeated call
    by `msgUuid`, so what is unknown is sent again.
    """

    class Config(Section):
        """`limit` replaces 20 calls a minute and robot; set it only for a private deployment whose limit differs."""

        robots: tuple[Robot, ...]
        """Robots of the same group; several share the load. The first names their queue: add and take out behind it."""
        base_url: BaseUrl = "https://oapi.dingtalk.com"
        limit: Rate = LIMIT

        @field_validator("robots")
        @classmethod
        def _distinct(cls, robots: tuple[Robot, ...]) -> tuple[Robot, ...]:
            if not robots:
                raise ValueError("needs at least one entry")
            if len({robot.token for robot in robots}) < len(robots):
                raise ValueError("the same token stands twice; each robot has its own limit and its own token")
            return robots

        def limit_domain(self) -> str:
            """The pool of robots, by the reference of the first one's token: others may come and go behind it."""
            return f"dingtalk_robot:{self.robots[0].token.reference}"

        def limits(self) -> tuple[Limit, ...]:
            return (self.limit,)

        def lines(self) -> int:
            return len(self.robots)

        def line_names(self) -> tuple[str, ...]:
            """The robots, by the references of their tokens."""
            return tuple(robot.token.reference for robot in self.robots)

        def recipient_mistakes(self, to: Sequence[str], /) -> Sequence[tuple[int | None, str]]:
            """More people than a robot calls by name."""
            people = len(set(to) - {"all", "@all"})
            many = f"{people} people; a DingTalk robot calls {PEOPLE} by name at most"
            return [(None, many)] if people > PEOPLE else []

    structures: ClassVar = ROBOT
    calls_by_name: ClassVar = ("text", "markdown")
    specimen: ClassVar = ChannelSpecimen(
        options={"robots": [{"token": REFERENCE, "secret": REFERENCE}], "base_url": BASE},
        kinds=BYTES,
        accepted=b'{"errcode":0,"errmsg":"ok"}',
        refused=(
            b'{"errcode":310000,"errmsg":"sign not match"}',
            b'{"errcode":310000,"errmsg":"keywords not in content"}',
            b'{"errcode":310000,"errmsg":"ip 1.2.3.4 not in whitelist"}',
            b'{"errcode":300005,"errmsg":"token is not exist"}',
            b'{"errcode":"400102","errmsg":"robot stopped"}',
            b'{"errcode":88,"sub_code":"40014","sub_msg":"invalid access_token"}',
        ),
        throttled=(
            b'{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}',
            b'{"errcode":410100,"errmsg":"send too fast"}',
            b'{"errcode":660026,"errmsg":"sending too many messages per minute"}',
            b'{"errcode":-1,"errmsg":"system busy"}',
            b'{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"0"}',
        ),
        structured={
            "link": '{"title":"停机","text":"冲压机 7","messageUrl":"https://mes.corp/1","picUrl":"https://mes.corp/p"}',
            "actionCard": '{"title":"停机","text":"**冲压机 7**","singleTitle":"看","singleURL":"https://mes.corp/1"}',
            "feedCard": '{"links":[{"title":"停机","messageURL":"https://mes.corp/1","picURL":"https://mes.corp/p"}]}',
        },
        recipients=PEOPLE,
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._robots = config.robots
        self._address = f"{config.base_url}/robot/send?"
        self._wire = context.wire
        self._clock = context.clock

    def __repr__(self) -> str:
        return f"DingtalkRobot({', '.join(robot.token.reference for robot in self._robots)})"

    def repeat_key(self, call: Call, /) -> str:
        """The `msgUuid`."""
        return str(call.fresh_key)

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """Parts that leave room for the rest of the body; a card is one part. Raises Rejected for another kind."""
        return _KINDS.split(content, tail)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Posts one part by the robot `call.line`. An answer that is not the vendor's is never a success."""
        _KINDS.require(call.content)
        body = _encode(_said(call, self.repeat_key(call)))
        if len(body) > BODY:
            raise Rejected(Reason.TOO_LONG, f"{len(body):,} bytes; DingTalk takes {BODY:,}: shorten it, or call fewer")
        robot = self._robots[call.line]
        access = _Access(revealed(robot.token), revealed(robot.secret) if robot.secret else None)
        address = self._address + urlencode(_query(access, self._clock.now()))
        reply = await self._wire.request("POST", address, body=body, headers=JSON, deadline=call.deadline)
        failure = _judge(reply, access)
        if failure:
            raise failure
        return [Receipt(recipient) for recipient in call.recipients]

    async def close(self) -> None:
        """Nothing to release: the wire belongs to the service."""


def signature(secret: str, milliseconds: int) -> str:
    """The robot's signature of a time, not yet encoded for an address."""
    said = f"{milliseconds}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()


def _query(access: _Access, now: float) -> dict[str, str]:
    query = {"access_token": access.token}
    if access.secret is not None:
        milliseconds = int(now * 1000)
        query |= {"timestamp": str(milliseconds), "sign": signature(access.secret, milliseconds)}
    return query


def _said(call: Call, key: str) -> dict[str, Any]:
    """The body. Whom it calls by name must also stand in the text, or nobody is called."""
    names, kind, text = called(call), call.content.kind, call.content.text
    body: dict[str, Any] = {"msgtype": kind, "msgUuid": key}
    if kind in ROBOT:
        return body | {kind: msgspec.Raw(text.encode())}
    if len(names.people) > PEOPLE:
        raise Rejected(Reason.REJECTED, f"calls {len(names.people)} people by name; a DingTalk robot {PEOPLE} at most")
    if names != Called():
        body["at"] = {"atMobiles": names.mobiles, "atUserIds": names.users, "isAtAll": names.everybody}
        missing = [f"@{name}" for name in names.people if not _calls(text, name)]
        text = "\n\n".join([text, " ".join(missing)]) if missing else text
    body[kind] = {"content": text} if kind == "text" else {"title": _title(text), "text": text}
    return body


def _calls(text: str, name: str) -> bool:
    """Whether the text calls just that name, which a longer one may begin with."""
    more = "[A-Za-z0-9_]" if name.isascii() else r"\w"
    return re.search(rf"@{re.escape(name)}(?![.@-]*{more})", text) is not None


def _title(text: str) -> str:
    """What the list of chats shows of a markdown notice: its first line without markup."""
    first = next((line for line in text.splitlines() if line.strip()), text)
    return (_MARKUP.sub(r"\1", first[:_LOOKED_AT]).strip() or first)[:_TITLE]


def _judge(reply: Reply, access: _Access) -> Failure | None:
    """What went wrong, or None."""
    try:
        answer = _decode(reply.body)
    except UNREADABLE:
        return foreign(reply, _BUSY_SECONDS)
    code = _number(answer.errcode)
    if code is None:
        return _of_gateway(answer) or foreign(reply, _BUSY_SECONDS)
    if code == 0:
        return None if reply.status == 200 else foreign(reply, _BUSY_SECONDS)
    secrets = [secret for secret in access if secret]
    if code == _OLD_AUTH:
        meaning = _GATEWAY_LIMITS.get(_number(answer.sub_code) or 0, _REFUSED)
        return meaning.failure(detail(code, f"{answer.sub_code} {answer.sub_msg}", *secrets))
    meaning = _security(str(answer.errmsg)) if code == _SECURITY else _MEANING.get(code, OTHER)
    return meaning.failure(detail(code, answer.errmsg, *secrets))


def _security(text: str) -> Meaning:
    return next((meaning for word, meaning in _SECURITY_MEANING if word in text), _REFUSED)


def _of_gateway(answer: _Answer) -> Retryable | None:
    """What an address hears that calls too often: {"status": 1111, "wait": 5, …}, seconds and no errcode."""
    if answer.status != _IP_THROTTLED:
        return None
    wait = _number(answer.wait)
    return Retryable(Reason.THROTTLED, "the gateway limits this address", after=_within_bounds(wait or _BUSY_SECONDS))


def _within_bounds(seconds: float) -> float:
    """A whole number may be larger than any float."""
    return float(min(max(seconds, 0), LONGEST_S))


def _number(code: Any) -> int | None:
    """A code as a number; the vendor's pages also show it as text."""
    if isinstance(code, str) and len(code) <= _DIGITS and code.removeprefix("-").isdecimal():
        return int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None
