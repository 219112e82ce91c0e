"""HttpWire against real sockets: what left, what may have left, and what no error tells."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.testing.vendor import Behaviour, FakeVendor, Heard, answers, drips, floods, hangs, resets, sends
from andon.web.wire import REPLY_CAP, HttpWire

T = TypeVar("T")
SECRET = "key-3f9a-hidden"
PATH = f"/cgi-bin/webhook/send?key={SECRET}"
BODY = b'{"msgtype":"text","text":{"content":"hello"}}'
OK = b'{"errcode":0,"errmsg":"ok"}'


def post(wire: HttpWire, base: str, *, deadline: float = 5.0, body: bytes = BODY) -> Awaitable[Reply]:
    return wire.request("POST", base + PATH, body=body, headers={"Content-Type": "application/json"}, deadline=deadline)


def scenario(play: Callable[[HttpWire], Awaitable[T]], *, proxy: str | None = None, in_flight: int = 64) -> T:
    async def scene() -> T:
        wire = HttpWire(proxy=proxy, in_flight=in_flight)
        try:
            return await play(wire)
        finally:
            await wire.close()

    return asyncio.run(scene())


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_request_and_reply_pass_through_unchanged() -> None:
    async def play(wire: HttpWire) -> tuple[Reply, Heard]:
        async with FakeVendor(answers(207, OK, {"X-Robot": "A"})) as vendor:
            return await post(wire, vendor.url), vendor.heard[0]

    reply, heard = scenario(play)
    assert (reply.status, reply.body, reply.headers["x-robot"]) == (207, OK, "A")
    assert (heard.method, heard.target, heard.body) == ("POST", PATH, BODY)
    assert heard.headers["content-type"] == "application/json"
    assert "cookie" not in heard.headers


def test_percent_encoding_of_the_address_is_kept() -> None:
    async def play(wire: HttpWire) -> str:
        async with FakeVendor(answers(200, OK)) as vendor:
            await wire.request("GET", f"{vendor.url}/a%2Fb?key=a%2Bb%26c&sign=x%3D")
            return vendor.heard[0].target

    assert scenario(play) == "/a%2Fb?key=a%2Bb%26c&sign=x%3D"


# Before the first byte


def test_refused_connection_is_not_sent() -> None:
    failure = scenario(lambda wire: failing(post(wire, f"http://127.0.0.1:{free_port()}")))
    assert_not_sent(failure)
    assert "Connect" in failure.detail or "refused" in failure.detail


def test_unknown_name_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failure = scenario(lambda wire: failing(post(wire, "https://robot.invalid")))
    assert_not_sent(failure)
    assert "robot.invalid" in failure.detail


def test_server_that_speaks_no_tls_is_not_sent() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.corp.cn ESMTP\r\n")
        writer.close()

    async def play(wire: HttpWire) -> Failure:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            return await failing(post(wire, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))

    assert_not_sent(scenario(play))


openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl program to make a certificate")


@pytest.fixture
def secure(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for `localhost`, and the certificate who trusts it must know."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server of connections, each ended with it at the latest; its port."""
    open_: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_)


def https(context: ssl.SSLContext, heard: list[bytes]) -> contextlib.AbstractAsyncContextManager[int]:
    """A server that answers every request over TLS; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(BODY)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    return served(serve, context)


def tunnel(asked: list[bytes]) -> contextlib.AbstractAsyncContextManager[int]:
    """A proxy that opens every tunnel it is asked for; its port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        there, out = await asyncio.open_connection("127.0.0.1", int(asked[-1].split()[1].rpartition(b":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.wait(
                [asyncio.ensure_future(pump(reader, out)), asyncio.ensure_future(pump(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            out.transport.abort()

    return served(serve)


@openssl
def test_untrusted_certificate_is_not_sent(secure: tuple[ssl.SSLContext, Path]) -> None:
    heard: list[bytes] = []

    async def scene() -> tuple[Failure, Failure]:
        async with https(secure[0], heard) as port, tunnel([]) as proxy:
            found = []
            for wire in (HttpWire(), HttpWire(proxy=f"http://user:{SECRET}@127.0.0.1:{proxy}")):
                found.append(await failing(post(wire, f"https://localhost:{port}")))
                await wire.close()
            return found[0], found[1]

    for failure in asyncio.run(scene()):
        assert_not_sent(failure)
        assert "certificate" in failure.detail
    assert heard == []


@openssl
def test_trusted_server_is_reached_directly_and_through_a_proxy(
    secure: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(secure[1])
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    heard: list[bytes] = []
    asked: list[bytes] = []

    async def scene() -> list[int]:
        async with https(secure[0], heard) as port, tunnel(asked) as proxy:
            found = []
            for wire in (HttpWire(), HttpWire(proxy=f"http://user:{SECRET}@127.0.0.1:{proxy}")):
                found += [(await post(wire, f"https://localhost:{port}")).status for _ in range(2)]
                await wire.close()
            return found

    assert asyncio.run(scene()) == [200] * 4
    assert len(asked) == 1, "a tunnel is used again"
    assert b"Proxy-Authorization: Basic " in asked[0]
    assert all(one.startswith(f"POST {PATH} HTTP/1.1\r\n".encode()) and b"Proxy-" not in one for one in heard)


def test_waiting_for_a_free_connection_is_not_sent() -> None:
    async def play(wire: HttpWire) -> tuple[Failure, int]:
        async with FakeVendor(hangs()) as vendor:
            first = asyncio.ensure_future(failing(post(wire, vendor.url, deadline=1.0)))
            await asyncio.wait_for(vendor.called.wait(), 0.9)
            second = await failing(post(wire, vendor.url, deadline=0.2))
            assert_ambiguous(await first, Reason.TIMEOUT)
            return second, len(vendor.heard)

    second, heard = scenario(play, in_flight=1)
    assert_not_sent(second)
    assert heard == 1


# After it


def test_silent_server_is_ambiguous_and_the_deadline_is_kept() -> None:
    started = time.monotonic()
    assert_ambiguous(failure_of(hangs(), deadline=0.3), Reason.TIMEOUT)
    assert 0.28 <= time.monotonic() - started < 2.0


def test_server_that_never_reads_is_ambiguous() -> None:
    async def play(wire: HttpWire) -> Failure:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            return await failing(
                post(wire, f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=0.3, body=b"x" * 1_000_000)
            )

    assert_ambiguous(scenario(play), Reason.TIMEOUT)


def test_reset_after_the_body_is_ambiguous() -> None:
    assert_ambiguous(failure_of(resets()), Reason.CONNECTION)


def test_close_without_an_answer_is_ambiguous() -> None:
    assert_ambiguous(failure_of(sends(b"", close=True)), Reason.CONNECTION)


def test_close_inside_the_answer_is_ambiguous() -> None:
    cut = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"errcode":0'
    assert_ambiguous(failure_of(sends(cut, close=True)), Reason.CONNECTION)


def test_answer_slower_than_the_deadline_is_ambiguous() -> None:
    assert_ambiguous(failure_of(drips(OK, 0.05), deadline=0.3), Reason.TIMEOUT)


def test_answer_that_is_not_http_is_ambiguous() -> None:
    assert_ambiguous(failure_of(sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", close=True)), Reason.BAD_REPLY)


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(floods(50 << 20), id="announced"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (4 << 20), close=True), id="until closed"),
    ],
)
def test_huge_answer_is_capped(behave: Behaviour) -> None:
    failure = failure_of(behave)
    assert_ambiguous(failure, Reason.BAD_REPLY)
    assert str(REPLY_CAP) in failure.detail


def test_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * (50 << 20))
    failure = failure_of(answers(200, bomb, {"Content-Encoding": "gzip"}))
    assert_ambiguous(failure, Reason.BAD_REPLY)
    assert "compressed" in failure.detail


def test_endless_head_is_capped() -> None:
    assert_ambiguous(failure_of(sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000)), Reason.BAD_REPLY)


def test_change_of_protocol_is_no_answer() -> None:
    head = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert_ambiguous(failure_of(sends(head)), Reason.BAD_REPLY)


def test_answer_as_long_as_the_cap_is_read() -> None:
    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, b"x" * REPLY_CAP)) as vendor:
            return len((await post(wire, vendor.url)).body)

    assert scenario(play) == REPLY_CAP


# Kept-alive connections


def test_connection_is_used_again() -> None:
    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, OK)) as vendor:
            for _ in range(3):
                await post(wire, vendor.url)
            return vendor.connections

    assert scenario(play) == 1


def test_connection_closed_while_idle_is_not_used_again() -> None:
    async def play(wire: HttpWire) -> tuple[int, int]:
        async with FakeVendor(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", close=True)) as vendor:
            await post(wire, vendor.url)
            await asyncio.sleep(0.05)
            await post(wire, vendor.url)
            return len(vendor.heard), vendor.connections

    assert scenario(play) == (2, 2)


def test_reset_of_a_reused_connection_is_ambiguous_and_never_repeated() -> None:
    async def play(wire: HttpWire) -> tuple[Failure, int]:
        async with FakeVendor(answers(200, OK)) as vendor:
            await post(wire, vendor.url)
            vendor.behave = resets()
            failure = await failing(post(wire, vendor.url))
            await asyncio.sleep(0.05)
            return failure, len(vendor.heard)

    failure, heard = scenario(play)
    assert_ambiguous(failure, Reason.CONNECTION)
    assert heard == 2


@pytest.mark.parametrize(
    "behind",
    [b"HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n0", b"0", b"HTTP/1.1 500 X\r\n"],
    ids=["whole", "byte", "part"],
)
def test_what_stands_behind_an_answer_reaches_no_other_request(behind: bytes) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    async def play(wire: HttpWire) -> tuple[Reply, Reply, int]:
        async with FakeVendor(sends(whole + behind)) as vendor:
            return await post(wire, vendor.url), await post(wire, vendor.url), vendor.connections

    first, second, connections = scenario(play)
    assert (first.status, first.body, second.status, connections) == (200, b"{}", 200, 2)


def test_bytes_nobody_asked_for_end_a_kept_connection() -> None:
    async def chatty(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await answers(200, OK)(heard, writer)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n0")

    async def play(wire: HttpWire) -> tuple[int, int]:
        async with FakeVendor(chatty) as vendor:
            await post(wire, vendor.url)
            await asyncio.sleep(0.2)
            vendor.behave = answers(201, OK)
            return (await post(wire, vendor.url)).status, vendor.connections

    assert scenario(play) == (201, 2)


def test_interim_answers_are_passed_over() -> None:
    async def play(wire: HttpWire) -> Reply:
        interim = b"HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n"
        async with FakeVendor(sends(interim + b"HTTP/1.1 200 OK\r\nX-B: b\r\nContent-Length: 2\r\n\r\n{}")) as vendor:
            return await post(wire, vendor.url)

    assert scenario(play) == Reply(200, b"{}", {"x-b": "b", "content-length": "2"})


def test_answers_in_chunks_and_until_the_end_of_the_connection_are_read() -> None:
    async def play(wire: HttpWire) -> tuple[Reply, Reply]:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
        async with (
            FakeVendor(sends(chunked)) as one,
            FakeVendor(sends(b"HTTP/1.1 200 OK\r\n\r\n{}", close=True)) as two,
        ):
            return await post(wire, one.url), await post(wire, two.url)

    first, second = scenario(play)
    assert first.body == second.body == b"{}"


def test_a_free_place_goes_to_who_waits() -> None:
    async def play(wire: HttpWire) -> tuple[list[int], int]:
        async with FakeVendor(drips(OK, 0.002)) as vendor:
            replies = await asyncio.gather(*(post(wire, vendor.url) for _ in range(6)))
            return [reply.status for reply in replies], vendor.connections

    assert scenario(play, in_flight=2) == ([200] * 6, 2)


# What the wire does not do


def test_redirect_is_returned_and_not_followed() -> None:
    async def play(wire: HttpWire) -> tuple[Reply, int]:
        async with FakeVendor(answers(200, OK)) as other, FakeVendor(answers(302, b"", {"Location": other.url})) as one:
            return await post(wire, one.url), len(other.heard)

    reply, followed = scenario(play)
    assert (reply.status, followed) == (302, 0)


def test_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, OK)) as vendor:
            return (await post(wire, vendor.url)).status

    assert scenario(play) == 200


def test_cookies_are_not_kept() -> None:
    async def play(wire: HttpWire) -> list[str]:
        async with FakeVendor(answers(200, OK, {"Set-Cookie": "a=b"})) as vendor:
            await post(wire, vendor.url)
            await post(wire, vendor.url)
            return [heard.headers.get("cookie", "") for heard in vendor.heard]

    assert scenario(play) == ["", ""]


def test_explicit_proxy_is_used() -> None:
    async def scene() -> str:
        async with FakeVendor(answers(200, OK)) as proxy:
            wire = HttpWire(proxy=proxy.url)
            await post(wire, "http://robot.invalid")
            await wire.close()
            return proxy.heard[0].target

    assert asyncio.run(scene()) == "http://robot.invalid" + PATH


def test_proxy_that_is_down_or_refuses_is_not_sent() -> None:
    async def scene() -> tuple[Failure, Failure]:
        down = HttpWire(proxy=f"http://user:{SECRET}@127.0.0.1:{free_port()}")
        first = await failing(post(down, "http://robot.invalid"))
        await down.close()
        async with FakeVendor(answers(407, b"")) as proxy:
            refusing = HttpWire(proxy=proxy.url)
            second = await failing(post(refusing, "https://robot.invalid"))
            await refusing.close()
        return first, second

    first, second = asyncio.run(scene())
    assert_not_sent(first)
    assert_not_sent(second)
    assert "407" in second.detail


@pytest.mark.parametrize("base", ["ftp://host", "nonsense", "http://", "http://host:port"])
def test_address_that_is_none_is_rejected(base: str) -> None:
    assert isinstance(scenario(lambda wire: failing(post(wire, base))), Rejected)


def test_header_with_a_line_break_is_rejected() -> None:
    async def play(wire: HttpWire) -> tuple[Failure, int]:
        async with FakeVendor(answers(200, OK)) as vendor:
            failure = await failing(wire.request("POST", vendor.url, body=b"x", headers={"X-A": f"1\r\nX-B: {SECRET}"}))
            return failure, len(vendor.heard)

    failure, heard = scenario(play)
    assert isinstance(failure, Rejected)
    assert heard == 0


def test_cancellation_closes_the_connection() -> None:
    async def play(wire: HttpWire) -> None:
        async with FakeVendor(hangs()) as vendor:
            request = asyncio.ensure_future(post(wire, vendor.url))
            await asyncio.wait_for(vendor.called.wait(), 5)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await asyncio.wait_for(vendor.gone.wait(), 5)

    scenario(play)


def test_logs_hold_no_address(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        failure_of(resets())
        failure_of(hangs(), deadline=0.1)
    assert SECRET not in caplog.text


def test_close_twice() -> None:
    scenario(lambda wire: wire.close())
