"""Through a real proxy: what it is asked for, and that nothing was sent where it opens no tunnel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self, TypeVar

import pytest

from andon.config.secrets import SecretMissing
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Proxy, Way
from andon.core.reason import Reason
from andon.testing.vendor import FakeVendor, answers
from andon.web.wire import HttpWire
from tests.rig.httpproxy import HttpProxy, Refusal
from tests.rig.ports import free_port
from tests.rig.serving import served
from tests.rig.tls import Authority
from tests.unit.web.rig import BODY, OK, PATH, SECRET, Names, assert_not_sent, failing, post, scenario, through

T = TypeVar("T")
NAME = "hook.test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Https:
    """A server over TLS that answers every request."""

    def __init__(self, authority: Authority, *names: str) -> None:
        self.heard: list[bytes] = []
        self._tls = authority.server(*(names or (NAME,)))

    async def __aenter__(self) -> Self:
        self._server = served(self._serve, self._tls)
        self.port = await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(BODY)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def tunnelled(
    authority: Authority,
    way: Callable[[int], Way],
    play: Callable[[HttpWire, Https], Awaitable[T]],
    proxy: HttpProxy | None = None,
) -> tuple[T, list[bytes], list[bytes]]:
    """What `play` returns, what the proxy was asked and what the server heard."""

    async def scene() -> tuple[T, list[bytes], list[bytes]]:
        async with Https(authority) as server, proxy or HttpProxy({f"{NAME}:443": server.port}) as between:
            wire = HttpWire(way(between.port))
            try:
                return await play(wire, server), between.asked, server.heard
            finally:
                await wire.close()

    return asyncio.run(scene())


def test_https_goes_through_one_kept_tunnel_by_name(authority: Authority) -> None:
    def way(port: int) -> Way:
        return Way(proxy=through(port, ("andon", SECRET)).proxy, ca=str(authority.ca))

    async def play(wire: HttpWire, _server: Https) -> list[int]:
        return [(await post(wire, f"https://{NAME}")).status for _ in range(2)]

    statuses, asked, heard = tunnelled(authority, way, play)
    assert statuses == [200, 200]
    assert [one.splitlines()[:2] for one in asked] == [[b"CONNECT hook.test:443 HTTP/1.1", b"Host: hook.test:443"]]
    assert b"Proxy-Authorization: Basic " in asked[0]
    assert SECRET.encode() not in asked[0]
    assert all(one.startswith(f"POST {PATH} HTTP/1.1\r\nHost: hook.test\r\n".encode()) for one in heard)
    assert not any(b"Proxy-" in one for one in heard)


def test_certificate_is_verified_within_the_tunnel(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another authority")
    for ca in (None, str(other.ca)):

        async def play(wire: HttpWire, _server: Https) -> Failure:
            return await failing(post(wire, f"https://{NAME}"))

        failure, _, heard = tunnelled(authority, lambda port, ca=ca: Way(through(port).proxy, ca=ca), play)  # type: ignore[misc]
        assert_not_sent(failure)
        assert "certificate" in failure.detail
        assert heard == []


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (403, "403"),
        (407, "407"),
        (502, "502"),
        (503, "503"),
        (301, "301"),
        ("close", "ConnectionAborted"),
        ("nonsense", "does not speak HTTP"),
        ("hang", "timeout"),
    ],
)
def test_tunnel_that_is_not_opened_is_not_sent(authority: Authority, refusal: Refusal, said: str) -> None:
    began = time.monotonic()

    async def play(wire: HttpWire, _server: Https) -> Failure:
        return await failing(post(wire, f"https://{NAME}", deadline=1.5))

    failure, asked, heard = tunnelled(authority, through, play, HttpProxy(refusal=refusal))
    assert_not_sent(failure)
    assert said in failure.detail
    assert (len(asked), heard) == (1, [])
    assert time.monotonic() - began < 5


def test_account_that_the_proxy_does_not_take_or_that_is_not_there_is_not_sent(authority: Authority) -> None:
    async def play(wire: HttpWire, _server: Https) -> Failure:
        return await failing(post(wire, f"https://{NAME}"))

    failure, _, _ = tunnelled(authority, through, play, HttpProxy(account=("andon", SECRET)))
    assert_not_sent(failure)
    assert "407" in failure.detail

    def missing() -> tuple[str, str]:
        raise SecretMissing("the environment variable PROXY_PASSWORD is not set")

    failure, asked, _ = tunnelled(authority, lambda port: Way(Proxy("127.0.0.1", port, missing)), play)
    assert_not_sent(failure)
    assert "PROXY_PASSWORD is not set" in failure.detail
    assert asked == []


def test_proxy_that_is_down_is_not_sent() -> None:
    failure = scenario(lambda wire: failing(post(wire, f"https://{NAME}")), way=through(free_port(), ("a", SECRET)))
    assert_not_sent(failure)


def test_strict_way_asks_the_proxy_for_the_address_it_checked(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, {NAME: [["8.8.4.4"], ["10.0.0.1"]]})

    async def scene() -> tuple[int, Failure, list[bytes], list[bytes]]:
        async with Https(authority) as server, HttpProxy({"8.8.4.4:443": server.port}) as proxy:
            wire = HttpWire(Way(through(proxy.port).proxy, allow=(), ca=str(authority.ca)))
            first = (await post(wire, f"https://{NAME}")).status
            await wire.close()
            second = await failing(post(HttpWire(wire.way), f"https://{NAME}"))
            return first, second, proxy.asked, server.heard

    status, failure, asked, heard = asyncio.run(scene())
    assert status == 200
    assert isinstance(failure, Rejected)
    assert "10.0.0.1" in failure.detail
    assert [one.split(b"\r\n")[0] for one in asked] == [b"CONNECT 8.8.4.4:443 HTTP/1.1"]
    assert b"\r\nHost: hook.test\r\n" in heard[0]
    assert names.asked == [NAME, NAME]


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[64:ff9b::a00:1]"])
def test_strict_way_sends_no_forbidden_number_to_the_proxy(authority: Authority, host: str) -> None:
    async def play(wire: HttpWire, _server: Https) -> Failure:
        return await failing(post(wire, f"https://{host}"))

    failure, asked, _ = tunnelled(authority, lambda port: Way(through(port).proxy, allow=()), play)
    assert isinstance(failure, Rejected)
    assert asked == []


def test_plain_http_goes_to_the_proxy_with_its_whole_address_unless_the_way_is_strict() -> None:
    async def scene() -> tuple[str, Failure, int]:
        async with FakeVendor(answers(200, OK)) as proxy:
            port = int(proxy.url.rpartition(":")[2])
            own = HttpWire(through(port))
            strict = HttpWire(Way(through(port).proxy, allow=()))
            await post(own, "http://robot.invalid")
            failure = await failing(post(strict, "http://robot.invalid"))
            await own.close()
            return proxy.heard[0].target, failure, len(proxy.heard)

    target, failure, heard = asyncio.run(scene())
    assert target == "http://robot.invalid" + PATH
    assert isinstance(failure, Rejected)
    assert "https" in failure.detail
    assert heard == 1


def test_plain_http_takes_no_forbidden_number_to_the_proxy() -> None:
    hosts = ("169.254.169.254", "[fe80::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]")

    async def scene() -> tuple[list[Failure], int, int]:
        async with FakeVendor(answers(200, OK)) as proxy:
            wire = HttpWire(through(int(proxy.url.rpartition(":")[2])))
            failures = [await failing(post(wire, f"http://{host}")) for host in hosts]
            forbidden = len(proxy.heard)
            await post(wire, "http://10.1.2.3")
            await wire.close()
            return failures, forbidden, len(proxy.heard)

    failures, forbidden, allowed = asyncio.run(scene())
    assert [type(failure) for failure in failures] == [Rejected] * len(hosts)
    assert all("not allowed here" in failure.detail for failure in failures)
    assert (forbidden, allowed) == (0, 1)


def test_a_proxy_that_wants_an_account_for_plain_http_is_not_the_receiver() -> None:
    async def scene() -> tuple[Failure, list[int]]:
        async with HttpProxy(account=("andon", SECRET)) as proxy, FakeVendor(answers(407)) as vendor:
            wire = HttpWire(through(proxy.port))
            failure = await failing(post(wire, "http://robot.invalid"))
            statuses = [(await post(wire, vendor.url)).status]  # reached directly: nobody else can have said it
            proxy.refusal = 502
            statuses.append((await post(wire, "http://robot.invalid")).status)
            await wire.close()
            return failure, statuses

    failure, statuses = asyncio.run(scene())
    assert_not_sent(failure)
    assert "the proxy said 407" in failure.detail
    assert statuses == [407, 502]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "LocalHost.", "127.0.0.2", "[::1]"])
def test_this_machine_is_reached_without_the_proxy_however_it_is_written(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, {host: [["127.0.0.1"]]})

    async def scene() -> list[bytes]:
        async with HttpProxy(refusal=502) as proxy:
            wire = HttpWire(through(proxy.port))
            for scheme in ("http", "https"):
                assert_not_sent(await failing(post(wire, f"{scheme}://{host}:{free_port()}")))
            await wire.close()
            return proxy.asked

    assert asyncio.run(scene()) == []


def test_this_machine_is_reached_without_the_proxy() -> None:
    async def scene() -> tuple[int, list[bytes]]:
        async with FakeVendor(answers(200, OK)) as vendor, HttpProxy(refusal=502) as proxy:
            wire = HttpWire(through(proxy.port))
            status = (await post(wire, vendor.url)).status
            await wire.close()
            return status, proxy.asked

    assert asyncio.run(scene()) == (200, [])


def test_a_socket_through_the_proxy_holds_every_byte_of_the_server() -> None:
    """A server that speaks first: what it says may come in one piece with the proxy's answer."""
    greeting = b"220 mail.test ESMTP\r\n"

    async def scene() -> bytes:
        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.0 200 OK\r\nVia: test\r\n\r\n" + greeting)
            await reader.read()

        async with served(proxy) as port:
            wire = HttpWire(through(port))
            with await wire.connect("mail.test", 25) as sock:
                said = await asyncio.get_running_loop().sock_recv(sock, 100)
            await wire.close()
            return said

    assert asyncio.run(scene()) == greeting


def test_a_refused_socket_is_not_sent() -> None:
    async def scene() -> Retryable:
        async with HttpProxy(refusal=403) as proxy:
            wire = HttpWire(through(proxy.port))
            with pytest.raises(Retryable) as caught:
                await wire.connect("mail.test", 25)
            await wire.close()
            return caught.value

    failure = asyncio.run(scene())
    assert (failure.reason, failure.ambiguous) == (Reason.NOT_SENT, False)
    assert "403" in failure.detail
