"""The robots of DingTalk and Feishu, over real HTTP, each against its stand-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from andon.core.ports import Channel
from andon.dev.dingtalk import DingtalkStandIn
from andon.dev.feishu import FeishuStandIn
from andon.dev.robot import RobotStandIn
from andon.egress.channels.dingtalk_robot import DingtalkRobot
from andon.egress.channels.feishu_robot import FeishuRobot
from andon.testing.builders import call, context
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire

T = TypeVar("T")
ACCOUNT, SECRET = "robot-1", "SEC/a+b="
ENVIRONMENT = {"ROBOT": ACCOUNT, "ROBOT_SECRET": SECRET, "ROBOT_X": "unknown", "ROBOT_Y": "wrong"}
KINDS = ("dingtalk", "feishu")


class Place:
    """A stand-in, a clock both sides share, and the channel of that vendor."""

    def __init__(self, kind: str, wire: HttpWire, clock: ManualClock, **options: Any) -> None:
        self.kind = kind
        self.wire = wire
        self.clock = clock
        accounts = {ACCOUNT: SECRET, "open": ""}
        self.standin: RobotStandIn = (
            DingtalkStandIn(accounts, now=clock.now, **options)
            if kind == "dingtalk"
            else FeishuStandIn(accounts, now=clock.now, **options)
        )

    def channel(
        self, account: str = "ROBOT", secret: str = "ROBOT_SECRET", clock: ManualClock | None = None
    ) -> Channel:
        place = context(self.wire, clock=clock or self.clock)
        url = self.standin.url
        if self.kind == "dingtalk":
            robots: Any = [{"token": f"env:{account}", "secret": f"env:{secret}"}]
            return DingtalkRobot(DingtalkRobot.Config.model_validate({"robots": robots, "base_url": url}), place)
        robots = [{"hook": f"env:{account}", "secret": f"env:{secret}"}]
        return FeishuRobot(FeishuRobot.Config.model_validate({"robots": robots, "base_url": url}), place)

    @property
    def address(self) -> str:
        """Of the robot without a signature."""
        way = "/robot/send?access_token=open" if self.kind == "dingtalk" else "/open-apis/bot/v2/hook/open"
        return self.standin.url + way

    async def ask(self, body: Any) -> int:
        """The vendor's code for a body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await self.wire.request("POST", self.address, body=data)
        assert reply.status == 200
        answer = json.loads(reply.body)
        code: int = answer["errcode" if self.kind == "dingtalk" else "code"]
        return code


def scene(kind: str, play: Callable[[Place], Awaitable[T]], **options: Any) -> T:
    async def whole() -> T:
        wire = HttpWire()
        place = Place(kind, wire, ManualClock(), **options)
        try:
            async with place.standin:
                return await play(place)
        finally:
            await wire.close()

    return asyncio.run(whole())


SEEN: dict[str, list[tuple[str, str, tuple[str, ...] | None]]] = {
    "dingtalk": [
        ("text", "停机\n\n@13800001111 @zhang", ("13800001111", "zhang", "all")),
        ("markdown", "## 停机\n正文", ()),
        ("text", "一次", ()),
    ],
    "feishu": [
        ("text", '停机\n<at user_id="13800001111"></at> <at user_id="zhang"></at> <at user_id="all"></at>', None),
        ("interactive", "## 停机\n正文", ()),
        ("text", "一次", ()),
    ],
}


async def exercise(place: Place) -> None:
    """One notice of each kind, and one that is repeated; fails unless people saw what they should."""
    channel = place.channel()
    await channel.send(call("停机", recipients=("zhang", "13800001111", "all")))
    await channel.send(call("## 停机\n正文", "markdown", delivery=UUID(int=2)))
    for _ in range(2 if place.kind == "dingtalk" else 1):
        await channel.send(call("一次", delivery=UUID(int=3)))
    seen = [(one.msgtype, one.content, one.called) for one in place.standin.seen]
    for (msgtype, content, people), (expected, text, called) in zip(seen, SEEN[place.kind], strict=True):
        assert (msgtype, content) == (expected, text), (msgtype, content)
        assert called is None or people == called
