"""The address connected to is the address checked: names that lead astray, redirects, the environment."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Way
from andon.testing.vendor import FakeVendor, answers
from andon.web.wire import HttpWire
from tests.rig.ports import free_port
from tests.rig.serving import Serve, served
from tests.unit.web.rig import OK, Names, assert_not_sent, failing, post, scenario

T = TypeVar("T")
STRICT = Way(allow=())
FIRST, SECOND = "127.0.0.1", "127.0.0.2"


class Vendors:
    """Two vendors on one port of two addresses of this machine: which of them was reached tells the address."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heard: list[str] = []
        self._both = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for host in (FIRST, SECOND):
            await self._both.enter_async_context(served(self._serve(host), host=host, port=self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._both.aclose()

    def _serve(self, host: str) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heard.append(host)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

        return serve


def with_vendors(way: Way, play: Callable[[HttpWire, Vendors], Awaitable[T]]) -> tuple[T, list[str]]:
    async def scene(wire: HttpWire) -> tuple[T, list[str]]:
        async with Vendors() as vendors:
            return await play(wire, vendors), vendors.heard

    return scenario(scene, way=way)


def test_each_connection_goes_to_the_address_that_was_checked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, {"hook.test": [[FIRST], [SECOND]]})

    async def play(wire: HttpWire, vendors: Vendors) -> list[str]:
        await post(wire, f"http://hook.test:{vendors.port}")
        first = list(vendors.heard)
        failure = await failing(post(wire, f"http://hook.test:{vendors.port}"))
        assert isinstance(failure, Rejected)
        assert SECOND in failure.detail
        return first

    first, heard = with_vendors(Way(allow=(f"{FIRST}/32",)), play)
    assert first == heard == [FIRST], "the second answer of the name server led to an address that is not allowed"
    assert names.asked == ["hook.test", "hook.test"], "and each connection asked once"


@pytest.mark.parametrize("addresses", [[FIRST, SECOND], [SECOND, FIRST]])
def test_one_address_that_is_not_allowed_forbids_the_name(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {"hook.test": [addresses]})

    async def play(wire: HttpWire, vendors: Vendors) -> Failure:
        return await failing(post(wire, f"http://hook.test:{vendors.port}"))

    failure, heard = with_vendors(Way(allow=(FIRST,)), play)
    assert isinstance(failure, Rejected)
    assert heard == []


def test_the_next_address_is_tried_when_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"hook.test": [["127.0.0.3", SECOND]]})

    async def play(wire: HttpWire, vendors: Vendors) -> int:
        return (await post(wire, f"http://hook.test:{vendors.port}")).status

    assert with_vendors(Way(allow=("127.0.0.0/8",)), play) == (200, [SECOND])


class Attempts:
    """Every socket that was to be connected, by its host; those of `dead` hosts hear nothing until `answer` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *dead: str) -> None:
        self.sockets: dict[str, socket.socket] = {}
        self.begun = asyncio.Semaphore(0)
        self.answer = asyncio.Event()
        self._dead = dead
        self._loop = asyncio.get_running_loop()
        self._real = self._loop.sock_connect
        self._tasks: set[asyncio.Task[object] | None] = set()
        monkeypatch.setattr(self._loop, "sock_connect", self._connect)

    async def _connect(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.sockets[address[0]] = sock
        self._tasks.add(asyncio.current_task())
        self.begun.release()
        if address[0] in self._dead:
            await self.answer.wait()
        await self._real(sock, address)

    async def left(self) -> tuple[list[str], int]:
        """The hosts whose sockets are still open, and how many tasks of attempts have not ended."""
        for _ in range(3):
            await asyncio.sleep(0)
        open_ = [host for host, sock in self.sockets.items() if sock.fileno() != -1]
        return open_, len(self._tasks & asyncio.all_tasks())


def test_an_address_that_hears_nothing_does_not_take_the_time_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"hook.test": [["127.0.0.3", "127.0.0.4", SECOND]]})

    async def play(wire: HttpWire, vendors: Vendors) -> tuple[list[str], int]:
        attempts = Attempts(monkeypatch, "127.0.0.3", "127.0.0.4")
        with await wire.connect("hook.test", vendors.port, deadline=4) as sock:
            assert sock.getpeername()[0] == SECOND
            assert list(attempts.sockets) == ["127.0.0.3", "127.0.0.4", SECOND]
            return await attempts.left()

    assert with_vendors(Way(), play)[0] == ([SECOND], 0)


def test_of_two_addresses_that_answer_at_once_one_connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"hook.test": [[FIRST, SECOND]]})

    async def play(wire: HttpWire, vendors: Vendors) -> tuple[bool, int, int]:
        attempts = Attempts(monkeypatch, FIRST, SECOND)
        connecting = asyncio.create_task(wire.connect("hook.test", vendors.port))
        async with asyncio.timeout(4):
            for _ in (FIRST, SECOND):
                await attempts.begun.acquire()
        attempts.answer.set()
        with await connecting as sock:
            open_, tasks = await attempts.left()
            return [sock.getpeername()[0]] == open_, len(open_), tasks

    assert with_vendors(Way(), play)[0] == (True, 1, 0)


def test_who_gives_up_while_it_connects_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"hook.test": [[FIRST, SECOND]]})

    async def play(wire: HttpWire, vendors: Vendors) -> tuple[int, tuple[list[str], int]]:
        attempts = Attempts(monkeypatch, FIRST, SECOND)
        assert_not_sent(await failing(post(wire, f"http://hook.test:{vendors.port}", deadline=0.6)))
        return len(attempts.sockets), await attempts.left()

    assert with_vendors(Way(), play) == ((2, ([], 0)), [])


@pytest.mark.parametrize(
    "address",
    [
        FIRST,
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
    ],
)
def test_strict_way_leads_to_public_addresses_only(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"hook.test": [[address]]})
    connected: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _self, place: connected.append(place))
    host = f"[{address}]" if ":" in address else address
    for base in ("https://hook.test", f"https://{host}"):
        failure = scenario(lambda wire, base=base: failing(post(wire, base)), way=STRICT)  # type: ignore[misc]
        assert isinstance(failure, Rejected)
        assert "not allowed here" in failure.detail
    assert connected == []


def test_host_written_down_is_reached_on_this_machine_and_metadata_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"robot.corp.cn": [[FIRST]], "meta.corp.cn": [["169.254.169.254"]]})

    async def play(wire: HttpWire, vendors: Vendors) -> int:
        for host in ("169.254.169.254", "[fd00:ec2::254]"):
            assert isinstance(await failing(post(wire, f"http://{host}:{vendors.port}")), Rejected)
        astray = await failing(post(wire, f"http://meta.corp.cn:{vendors.port}"))
        assert_not_sent(astray)  # a name server that is ill today must not park what is for tomorrow
        assert "a metadata service's address (169.254.169.254)" in astray.detail
        return (await post(wire, f"http://robot.corp.cn:{vendors.port}")).status

    assert with_vendors(Way(), play) == (200, [FIRST])


def test_host_header_and_name_stay_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"robot.corp.cn": [[FIRST]]})

    async def play(wire: HttpWire) -> str:
        async with FakeVendor(answers(200, OK)) as vendor:
            port = vendor.url.rpartition(":")[2]
            await post(wire, f"http://robot.corp.cn:{port}")
            return vendor.heard[0].headers["host"].replace(port, "PORT")

    assert scenario(play) == "robot.corp.cn:PORT"


def test_deadline_covers_the_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: answer.wait(20) and [])

    async def play(wire: HttpWire) -> tuple[Failure, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await failing(post(wire, "https://never.test", deadline=0.2)), loop.time() - began

    try:
        failure, took = scenario(play)
    finally:
        answer.set()
    assert_not_sent(failure)
    assert 0.15 < took < 8


def test_a_socket_for_another_protocol_is_checked_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, {"mail.test": [[FIRST]], "meta.test": [["169.254.169.254"]]})

    async def play(wire: HttpWire, vendors: Vendors) -> tuple[object, str]:
        with await wire.connect("mail.test", vendors.port) as sock:
            peer = sock.getpeername()[0]
        with pytest.raises(Retryable, match="metadata"):
            await wire.connect("meta.test", vendors.port)
        for host in ("169.254.169.254", "127.1", "2130706433", "no host"):
            with pytest.raises(Rejected):
                await wire.connect(host, vendors.port)
        with pytest.raises(Retryable) as caught:
            await wire.connect(FIRST, free_port(), deadline=1)
        assert_not_sent(caught.value)
        return peer, str(sock.fileno())

    assert with_vendors(Way(), play)[0] == (FIRST, "-1")


def test_a_wire_apart_has_connections_of_its_own() -> None:
    async def play(wire: HttpWire) -> tuple[int, Failure]:
        async with FakeVendor(answers(200, OK)) as vendor:
            await post(wire, vendor.url)
            apart = wire.apart(STRICT)
            failure = await failing(post(apart, vendor.url))  # what the other wire keeps open is not taken
            await apart.close()
            return (await post(wire, vendor.url)).status, failure

    status, failure = scenario(play)
    assert status == 200
    assert isinstance(failure, Rejected)
