"""Name servers that do not answer: what they hold up, and what they do not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from andon.core.failure import Failure
from andon.core.ports import Way
from andon.testing.vendor import FakeVendor, answers
from andon.web.lookup import Lookups
from andon.web.wire import HttpWire
from tests.unit.web.rig import OK, assert_not_sent, failing, post, scenario

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


class Slow:
    """Name servers that answer for no name beginning with `slow` until `answer` is set; others of `.test` are on this
    machine. Whatever else this process looks up, as a thread of an earlier test may, is not theirs."""

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self.asked: list[str] = []
        self.answer = threading.Event()

    def look_up(self, host: str, port: int, *arguments: Any, **options: Any) -> Any:
        if not host.endswith(".test"):
            return self._real(host, port, *arguments, **options)
        self.asked.append(host)
        if host.startswith("slow"):
            self.answer.wait(20)
        return [(*one[:4], ("127.0.0.1", port)) for one in FOUND]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow()
    monkeypatch.setattr(socket, "getaddrinfo", slow.look_up)
    yield slow
    slow.answer.set()


def test_slow_names_hold_up_no_other_and_no_end_of_the_process(servers: Slow) -> None:
    async def play(wire: HttpWire) -> tuple[list[Failure], int, int]:
        async with FakeVendor(answers(200, OK)) as vendor:
            port = vendor.url.rpartition(":")[2]
            slow = [f"http://slow-{number % 40}.test:{port}" for number in range(60)]
            failed = await asyncio.gather(*(failing(post(wire, base, deadline=0.3)) for base in slow))
            beside = await asyncio.wait_for(asyncio.to_thread(lambda: 7), 2)  # the vault and uploads need them
            return failed, beside, (await post(wire, f"http://quick.test:{port}", deadline=2)).status

    began = time.monotonic()
    failed, beside, status = scenario(play)
    assert time.monotonic() - began < 10, "nobody waits for what hangs"
    assert (beside, status) == (7, 200)
    for failure in failed:
        assert_not_sent(failure)
    assert sorted(servers.asked) == sorted(["quick.test", *(f"slow-{number}.test" for number in range(40))])


def test_who_gives_up_leaves_the_answer_to_the_others(servers: Slow) -> None:
    async def play(wire: HttpWire) -> tuple[int, list[str]]:
        async with FakeVendor(answers(200, OK)) as vendor:
            base = f"http://slow-shared.test:{vendor.url.rpartition(':')[2]}"
            patient = asyncio.ensure_future(post(wire, base, deadline=4))
            assert_not_sent(await failing(post(wire, base, deadline=0.2)))
            servers.answer.set()
            first = (await patient).status, list(servers.asked)
            apart = wire.apart(Way())
            await post(apart, base)
            await apart.close()
            return first

    assert scenario(play) == (200, ["slow-shared.test"])
    assert servers.asked == ["slow-shared.test"] * 2, "an answer is kept for nobody who comes later"


def test_no_more_than_so_many_are_asked_at_one_time(servers: Slow) -> None:
    async def scene() -> tuple[list[str], int]:
        lookups = Lookups(2)
        waiting = [asyncio.ensure_future(lookups.addresses(f"slow-{name}.test", 1)) for name in "abc"]
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert not done
        asked = list(servers.asked)
        servers.answer.set()
        return asked, len(await asyncio.gather(*waiting))

    asked, found = asyncio.run(scene())
    assert (sorted(asked), found) == (["slow-a.test", "slow-b.test"], 3)
    assert len(servers.asked) == 3


def test_what_a_name_server_says_no_to_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = [socket.gaierror(socket.EAI_AGAIN, "not now"), FOUND]
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "again.test":
            return real(host, *arguments, **options)
        answer = said.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def scene() -> Any:
        lookups = Lookups()
        with pytest.raises(socket.gaierror):
            await lookups.addresses("again.test", 1)
        return await lookups.addresses("again.test", 1)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert asyncio.run(scene()) == [(socket.AF_INET, ("127.0.0.1", 0))]
