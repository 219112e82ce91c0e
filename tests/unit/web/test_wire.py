"""HttpWire against real sockets: what left, what may have left, and what no error tells."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from typing import Any

import pytest

from andon.core.failure import Failure, Rejected, Retryable
from andon.core.fence import fence
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.testing.vendor import Behaviour, FakeVendor, Heard, answers, drips, floods, hangs, resets, sends
from andon.web.connection import HEAD_CAP
from andon.web.wire import REPLY_CAP, HttpWire
from tests.rig.ports import free_port
from tests.unit.web.rig import (
    BODY,
    OK,
    PATH,
    SECRET,
    assert_ambiguous,
    assert_not_sent,
    failing,
    failure_of,
    post,
    scenario,
)


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


def test_waiting_for_a_free_connection_is_not_sent() -> None:
    async def play(wire: HttpWire) -> tuple[Failure, int]:
        async with FakeVendor(hangs()) as vendor:
            first = asyncio.ensure_future(failing(post(wire, vendor.url, deadline=2.5)))
            await asyncio.wait_for(vendor.called.wait(), 2.4)
            second = await failing(post(wire, vendor.url, deadline=0.2))
            assert_ambiguous(await first, Reason.TIMEOUT)
            return second, len(vendor.heard)

    second, heard = scenario(play, in_flight=1)
    assert_not_sent(second)
    assert heard == 1


# After it


def test_what_stood_still_while_it_connected_does_not_send_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(wire: HttpWire) -> tuple[Retryable, int, Reply]:
        connect = wire._pool.connected

        async def frozen(address: Any) -> Any:
            connection = await connect(address)
            time.sleep(0.3)  # noqa: ASYNC251 - as in a process that is stopped, nothing else runs
            return connection

        async with FakeVendor(answers(200, OK)) as vendor:
            with monkeypatch.context() as patched:
                patched.setattr(wire._pool, "connected", frozen)
                with pytest.raises(Retryable) as caught:
                    await post(wire, vendor.url, deadline=0.2)
            heard = len(vendor.heard)
            return caught.value, heard, await post(wire, vendor.url)

    failure, heard, reply = scenario(play)
    assert (failure.reason, failure.ambiguous, heard, reply.status) == (Reason.NOT_SENT, False, 0, 200)


def test_nothing_is_written_behind_the_fence_of_the_call_not_even_over_a_connection_that_was_kept() -> None:
    async def play(wire: HttpWire) -> tuple[Failure, int, int, Reply]:
        async with FakeVendor(answers(200, OK)) as vendor:
            await post(wire, vendor.url)

            async def woken() -> Failure:
                fence(asyncio.get_running_loop().time())
                return await failing(post(wire, vendor.url))

            failure = await asyncio.create_task(woken())
            heard = len(vendor.heard)
            reply = await post(wire, vendor.url)
            return failure, heard, vendor.connections, reply

    failure, heard, connections, reply = scenario(play)
    assert (failure.reason, heard, connections, reply.status) == (Reason.NOT_SENT, 1, 1, 200)


def test_silent_server_is_ambiguous_and_the_deadline_is_kept() -> None:
    started = time.monotonic()
    assert_ambiguous(failure_of(hangs(), deadline=1.0), Reason.TIMEOUT)
    assert 0.98 <= time.monotonic() - started < 8.0


def test_server_that_never_reads_is_ambiguous() -> None:
    async def play(wire: HttpWire) -> Failure:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            return await failing(
                post(wire, f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=1.0, body=b"x" * 1_000_000)
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
    assert_ambiguous(failure_of(drips(OK, 0.1), deadline=1.0), Reason.TIMEOUT)


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


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "deflate", "br", "zstd", "compress", "identity, gzip"])
def test_every_way_of_compressing_is_known(coding: str) -> None:
    assert "compressed" in failure_of(answers(200, b"x", {"Content-Encoding": coding})).detail


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "UTF-8"])
def test_answer_that_only_names_a_coding_is_read(coding: str) -> None:
    """Systems that take Content-Encoding for the charset answered well, and were asked again as ambiguous."""

    async def play(wire: HttpWire) -> Reply:
        async with FakeVendor(answers(200, b"{}", {"Content-Encoding": coding})) as vendor:
            return await post(wire, vendor.url)

    assert scenario(play).body == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\n{}", id="lines that end in LF alone"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nContent-Length: 2\r\n\r\n{}", id="a folded header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            id="a length beside chunks",
        ),
    ],
)
def test_answer_of_an_old_server_is_read(answer: bytes) -> None:
    """As browsers and curl read it: such a system had taken a notice, and was asked again as ambiguous."""

    async def play(wire: HttpWire) -> Reply:
        async with FakeVendor(sends(answer)) as vendor:
            return await post(wire, vendor.url)

    reply = scenario(play)
    assert (reply.status, reply.body) == (200, b"{}")


def test_endless_head_is_capped() -> None:
    assert_ambiguous(failure_of(sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000)), Reason.BAD_REPLY)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(CHUNKED + b"0\r\n" + b"X-A: b\r\n" * 40_000, id="trailer of many lines"),
        pytest.param(CHUNKED + b"0\r\nX-A: " + b"b" * 300_000, id="trailer of one line"),
        pytest.param(CHUNKED + b"1;" + b"b" * 300_000, id="word of a chunk"),
        pytest.param(b"HTTP/1.1 103 Wait\r\n\r\n" * 15_000, id="interim answers"),
    ],
)
def test_endless_answer_that_brings_no_body_is_capped(endless: bytes) -> None:
    failure = failure_of(sends(endless), deadline=2.0)
    assert_ambiguous(failure, Reason.BAD_REPLY)
    assert str(HEAD_CAP) in failure.detail


def test_body_in_many_small_chunks_is_read_however_much_stands_around_them() -> None:
    async def trickles(_heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            for piece in (b"1;" + b"b" * (HEAD_CAP // 2), b"\r\n{", b"\r\n"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")

    async def play(wire: HttpWire) -> bytes:
        async with FakeVendor(trickles) as vendor:
            return (await post(wire, vendor.url)).body

    assert scenario(play) == b"{" * 5


def test_change_of_protocol_is_no_answer() -> None:
    head = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert_ambiguous(failure_of(sends(head)), Reason.BAD_REPLY)


def test_answer_as_long_as_the_cap_is_read() -> None:
    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, b"x" * REPLY_CAP)) as vendor:
            return len((await post(wire, vendor.url)).body)

    assert scenario(play) == REPLY_CAP


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


@pytest.mark.parametrize(
    "base", ["ftp://host", "nonsense", "http://", "http://host:port", "http://127.1", "http://::1"]
)
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


@pytest.mark.parametrize("value", [f"{SECRET}\r", f"Bearer {SECRET}密码", f"{SECRET}\0"])
def test_header_that_cannot_be_sent_is_named_without_its_value(value: str) -> None:
    """A secret of an environment file with CR LF was refused by "UnicodeEncodeError", or as "a header that is none"."""
    failure = scenario(lambda wire: failing(wire.request("POST", "http://127.0.0.1:9/", headers={"X-Token": value})))
    assert isinstance(failure, Rejected)
    assert "the header X-Token" in failure.detail


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
        failure_of(hangs(), deadline=1.0)
    assert SECRET not in caplog.text


def test_close_twice() -> None:
    scenario(lambda wire: wire.close())
