"""The WeCom group robot: a webhook that posts into one group (developer.work.weixin.qq.com, page 91770).

The reply's errcode decides, never the HTTP status: the vendor answers its own refusals with HTTP 200.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field, field_validator

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.config.units import Rate, Seconds
from andon.core.failure import UNREADABLE, Failure
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt, Reply
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, ChannelSpecimen
from andon.egress.cards.wecom import FILE_BYTES, IMAGE_BYTES, ROBOT
from andon.egress.media import FileGone, Media, bytes_of, read, upload_of
from andon.egress.robots import Called, Kinds, called
from andon.egress.vendors import JSON, OTHER, TOO_LONG, BaseUrl, Meaning, detail, foreign, revealed

# The vendor counts 20 calls a minute. Two seconds more keep its window covered when our clocks or the way differ.
LIMIT = Limit(20, 62.0)
BYTES = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}
THROTTLED_SECONDS = 60.0
_UPLOADED = ("file", "voice")
_KINDS = Kinds("a WeCom robot", BYTES, ROBOT)
_encode = msgspec.json.Encoder().encode

_MEANING = {
    -1: Meaning(True, Reason.BUSY),
    45033: Meaning(True, Reason.BUSY),
    45009: Meaning(True, Reason.THROTTLED),
    93000: Meaning(
        False, Reason.CREDENTIALS, advice="the key is no robot's, or the robot was removed: take its key anew"
    ),
    93004: Meaning(False, Reason.GONE, advice="the robot is disabled: enable it, or put another's key in `keys`"),
    93008: Meaning(
        False, Reason.GONE, advice="the robot is not in the group any more: add one, and put its key in `keys`"
    ),
    44004: Meaning(False, Reason.EMPTY),
    45002: TOO_LONG,
}
_NO_FILE = 40007


class _Answer(msgspec.Struct):
    errcode: int
    errmsg: Any = ""
    media_id: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


class WecomRobot:
    """One group's robot, or several robots of the same group as equal lines.

    `send` makes one POST. Accepted means errcode 0 under HTTP 200: the vendor has no receipts.
    """

    class Config(Section):
        """`keys` are references to the robots' webhook keys. `limit` replaces 20 calls a minute and robot, and `block`
        the minute for which a robot that was called too often is shut; set them only for a private deployment whose
        limits differ."""

        keys: Annotated[tuple[SecretRef, ...], Field(min_length=1)]
        base_url: BaseUrl = "https://qyapi.weixin.qq.com"
        limit: Rate = LIMIT
        block: Seconds = THROTTLED_SECONDS

        @field_validator("keys")
        @classmethod
        def _distinct(cls, keys: tuple[SecretRef, ...]) -> tuple[SecretRef, ...]:
            if len(set(keys)) < len(keys):
                raise ValueError("the same key stands twice; each robot has its own limit and its own key")
            return keys

        def limit_domain(self) -> str:
            """The pool of robots, by the reference of the first one's key: others may come and go behind it."""
            return f"wecom_robot:{self.keys[0].reference}"

        def limits(self) -> tuple[Limit, ...]:
            return (self.limit,)

        def lines(self) -> int:
            return len(self.keys)

        def line_names(self) -> tuple[str, ...]:
            """The robots, by the references of their keys."""
            return tuple(key.reference for key in self.keys)

    structures: ClassVar = ROBOT
    calls_by_name: ClassVar = ("text",)
    specimen: ClassVar = ChannelSpecimen(
        options={"keys": [REFERENCE], "base_url": BASE},
        kinds=BYTES,
        accepted=b'{"errcode":0,"errmsg":"ok"}',
        refused=(
            b'{"errcode":93000,"errmsg":"invalid webhook url, hint: [1], from ip: 1.2.3.4, more info at x"}',
            b'{"errcode":40058,"errmsg":"markdown.content exceed max length 4096. Invalid input"}',
            b'{"errcode":40008,"errmsg":"invalid message type"}',
            b'{"errcode":93008,"errmsg":"not in group"}',
        ),
        throttled=(
            b'{"errcode":45009,"errmsg":"api freq out of limit"}',
            b'{"errcode":-1,"errmsg":"system busy"}',
            b'{"errcode":45033,"errmsg":"out of concurrency limit"}',
        ),
        structured={
            "news": '{"articles":[{"title":"停机","description":"冲压机 7","url":"https://mes.corp/1"}]}',
            "template_card": '{"card_type":"text_notice","main_title":{"title":"停机","desc":"冲压机 7"},'
            '"card_action":{"type":1,"url":"https://mes.corp/1"}}',
        },
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._keys = config.keys
        self._block = config.block
        self._address = f"{config.base_url}/cgi-bin/webhook/send?key="
        self._uploads = f"{config.base_url}/cgi-bin/webhook/upload_media?key="
        self._wire = context.wire
        self._folder = context.directory
        self._media = Media(context.clock)

    def __repr__(self) -> str:
        return f"WecomRobot({', '.join(key.reference for key in self._keys)})"

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        """Parts of at most 2048 bytes of text or 4096 of markdown; a card is one. Raises Rejected for another kind."""
        return _KINDS.split(content, tail)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        """Posts one part by the robot `call.line`. An answer that is not the vendor's is never a success.

        A file is uploaded before, unless the vendor still has it: the one case of two requests within a call.
        """
        _KINDS.require(call.content)
        key = revealed(self._keys[call.line])
        if call.content.kind in _UPLOADED:
            await self._send_file(call, key)
        elif call.content.kind == "image":
            await self._send_image(call, key)
        else:
            await self._post(call.content.kind, _said(call), key, call.deadline)
        return [Receipt(recipient) for recipient in call.recipients]

    async def _post(self, kind: str, part: Any, key: str, deadline: float) -> None:
        body = _encode({"msgtype": kind, kind: part})
        address = self._address + quote(key, safe="")
        reply = await self._wire.request("POST", address, body=body, headers=JSON, deadline=deadline)
        failure = _judge(reply, key, self._block)
        if failure:
            raise failure

    async def _send_image(self, call: Call, key: str) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + call.deadline
        path = self._folder / _file_of(call.content.text)
        raw = await read(path, lambda: bytes_of(path, IMAGE_BYTES), call.deadline)
        digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        image = {"base64": base64.b64encode(raw).decode(), "md5": digest}
        await self._post("image", image, key, ends - loop.time())

    async def _send_file(self, call: Call, key: str) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + call.deadline
        kind, name = call.content.kind, _file_of(call.content.text)
        upload = await read(self._folder / name, lambda: upload_of(self._folder, name, call.line, kind), call.deadline)
        uploads = f"{self._uploads}{quote(key, safe='')}&type={kind}"

        async def post(body: bytes, headers: Mapping[str, str], deadline: float) -> object:
            reply = await self._wire.request("POST", uploads, body=body, headers=headers, deadline=deadline)
            failure = _judge(reply, key, self._block)
            if failure:
                raise failure
            return _decode(reply.body).media_id

        async def send(media_id: str, deadline: float) -> None:
            await self._post(kind, {"media_id": media_id}, key, deadline)

        await self._media.sent(upload, FILE_BYTES, post, send, ends - loop.time())

    async def close(self) -> None:
        """Nothing to release: the wire belongs to the service."""


def _said(call: Call) -> Any:
    """What stands under the kind in the body of a text or a card."""
    kind, text = call.content.kind, call.content.text
    if kind in ROBOT:
        return msgspec.Raw(text.encode())
    names = called(call) if kind in WecomRobot.calls_by_name else Called()
    users = [*names.users, *(("@all",) if names.everybody else ())]
    lists = {"mentioned_list": users, "mentioned_mobile_list": list(names.mobiles)}
    return {"content": text} | {name: people for name, people in lists.items() if people}


def _file_of(text: str) -> str:
    """The file's name in a content of a kind that is a file."""
    name: str = msgspec.json.decode(text)["file"]
    return name


def _judge(reply: Reply, key: str, block: float) -> Failure | None:
    """What went wrong, or None. Other WeCom calls may leave errcode out when they worked; this one never does."""
    try:
        answer = _decode(reply.body)
    except UNREADABLE:
        return foreign(reply, block)
    if answer.errcode == 0:
        return None if reply.status == 200 else foreign(reply, block)
    if answer.errcode == _NO_FILE:
        return FileGone(Reason.REJECTED, detail(answer.errcode, answer.errmsg, key))
    meaning = _MEANING.get(answer.errcode, OTHER)
    if meaning.reason is Reason.THROTTLED:
        meaning = meaning._replace(after=block)
    if not meaning.retry and "max length" in str(answer.errmsg):
        meaning = TOO_LONG  # 40058 today; servers of 2019 said 93000 to it
    return meaning.failure(detail(answer.errcode, answer.errmsg, key))
