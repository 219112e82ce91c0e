"""Readiness is an answer in Kafka's protocol, nothing less."""

import socket
import struct
import threading

import pytest

from andon.broker import wire


def answered(answer: bytes) -> bool:
    """Whether a server that reads the request and says `answer` counts as ready."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                (length,) = struct.unpack(">i", connection.recv(4))
                connection.recv(length)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return wire.ready("127.0.0.1", server.getsockname()[1], "ours", timeout_s=5)
        finally:
            thread.join()


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def metadata(cluster: bytes, *, brokers: int = 1, correlation: int = wire.CORRELATION) -> bytes:
    broker = struct.pack(">ih9sih", 1, 9, b"127.0.0.1", 8792, -1)
    return framed(
        struct.pack(">iii", correlation, 0, brokers)
        + broker * brokers
        + struct.pack(f">h{len(cluster)}s", len(cluster), cluster)
        + b"controller and topics"
    )


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (metadata(b"ours"), True),
        (metadata(b"ours", brokers=3), True),
        (metadata(b"of another node on the same port"), False),
        (metadata(b"ours", brokers=0), False),
        (metadata(b"ours", correlation=77), False),
        (metadata(b"\xff\xff"), False),
        (framed(struct.pack(">iii", wire.CORRELATION, 0, 1_000_000)), False),
        (framed(b"short"), False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (struct.pack(">i", 100) + b"cut", False),
        (struct.pack(">i", -1), False),
        (b"", False),
    ],
)
def test_answer(answer: bytes, ready: bool) -> None:
    assert answered(answer) is ready


def test_nobody_there() -> None:
    assert not wire.ready("127.0.0.1", 9, "ours", timeout_s=1)
