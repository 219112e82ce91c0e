"""A wire for the tests of robots: it gives one answer and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from andon.core.failure import Failure
from andon.core.ports import Call, Channel, Reply
from andon.testing.builders import call
from andon.web.nowire import NoWire


class Asked(NamedTuple):
    method: str
    url: str
    body: bytes
    deadline: float

    @property
    def said(self) -> Any:
        return json.loads(self.body)


Robot = Callable[["Recorder"], Channel]


def sent(robot: Robot, one: Call, ok: bytes) -> Asked:
    """What a robot asks of a vendor that takes it."""
    wire = Recorder(body=ok)
    asyncio.run(robot(wire).send(one))
    return wire.asked[0]


def failed(robot: Robot, body: bytes | dict[str, Any], status: int) -> Failure:
    """What a robot makes of an answer."""
    with pytest.raises(Failure) as caught:
        asyncio.run(robot(Recorder(status, body)).send(call()))
    return caught.value


class Recorder(NoWire):
    def __init__(self, status: int = 200, body: bytes | dict[str, Any] = b"{}", **headers: str) -> None:
        self.reply = Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
        self.asked: list[Asked] = []

    async def request(
        self,
        method: str,
        url: str,
        /,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline: float = 15,
    ) -> Reply:
        assert headers == {"Content-Type": "application/json"}
        self.asked.append(Asked(method, url, body, deadline))
        return self.reply
