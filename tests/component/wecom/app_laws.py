"""What the channel of WeCom applications must do against the strict stand-in, as laws a channel keeps or breaks."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Content, Context, Recalls, Receipt
from andon.dev.wecom_app import Fault, WecomAppStandIn
from andon.testing.builders import call
from andon.testing.clock import ManualClock
from andon.testing.contract_channels import unnumbered
from andon.testing.rig import expect
from andon.testing.vault import MemoryVault
from andon.web.wire import HttpWire

CORP, SECRET, AGENT = "ww0123", "s3cret/+of-the-app", 1000002
MEMBERS = ("wang", "Li", "00123", "zhao")
CHATS = {"shift-3": ("wang", "Li"), "night": ("00123",)}
BUTTONS = {
    "card_type": "button_interaction",
    "main_title": {"title": "停机", "desc": "冲压机 7"},
    "button_list": [
        {"text": "接手", "style": 1, "key": "take"},
        {"text": "看板", "type": 1, "url": "https://mes.corp/1"},
    ],
}

ACTION = {"type": 1, "url": "https://mes.corp/1"}
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


class Stand:
    """The stand-in and what a process needs to write to it; `app()` is the channel in another process."""

    def __init__(
        self, channel_type: type[Any], vendor: WecomAppStandIn, wire: HttpWire, clock: ManualClock, folder: Path
    ) -> None:
        self._type = channel_type
        self.vendor = vendor
        self.wire = wire
        self.clock = clock
        self.folder = folder
        self._vault = MemoryVault()

    def config(self) -> Any:
        options = {"corp_id": "env:APP_CORP", "agent_id": AGENT, "secret": "env:APP_SECRET"}
        return self._type.Config.model_validate({**options, "base_url": self.vendor.url})

    def app(self) -> Any:
        context = Context("app", self.folder, self.clock, self.wire, None, self._vault)
        return self._type(self.config(), context)

    async def send(
        self, app: Any, *to: str, text: str = "停机", kind: str = "text", **changes: Any
    ) -> Sequence[Receipt] | Failure:
        try:
            receipts: Sequence[Receipt] = await app.send(call(text, kind, recipients=to, **changes))
        except Failure as failure:
            return failure
        return receipts

    async def card(self, app: Any, *to: str, **changes: Any) -> Sequence[Receipt] | Failure:
        """Sends a card with buttons."""
        return await self.send(app, *to, text=json.dumps(BUTTONS), kind="template_card", **changes)

    async def recall(self, reference: str) -> Failure | None:
        app = self.app()
        expect(isinstance(app, Recalls), "it can take back what it sent")
        try:
            await app.recall(reference, self.clock.now())
        except Failure as failure:
            return failure
        return None


Law = Callable[[Stand], Awaitable[None]]
LAWS: dict[str, Law] = {}


def law(function: Law) -> Law:
    LAWS[function.__name__] = function
    return function


@asynccontextmanager
async def stand(channel_type: type[Any], **more: Any) -> AsyncIterator[Stand]:
    clock, wire = ManualClock(), HttpWire()
    told = {"corp_id": CORP, "secret": SECRET, "agent": AGENT, "unlicensed": ["zhao"], "chats": CHATS, **more}
    members = told.pop("members", MEMBERS)
    with tempfile.TemporaryDirectory() as folder:
        async with WecomAppStandIn(members, now=clock.now, **told) as vendor:
            yield Stand(channel_type, vendor, wire, clock, Path(folder))
        await wire.close()


def run(name: str, channel_type: type[Any]) -> None:
    async def scene() -> None:
        async with asyncio.timeout(20), stand(channel_type) as one:
            await LAWS[name](one)

    asyncio.run(scene())


def reached(result: Sequence[Receipt] | Failure) -> list[str]:
    expect(not isinstance(result, Failure), f"it is taken: {result}")
    return [one.recipient for one in result if one.failed is None]  # type: ignore[union-attr]


@law
async def good_message_is_taken(one: Stand) -> None:
    for kind in ("text", "markdown"):
        expect(reached(await one.send(one.app(), "wang", "LI", kind=kind)) == ["wang", "LI"], "both are told")
    seen = [(each.member, each.msgtype, each.content) for each in one.vendor.seen]
    expect(seen == [(m, k, "停机") for k in ("text", "markdown") for m in ("wang", "Li")], f"both have seen it: {seen}")


@law
async def token_is_fetched_once_by_all_processes(one: Stand) -> None:
    apps = [one.app(), one.app()]
    await asyncio.gather(*(one.send(app, "wang") for app in apps for _ in range(5)))
    expect(one.vendor.counts.asked == 1, f"one token serves all, and {one.vendor.counts.asked} were asked for")
    expect(len(one.vendor.seen) == 10, "every call was made")


@law
async def stale_token_is_renewed_once(one: Stand) -> None:
    app = one.app()
    await one.send(app, "wang")
    one.clock.advance(600)
    one.vendor.corp.tokens.revoke()
    expect(reached(await one.send(app, "wang")) == ["wang"], "a token taken back early is renewed")
    expect(one.vendor.counts.asked == 2, "once")
    one.clock.advance(7_200)
    expect(reached(await one.send(app, "wang")) == ["wang"], "a token that has ended is renewed")
    one.clock.advance(600)
    one.vendor.fail(Fault("errcode", "send", code=42001))
    before = one.vendor.counts.faults
    for _ in range(3):
        expect(isinstance(await one.send(app, "wang"), Retryable), "it may be tried later")
    asked, called = one.vendor.counts.asked, one.vendor.counts.faults - before
    expect(asked <= 4 and called <= 6, f"a vendor that refuses every token is not asked in a loop: {asked}, {called}")


@law
async def wrong_secret_is_not_tried_again(one: Stand) -> None:
    one.vendor.corp.tokens.secret = "another"
    app = one.app()
    for _ in range(12):
        expect(isinstance(await one.send(app, "wang"), Rejected), "a wrong secret is Rejected")
    expect(one.vendor.counts.asked == 1, f"asked {one.vendor.counts.asked} times: the vendor bans the address")
    expect("45009" not in one.vendor.counts.refused, "no ban")


@law
async def invalid_members_are_not_told(one: Stand) -> None:
    result = await one.send(one.app(), "wang", "Nobody", "ZHAO", "party:9")
    expect(reached(result) == ["wang"], "who is named beside errcode 0 was not told")
    expect([each.member for each in one.vendor.seen] == ["wang"], "one has seen it")
    result = await one.send(one.app(), "Nobody")
    expect(reached(result) == [], "nobody was told")


@law
async def refusal_is_no_success(one: Stand) -> None:
    for code in (60020, 48002, 301002, 45009, -1):
        one.vendor.fail(Fault("errcode", "send", code=code, times=1))
        expect(isinstance(await one.send(one.app(), "wang"), Failure), f"errcode {code} is no success")


@law
async def nothing_is_cut(one: Stand) -> None:
    app, text = one.app(), "冲压机 7 停机。请检查！\n" * 200
    for part in app.split(Content("text", text)):
        await one.send(app, "wang", text=part.text)
    expect("".join(unnumbered([each.content for each in one.vendor.seen])) == text, "every byte was seen")
    await one.send(app, "wang", text="汉" * 700)
    expect(one.vendor.counts.cut == 0, "nothing is cut in silence")


@law
async def more_than_a_thousand_are_refused(one: Stand) -> None:
    result = await one.send(one.app(), *(f"u{n}" for n in range(1_000)), "wang")
    expect(isinstance(result, Rejected) and not one.vendor.seen, "1,001 are refused whole")
    expect(one.vendor.counts.asked + one.vendor.counts.accepted <= 1, "before the call")


@law
async def two_equal_notices_are_both_seen(one: Stand) -> None:
    for _ in range(2):
        await one.send(one.app(), "wang")
    expect(len(one.vendor.seen) == 2, "equal is not the same")


@law
async def name_with_a_separator_reaches_nobody_else(one: Stand) -> None:
    result = await one.send(one.app(), "wang|Li", "00123")
    expect(reached(result) == ["00123"], "a name that is none is not told")
    expect([each.member for each in one.vendor.seen] == ["00123"], "and nobody else is")
