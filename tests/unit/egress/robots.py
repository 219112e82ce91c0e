"""A wire for the tests of robots: it gives one answer and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from andon.core.ports import Reply
from andon.web.nowire import NoWire


class Asked(NamedTuple):
    method: str
    url: str
    body: bytes
    deadline: float

    @property
    def said(self) -> Any:
        return json.loads(self.body)


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
