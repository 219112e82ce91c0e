"""A second channel, known to these tests alone, and channels that break the contract as real projects did."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from msgspec.structs import replace

from andon.config.secrets import SecretRef
from andon.config.section import Section
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.policy import Limit
from andon.core.ports import Call, Content, Context, Receipt, Reply
from andon.core.reason import Reason
from andon.core.specimen import BASE, REFERENCE, ChannelSpecimen
from andon.core.text import split_bytes
from andon.egress.channels.webhook import Webhook
from andon.egress.channels.wecom_app import WecomApp
from andon.egress.channels.wecom_robot import WecomRobot

BYTES = 8192


class Hook:
    """A web hook that answers {"ok": true}."""

    class Config(Section):
        url: str
        token: SecretRef

        def limit_domain(self) -> str:
            return f"hook:{urlsplit(self.url).netloc}"

        def limits(self) -> tuple[Limit, ...]:
            return (Limit(100, 60.0),)

        def lines(self) -> int:
            return 1

    specimen: ClassVar = ChannelSpecimen(
        options={"url": f"{BASE}/hook", "token": REFERENCE},
        kinds={"text": BYTES},
        accepted=b'{"ok":true}',
        refused=(b'{"ok":false,"error":"no_such_room"}',),
        throttled=(b'{"ok":false,"error":"slow_down"}',),
        recipients=0,
    )

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._wire = context.wire

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        self._check(content)
        parts = split_bytes(content.text, BYTES - len(tail.encode()))
        return [Content(content.kind, part + tail) for part in parts]

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        self._check(call.content)
        self.judge(await self.post(call))
        return [Receipt(recipient) for recipient in call.recipients]

    async def close(self) -> None:
        pass

    async def post(self, call: Call) -> Reply:
        body = json.dumps(self.said(call)).encode()
        return await self._wire.request("POST", self.address(), body=body, deadline=call.deadline)

    def said(self, call: Call) -> dict[str, Any]:
        return {"text": call.content.text}

    def address(self) -> str:
        return f"{self._config.url}?token={quote(self._config.token.reveal(), safe='')}"

    def judge(self, reply: Reply) -> None:
        try:
            value = json.loads(reply.body)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("ok"), bool):
            raise Retryable(Reason.BAD_REPLY, f"HTTP {reply.status}", ambiguous=not 300 <= reply.status < 500)
        if value["ok"] and reply.status != 200:
            raise Retryable(Reason.BAD_REPLY, f"HTTP {reply.status}", ambiguous=True)
        if not value["ok"]:
            self.refuse(str(value.get("error")))

    def refuse(self, error: str) -> None:
        if error.startswith("slow_down"):
            raise Retryable(Reason.THROTTLED, after=60)
        raise Rejected(Reason.REJECTED, error.replace(self._config.token.reveal(), "***"))

    def _check(self, content: Content) -> None:
        if content.kind != "text":
            raise Rejected(Reason.REJECTED, content.kind)


class Post(Hook):
    """The same, of a system that sends to those it is told of, and answers 201."""

    specimen: ClassVar = replace(Hook.specimen, recipients=1_000, status=201)

    def said(self, call: Call) -> dict[str, Any]:
        return {"text": call.content.text, "to": list(call.recipients)}

    def judge(self, reply: Reply) -> None:
        super().judge(replace(reply, status=200) if reply.status == 201 else reply)


class Lines(Hook):
    """The same, of a system that answers in words."""

    specimen: ClassVar = replace(
        Hook.specimen, accepted=b"OK 1", refused=(b"ERR no such room",), throttled=(b"LATER slow down",)
    )

    def judge(self, reply: Reply) -> None:
        word, _, rest = reply.body.decode(errors="replace").partition(" ")
        if reply.status != 200 or word not in ("OK", "ERR", "LATER"):
            raise Retryable(Reason.BAD_REPLY, f"HTTP {reply.status}", ambiguous=not 300 <= reply.status < 500)
        if word != "OK":
            self.refuse("slow_down" if word == "LATER" else rest)


class Lists(Hook):
    """The same, of a system that answers with a list, and says in its depth what went wrong."""

    specimen: ClassVar = replace(
        Hook.specimen,
        accepted=b'[{"ok":true}]',
        refused=(b'[{"ok":false,"error":{"of":["no_such_room"]}}]',),
        throttled=(b'[{"ok":false,"error":{"of":["slow_down"]}}]',),
    )

    def judge(self, reply: Reply) -> None:
        try:
            (value,) = json.loads(reply.body)
            error = "" if value["ok"] is True else value["error"]["of"][0]
        except (ValueError, TypeError, KeyError):
            raise Retryable(Reason.BAD_REPLY, "odd", ambiguous=not 300 <= reply.status < 500) from None
        if error:
            self.refuse(error)
        if reply.status != 200:
            raise Retryable(Reason.BAD_REPLY, f"HTTP {reply.status}", ambiguous=True)


class BodyDecides(Webhook):
    """The webhook to a system that answers 200 and says in the body what became of it."""

    specimen: ClassVar = replace(
        Webhook.specimen,
        options={**Webhook.specimen.options, "accept": {"body": {"path": "$.code", "equals": 0, "later": [429]}}},
        accepted=b'{"code":0,"msg":"ok"}',
        refused=(b'{"code":500,"msg":"no such room"}', b'{"code":"0","msg":"x"}', b'{"code":false,"msg":"x"}'),
        throttled=(b'{"code":429,"msg":"slow down"}',),
        by_status=False,
    )


class HttpStatusIsSuccess(Hook):
    """Apprise, dingtalk.py, feishu.py, wecombot.py: HTTP 200 is success, the body is never read."""

    def judge(self, reply: Reply) -> None:
        if reply.status != 200:
            raise Retryable(Reason.SERVER_ERROR, ambiguous=True)


class ThrottleIsFinal(Hook):
    """Alertmanager, wechat.go: any errcode but 42001 is final, so a vendor's throttle is never retried."""

    def refuse(self, error: str) -> None:
        raise Rejected(Reason.REJECTED, "errcode")


class LogsTheBody(Hook):
    """Alertmanager, wechat.go: the debug log shows the body."""

    def judge(self, reply: Reply) -> None:
        logging.getLogger("hook").debug("body %s", reply.body.decode(errors="replace"))
        super().judge(reply)


class CutsText(Hook):
    """n9e: text is cut at 4096 bytes."""

    async def post(self, call: Call) -> Reply:
        body = json.dumps({"text": call.content.text.encode()[:4096].decode(errors="ignore")}).encode()
        return await self._wire.request("POST", self.address(), body=body, deadline=call.deadline)


class SplitsInsideCharacters(Hook):
    """Cuts bytes and drops what is left of a character."""

    def split(self, content: Content, /) -> Sequence[Content]:  # type: ignore[override]  # what it does wrong, too
        data = content.text.encode()
        blocks = [data[start : start + BYTES - 1] for start in range(0, len(data) or 1, BYTES - 1)]
        return [Content(content.kind, block.decode(errors="ignore")) for block in blocks]


class TailOnTheLastOnly(Hook):
    """Puts what every part is to end with behind the whole."""

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        return super().split(Content(content.kind, content.text + tail))


class NumbersAndLoses(Hook):
    """Numbers its parts, and trims the blanks between them."""

    def split(self, content: Content, /) -> Sequence[Content]:  # type: ignore[override]  # what it does wrong, too
        parts = split_bytes(content.text, BYTES - 16)
        if len(parts) == 1:
            return [content]
        return [
            Content(content.kind, f"({number}/{len(parts)})\n{part.strip()}") for number, part in enumerate(parts, 1)
        ]


class RepairsByLeavingOut(Hook):
    """Leaves out of a part what it does not know how to close."""

    def split(self, content: Content, /) -> Sequence[Content]:  # type: ignore[override]  # what it does wrong, too
        parts = [re.sub(r"`[^`]*$", "", part) for part in split_bytes(content.text, BYTES)]
        return [Content(content.kind, part) for part in parts]


class MarkdownSentAsText(WecomRobot):
    """Apprise, wecombot.py: a markdown body is sent with msgtype text."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        plain = Content("text", call.content.text)
        return await super().send(Call(call.delivery, call.receiver, call.recipients, plain, call.line, call.deadline))


class SwallowsExceptions(Hook):
    """Quix, on_processing_error -> True: a failure is swallowed and the work counts as done."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Failure:
            return [Receipt(recipient) for recipient in call.recipients]


class RecallIsNotRead(WecomApp):
    """Takes any answer to a recall for a yes."""

    async def recall(self, reference: str, sent: float, /, *, deadline: float = 15.0) -> None:
        try:
            await super().recall(reference, sent, deadline=deadline)
        except Failure:
            return


class TooFewReceipts(Hook):
    """Vector, finalization.rs: what has no status of its own counts as delivered."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return list(await super().send(call))[:1]


class LeaksTheSecret(Hook):
    """Puts the address, with its token, into the exception."""

    def judge(self, reply: Reply) -> None:
        if reply.status == 500:
            raise Retryable(Reason.SERVER_ERROR, f"POST {self.address()} said {reply.status}", ambiguous=True)
        super().judge(reply)


class FollowsRedirects(Hook):
    """Follows a redirect, as most clients do by default."""

    async def post(self, call: Call) -> Reply:
        reply = await super().post(call)
        if "location" in reply.headers:
            return await self._wire.request("GET", reply.headers["location"], deadline=call.deadline)
        return reply


class IgnoresTheDeadline(Hook):
    """Waits as long as its client's default."""

    async def post(self, call: Call) -> Reply:
        return await self._wire.request("POST", self.address(), body=b'{"text":""}', deadline=60)


class RetriesByItself(Hook):
    """Tries again without asking the limiter or writing an intent."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        try:
            return await super().send(call)
        except Retryable:
            return await super().send(call)


class RaisesWhatItMeets(Hook):
    """Expects the vendor's JSON and lets every other exception out."""

    def judge(self, reply: Reply) -> None:
        if not json.loads(reply.body)["ok"]:
            self.refuse(json.loads(reply.body)["error"])


class SilenceIsSuccess(Hook):
    """Takes a missing field for a good one."""

    def judge(self, reply: Reply) -> None:
        if json.loads(reply.body or b"{}").get("ok", True) is False:
            self.refuse("x")


class EveryFailureIsSafe(Hook):
    """Says of a lost answer that nothing happened."""

    async def post(self, call: Call) -> Reply:
        try:
            return await super().post(call)
        except Retryable as error:
            raise Retryable(error.reason) from None


class SwallowsCancellation(Hook):
    """Takes a cancellation for a failure of the vendor."""

    async def post(self, call: Call) -> Reply:
        try:
            return await super().post(call)
        except asyncio.CancelledError:
            raise Retryable(Reason.INTERRUPTED) from None


class ReadsWithoutEnd(Hook):
    """Brings a client of its own, without a cap."""

    async def post(self, call: Call) -> Reply:
        parts = urlsplit(self.address())
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(f"POST {parts.path}?{parts.query} HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while left:
                left -= len(await reader.read(1 << 20))
        finally:
            writer.transport.abort()
        return Reply(500, b"", {})


class SharesState(Hook):
    """Keeps the call it works on in itself."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        self.current: Any = call
        self.judge(await self.post(call))
        return [Receipt(recipient) for recipient in self.current.recipients]


class TakesAnyKey(Hook):
    """Lets a typing error in the configuration pass."""

    class Config(Hook.Config):
        model_config: ClassVar = {"extra": "ignore"}


class TellsNobody(Post):
    """Leaves out whom it is for; the vendor takes it and sends it to none."""

    def said(self, call: Call) -> dict[str, Any]:
        return {"text": call.content.text, "to": []}


class TellsTheFirst(Post):
    """Tells the vendor of as many as its tests had."""

    def said(self, call: Call) -> dict[str, Any]:
        return {"text": call.content.text, "to": list(call.recipients[:100])}


class Blocks(Hook):
    """Asks with a client that blocks."""

    async def post(self, call: Call) -> Reply:
        time.sleep(0.06)  # noqa: ASYNC251 - what it does wrong
        return await super().post(call)


class KnowsItsKindsOnly(Hook):
    """Takes for granted that a kind is one of its own."""

    def split(self, content: Content, tail: str = "", /) -> Sequence[Content]:
        room = {"text": BYTES}[content.kind] - len(tail.encode())
        return [Content(content.kind, part + tail) for part in split_bytes(content.text, room)]


class RefusalIsAThrottle(Hook):
    """Tries again what the vendor will never take."""

    def refuse(self, error: str) -> None:
        raise Retryable(Reason.THROTTLED, after=60)


class QuotesWords(Lines):
    """Shows the vendor's words as they are."""

    def refuse(self, error: str) -> None:
        if error.startswith("slow_down"):
            raise Retryable(Reason.THROTTLED, after=60)
        raise Rejected(Reason.REJECTED, error)


class QuotesDepths(Lists):
    """Shows what the vendor says in the depth of its answer."""

    def refuse(self, error: str) -> None:
        if error.startswith("slow_down"):
            raise Retryable(Reason.THROTTLED, after=60)
        raise Rejected(Reason.REJECTED, error)
