"""Connections that are used again, and answers that come in odd ways."""

from __future__ import annotations

import asyncio

import pytest

from andon.core.failure import Failure
from andon.core.ports import Reply
from andon.core.reason import Reason
from andon.testing.vendor import FakeVendor, Heard, answers, drips, resets, sends
from andon.web import pool
from andon.web.connection import Connection
from andon.web.wire import HttpWire
from tests.unit.web.rig import (
    OK,
    assert_ambiguous,
    failing,
    post,
    scenario,
)


def test_connection_is_used_again() -> None:
    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, OK)) as vendor:
            for _ in range(3):
                await post(wire, vendor.url)
            return vendor.connections

    assert scenario(play) == 1


def test_connection_that_was_idle_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had become idle just after another one was given for nearly twice the time: longer than servers keep it."""
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.4)

    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, OK)) as other, FakeVendor(answers(200, OK)) as vendor:
            await post(wire, other.url)  # the sweep goes by this one
            await asyncio.sleep(0.2)
            await post(wire, vendor.url)
            await asyncio.sleep(0.5)
            await post(wire, vendor.url)
            return vendor.connections

    assert scenario(play) == 2


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


@pytest.mark.parametrize(
    "behind",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n", b""],
    ids=["twice", "idle", "end"],
)
def test_what_came_since_the_last_answer_and_was_not_read_yet_is_no_answer_to_the_next_request(behind: bytes) -> None:
    kept: list[asyncio.StreamWriter] = []

    async def answers_and_stays(heard: Heard, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)
        await answers(200, OK)(heard, writer)

    async def play(wire: HttpWire) -> tuple[int, int, int]:
        async with FakeVendor(answers_and_stays) as vendor:
            await post(wire, vendor.url)
            vendor.behave = answers(201, OK)
            kept[0].write(behind) if behind else kept[0].write_eof()  # at once, and from here on the loop gets no turn
            status = (await post(wire, vendor.url)).status
            return status, vendor.connections, len(vendor.heard)

    assert scenario(play) == (201, 2, 2)


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


def test_what_comes_behind_a_chunked_body_is_no_header() -> None:
    async def play(wire: HttpWire) -> tuple[Reply, int]:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: head\r\n\r\n"
        trailer = b"X-A: trailer\r\nContent-Encoding: br\r\n\r\n"
        async with FakeVendor(sends(head + b"2\r\n{}\r\n0\r\n" + trailer)) as vendor:
            await post(wire, vendor.url)
            return await post(wire, vendor.url), vendor.connections

    reply, connections = scenario(play)
    assert (reply.body, reply.headers) == (b"{}", {"transfer-encoding": "chunked", "x-a": "head"})
    assert connections == 1


def test_a_free_place_goes_to_who_waits() -> None:
    async def play(wire: HttpWire) -> tuple[list[int], int]:
        async with FakeVendor(drips(OK, 0.002)) as vendor:
            replies = await asyncio.gather(*(post(wire, vendor.url) for _ in range(6)))
            return [reply.status for reply in replies], vendor.connections

    assert scenario(play, in_flight=2) == ([200] * 6, 2)


def test_a_place_comes_back_whatever_goes_wrong_with_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_connection: Connection, _request: bytes) -> None:
        raise RuntimeError

    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers(200, OK)) as vendor:
            with monkeypatch.context() as patched:
                patched.setattr(Connection, "ask", wrong)
                for _ in range(3):
                    with pytest.raises(RuntimeError):
                        await post(wire, vendor.url)
            return (await post(wire, vendor.url, deadline=1)).status

    assert scenario(play, in_flight=1) == 200


@pytest.mark.parametrize("closed_before", [False, True], ids=["said_by_the_server", "wire_closed_meanwhile"])
def test_a_connection_that_serves_no_more_is_closed_and_not_left_to_the_server(closed_before: bool) -> None:
    answer = answers(200, OK, {} if closed_before else {"Connection": "close"})

    async def answers_and_stays(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await answer(heard, writer)
        await asyncio.Event().wait()

    async def play(wire: HttpWire) -> int:
        async with FakeVendor(answers_and_stays) as vendor, asyncio.timeout(10):
            request = asyncio.ensure_future(post(wire, vendor.url))
            await vendor.called.wait()
            if closed_before:
                await wire.close()
            status = (await request).status
            await vendor.gone.wait()
            return status

    assert scenario(play) == 200
