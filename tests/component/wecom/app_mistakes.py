"""Channels of WeCom applications, each with one mistake that real projects made or that is easily made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from andon.core.failure import Retryable
from andon.core.ports import Call, Content, Receipt
from andon.core.reason import Reason
from andon.egress.channels import wecom_app_codes as codes
from andon.egress.channels import wecom_app_people as people
from andon.egress.channels.wecom_app import WecomApp
from andon.egress.channels.wecom_app_codes import Answer
from andon.egress.tokens import Tokens

_encode = msgspec.json.encode


class TokenForEveryCall(WecomApp):
    """Fetches a token and forgets it."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        config: Any = self._config
        self._tokens = Tokens("app", config.secret, self._granted, self._tokens._clock, None)
        return await super().send(call)


class TokenOfItsOwn(WecomApp):
    """Every process has its own: Alertmanager's cache is of one process, and has no lock."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, msgspec.structs.replace(context, vault=None))


class RefreshesForever(WecomApp):
    """Renews the token as long as the vendor refuses it."""

    async def _sent(self, body: bytes, deadline: float) -> Answer:
        for _ in range(50):
            granted = await self._granted(self._config.secret.reveal(), deadline)
            address = f"{self._config.base_url}/cgi-bin/message/send?access_token={quote(granted.token, safe='')}"
            answer = codes.read(await self._wire.request("POST", address, body=body, deadline=deadline))
            if answer.errcode not in codes.STALE:
                break
        if answer.errcode:
            raise Retryable(Reason.CREDENTIALS)
        return answer


class AsksAgainWithAWrongSecret(WecomApp):
    """Forgets that the secret was refused."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        self._tokens._kept = None
        vault: Any = self._tokens._vault
        vault.values.clear()
        return await super().send(call)


class InvalidUsersAreTold(WecomApp):
    """errcode 0 is success for all."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return [Receipt(one.recipient) for one in await super().send(call)]


class UseridsHaveCase(WecomApp):
    """Looks for the userids as it wrote them; the vendor answers in lower case."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        receipts = await super().send(call)
        return [one if one.recipient.islower() else Receipt(one.recipient) for one in receipts]


class AgentAsText(WecomApp):
    """The agent id as a string."""

    def _body(self, content: Content, to: people.Addressed) -> bytes:
        value = msgspec.json.decode(super()._body(content, to))
        return _encode({**value, "agentid": str(value["agentid"])})


class DuplicateCheck(WecomApp):
    """Takes the vendor's filter on content for an idempotency key."""

    def _body(self, content: Content, to: people.Addressed) -> bytes:
        return _encode({**msgspec.json.decode(super()._body(content, to)), "enable_duplicate_check": 1})


class LetsTheVendorCut(WecomApp):
    """Sends what it is given; the vendor keeps 2048 bytes of it."""

    def split(self, content: Content, /) -> Sequence[Content]:
        return (content,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        await self._sent(self._body(call.content, people.addressed(call.recipients)), call.deadline)
        return [Receipt(name) for name in call.recipients]


class FirstThousand(WecomApp):
    """Writes to the first thousand and says that all were told."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        some = call.recipients[-1_000:]
        await super().send(msgspec.structs.replace(call, recipients=some))
        return [Receipt(name) for name in call.recipients]


class ErrcodeIsNotRead(WecomApp):
    """HTTP 200 is success."""

    async def _posted(self, body: bytes, token: str, ends: float) -> Answer:
        answer = await super()._posted(body, token, ends)
        return Answer(0) if answer.errcode not in codes.STALE else answer


class JoinsAnything(WecomApp):
    """Puts whatever it is given between the vendor's separators."""

    def _body(self, content: Content, to: people.Addressed) -> bytes:
        return super()._body(content, to._replace(users=(*to.users, *to.wrong)))
