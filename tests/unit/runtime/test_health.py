"""The port for machines answers three questions, and anything else without falling over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from andon.runtime.health import CannotListen, HealthPort
from andon.runtime.metrics import Metrics
from tests.rig.ports import free_port

Ask = Callable[[bytes], Awaitable[bytes]]


def asked(about: Callable[[Ask, list[bool]], Awaitable[None]]) -> None:
    """Runs `about` with a way to ask a port, whose readiness stands in the list."""

    async def main() -> None:
        ready = [True]
        port, metrics = free_port(), Metrics()
        metrics.accepted("mes", 3)
        health = HealthPort(metrics, lambda: ready[0])
        await health.open("127.0.0.1", port)

        async def ask(request: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return answer

        await about(ask, ready)
        await health.close()

    asyncio.run(main())


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n".encode()


def test_health_readiness_and_metrics() -> None:
    async def about(ask: Ask, ready: list[bool]) -> None:
        assert (await ask(get("/healthz"))).startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await ask(get("/readyz"))).endswith(b"\r\n\r\nready\n")
        ready[0] = False
        assert (await ask(get("/readyz"))).startswith(b"HTTP/1.1 503 ")
        answer = await ask(get("/metrics?x=1"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b'andon_events_accepted_total{source="mes"} 3.0\n' in body
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
        assert b"version=" in head, "the content type that Prometheus asks for"

    asked(about)


def test_head_has_no_body_and_other_methods_and_paths_are_refused() -> None:
    async def about(ask: Ask, _ready: list[bool]) -> None:
        assert (await ask(get("/healthz", "HEAD"))).endswith(b"\r\n\r\n")
        assert (await ask(get("/healthz", "POST"))).startswith(b"HTTP/1.1 405 ")
        assert (await ask(get("/"))).startswith(b"HTTP/1.1 404 ")

    asked(about)


@pytest.mark.parametrize(
    "request_", [b"", b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET /healthz", b"GET /" + b"x" * 100_000]
)
def test_what_is_no_request_ends_the_connection_and_nothing_else(request_: bytes) -> None:
    async def about(ask: Ask, _ready: list[bool]) -> None:
        try:
            answer = await ask(request_)
        except ConnectionError:
            answer = b""
        assert answer[:12] in (b"", b"HTTP/1.1 404", b"HTTP/1.1 405")
        assert (await ask(get("/healthz"))).startswith(b"HTTP/1.1 200 OK\r\n")

    asked(about)


def test_a_port_that_is_taken_is_told_with_its_address() -> None:
    async def main(port: int) -> None:
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port} "):
            await HealthPort(Metrics(), lambda: True).open("127.0.0.1", port)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(main(taken.getsockname()[1]))


def test_a_name_that_nobody_knows_is_told_as_one() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on nowhere\.invalid:1 \(.*[Nn]ame.*\)"):
        asyncio.run(HealthPort(Metrics(), lambda: True).open("nowhere.invalid", 1))
