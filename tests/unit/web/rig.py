"""A wire at work against a vendor, and what its failures may and may not say."""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from andon.core.failure import Failure, Retryable
from andon.core.ports import Proxy, Reply, Way
from andon.core.reason import Reason
from andon.testing.vendor import Behaviour, FakeVendor
from andon.web.wire import HttpWire

T = TypeVar("T")
SECRET = "key-3f9a-hidden"
PATH = f"/cgi-bin/webhook/send?key={SECRET}"
BODY = b'{"msgtype":"text","text":{"content":"hello"}}'
OK = b'{"errcode":0,"errmsg":"ok"}'


def post(wire: HttpWire, base: str, *, deadline: float = 5.0, body: bytes = BODY) -> Awaitable[Reply]:
    return wire.request("POST", base + PATH, body=body, headers={"Content-Type": "application/json"}, deadline=deadline)


def scenario(play: Callable[[HttpWire], Awaitable[T]], *, way: Way | None = None, in_flight: int = 64) -> T:
    async def scene() -> T:
        wire = HttpWire(way or Way(), in_flight=in_flight)
        try:
            return await play(wire)
        finally:
            await wire.close()

    return asyncio.run(scene())


def through(port: int, account: tuple[str, str] | None = None) -> Way:
    """The way through a proxy on loopback."""
    return Way(proxy=Proxy("127.0.0.1", port, (lambda: account) if account else None))


class Names:
    """Name servers of a test: `given` maps a name to its addresses, one after the other for each time it is asked.
    Numbers are themselves; any other name is not known."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, given: dict[str, list[list[str]]]) -> None:
        self.asked: list[str] = []
        self._given = given
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in self._given:
            options["flags"] = socket.AI_NUMERICHOST
            return self._real(host, port, *arguments[:3], **options)
        self.asked.append(host)
        answers = self._given[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [one for address in addresses for one in self._real(address, port, type=socket.SOCK_STREAM)]


def failure_of(behave: Behaviour, *, deadline: float = 5.0, body: bytes = BODY) -> Failure:
    async def play(wire: HttpWire) -> Failure:
        async with FakeVendor(behave) as vendor:
            return await failing(post(wire, vendor.url, deadline=deadline, body=body))

    return scenario(play)


async def failing(request: Awaitable[Reply]) -> Failure:
    """The failure of a request; its traceback and texts show neither the secret nor the path."""
    with pytest.raises(Failure) as caught:
        await request
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value)
    assert SECRET not in shown
    assert "webhook" not in shown
    return caught.value


def assert_ambiguous(failure: Failure, reason: Reason) -> None:
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (reason, True)


def assert_not_sent(failure: Failure) -> None:
    assert isinstance(failure, Retryable)
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
