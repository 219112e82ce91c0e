"""Channels of WeCom applications, each with one mistake that real projects made or that is easily made."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from andon.core.failure import Failure, Retryable
from andon.core.ports import Call, ChannelConfig, Content, Receipt
from andon.core.reason import Reason
from andon.egress.channels import wecom_app_bodies as bodies
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
        account = self._account
        account.tokens = Tokens("app", config.secret, account.granted, self._clock, None)
        return await super().send(call)


class TokenOfItsOwn(WecomApp):
    """Every process has its own: Alertmanager's cache is of one process, and has no lock."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, msgspec.structs.replace(context, vault=None))


class RefreshesForever(WecomApp):
    """Renews the token as long as the vendor refuses it."""

    async def _sent(self, path: str, body: bytes, deadline: float) -> Answer:
        for _ in range(50):
            granted = await self._account.granted(self._config.secret.reveal(), deadline)
            address = f"{self._config.base_url}{path}?access_token={quote(granted.token, safe='')}"
            reply = await self._account._wire.request("POST", address, body=body, deadline=deadline)
            answer = codes.read(reply, Answer, 60.0)
            if answer.errcode not in codes.STALE:
                break
        if answer.errcode:
            raise Retryable(Reason.CREDENTIALS)
        return answer


class AsksAgainWithAWrongSecret(WecomApp):
    """Forgets that the secret was refused."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        self._account.tokens._kept = None
        vault: Any = self._account.tokens._vault
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

    def _body(self, kind: str, part: Any, to: people.Addressed) -> bytes:
        value = msgspec.json.decode(super()._body(kind, part, to))
        return _encode({**value, "agentid": str(value["agentid"])})


class DuplicateCheck(WecomApp):
    """Takes the vendor's filter on content for an idempotency key."""

    def _body(self, kind: str, part: Any, to: people.Addressed) -> bytes:
        return _encode({**msgspec.json.decode(super()._body(kind, part, to)), "enable_duplicate_check": 1})


class LetsTheVendorCut(WecomApp):
    """Sends what it is given; the vendor keeps 2048 bytes of it."""

    def split(self, content: Content, _tail: str = "", /) -> Sequence[Content]:
        return (content,)

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        part = {"content": call.content.text}
        await self._posted(call.content.kind, part, people.addressed(call.recipients), call.deadline)
        return [Receipt(name) for name in call.recipients]


class FirstThousand(WecomApp):
    """Writes to the first thousand and says that all were told."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        some = call.recipients[-1_000:]
        await super().send(msgspec.structs.replace(call, recipients=some))
        return [Receipt(name) for name in call.recipients]


class ErrcodeIsNotRead(WecomApp):
    """HTTP 200 is success."""

    async def _sent(self, path: str, body: bytes, deadline: float) -> Answer:
        try:
            return await super()._sent(path, body, deadline)
        except Failure:
            return Answer(0)


class JoinsAnything(WecomApp):
    """Puts whatever it is given between the vendor's separators."""

    def _body(self, kind: str, part: Any, to: people.Addressed) -> bytes:
        return super()._body(kind, part, to._replace(users=(*to.users, *to.wrong)))


class TaskOfTheDelivery(WecomApp):
    """Gives all calls of a delivery one task id: the vendor takes no id twice."""

    async def _told(self, call: Call, to: people.Addressed) -> Answer:
        return await super()._told(msgspec.structs.replace(call, recipients=(), part=0), to)


class TaskOfItsOwn(WecomApp):
    """Makes up a new task id for every attempt: the answers to a card and to its repeat are answers to two."""

    tasks = itertools.count()

    async def _told(self, call: Call, to: people.Addressed) -> Answer:
        return await super()._told(msgspec.structs.replace(call, redrive=next(self.tasks)), to)


class NoTask(WecomApp):
    """Sends a card with buttons as the template has it."""

    async def _posted(self, kind: str, part: Any, to: people.Addressed, deadline: float) -> Answer:
        part = {name: one for name, one in part.items() if name != "task_id"} if isinstance(part, dict) else part
        return await super()._posted(kind, part, to, deadline)


class ConfidentialCards(WecomApp):
    """Says of every kind whether it is confidential."""

    def _body(self, kind: str, part: Any, to: people.Addressed) -> bytes:
        return _encode({**msgspec.json.decode(super()._body(kind, part, to)), "safe": 0})


class ForgetsTheCode(WecomApp):
    """Keeps the message's id and not the code by which its card is updated."""

    async def _sent(self, path: str, body: bytes, deadline: float) -> Answer:
        answer = await super()._sent(path, body, deadline)
        answer.response_code = ""
        return answer


class UploadsEachTime(WecomApp):
    """Uploads a file for every notice."""

    async def _told(self, call: Call, to: people.Addressed) -> Answer:
        self._media._ids.clear()
        return await super()._told(call, to)


class KeepsWhatIsGone(WecomApp):
    """Sends the id of a file that the vendor no longer has, again and again."""

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._media.forget = lambda _upload: None  # type: ignore[assignment]  # the mistake


class FirstChatIsAll(WecomApp):
    """Writes to the first chat and says that all were told."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        return [Receipt(one.recipient, failed=None if one.later else one.failed) for one in await super().send(call)]


class ChatsAreUsers(WecomApp):
    """Takes the id of a chat for a userid."""

    async def send(self, call: Call, /) -> Sequence[Receipt]:
        names = tuple(name.removeprefix(people.CHAT) for name in call.recipients)
        receipts = await super().send(msgspec.structs.replace(call, recipients=names))
        return [
            msgspec.structs.replace(one, recipient=name) for one, name in zip(receipts, call.recipients, strict=True)
        ]


class OneGoneChatStopsAll(WecomApp):
    """Raises for a chat that is gone: the others never hear of it."""

    async def _sent(self, path: str, body: bytes, deadline: float) -> Answer:
        answer = await super()._sent(path, body, deadline)
        if answer.errcode in codes.NO_CHAT:
            raise codes.failure(answer, (), 60.0)
        return answer


class ChatsCountAsMembers(WecomApp):
    """Counts what is said in chats as what is said to members."""

    class Config(WecomApp.Config):
        def toward(self, to: Sequence[str], /) -> ChannelConfig:
            return self


class RecallsTheWholeReference(WecomApp):
    """Asks for both words of the reference."""

    async def recall(self, reference: str, sent: float, /, *, deadline: float = 15.0) -> None:
        body = bodies.recall(reference)
        await self._account.call("/cgi-bin/message/recall", body, codes.Said, deadline, other=codes.TOO_OLD)


class RecallIsNotRead(WecomApp):
    """Takes any answer to a recall for a yes."""

    async def recall(self, reference: str, sent: float, /, *, deadline: float = 15.0) -> None:
        try:
            await super().recall(reference, sent, deadline=deadline)
        except Failure:
            return


class UpdatesOneAsText(WecomApp):
    """Joins the recipients of an update, as a message has them."""

    async def update_card(
        self, response_code: str, /, *, to: Sequence[str] = (), button: str = "", card: str = "", deadline: float = 15.0
    ) -> Sequence[str]:
        value = msgspec.json.decode(bodies.update(self._config.agent_id, response_code, to, button, card))
        body = _encode({**value, "userids": "|".join(to)})
        path = "/cgi-bin/message/update_template_card"
        await self._account.call(path, body, codes.Updated, deadline, other=codes.USED)
        return ()
