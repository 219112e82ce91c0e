"""Readiness is an answer in Kafka's protocol, nothing less."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from andon.broker import wire

T = TypeVar("T")


def served(answer: bytes, ask: Callable[[str, int], T]) -> T:
    """What `ask` makes of a server that says `answer` to whatever it is asked."""
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
            return ask("127.0.0.1", server.getsockname()[1])
        finally:
            thread.join()


def answered(answer: bytes) -> bool:
    """Whether a server that says `answer` counts as ready."""
    return served(answer, lambda host, port: wire.ready(host, port, "ours", timeout_s=5))


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


def numbers(*values: int) -> bytes:
    return struct.pack(f">i{len(values)}i", len(values), *values)


def topic(name: bytes, *partitions: bytes) -> bytes:
    return struct.pack(f">hh{len(name)}s?i", 0, len(name), name, False, len(partitions)) + b"".join(partitions)


def partition(leader: int, copies: bytes, in_sync: bytes) -> bytes:
    return struct.pack(">hii", 0, 0, leader) + copies + in_sync + numbers()


BROKER = struct.pack(">ih9sih", 1, 9, b"127.0.0.1", 8792, -1)
HEAD = struct.pack(">iii", wire.CORRELATION, 0, 1) + BROKER + struct.pack(">h4si", 4, b"ours", 1)


def test_the_share_of_each_node_in_all_partitions() -> None:
    topics = struct.pack(">i", 2) + topic(
        b"events",
        partition(1, numbers(1, 2, 3), numbers(1, 3)),
        partition(3, numbers(3, 1), numbers(3, 1)),
    )
    topics += topic(b"lost", partition(-1, numbers(2), numbers()))
    assert served(framed(HEAD + topics), wire.shares) == {
        1: wire.Share(copies=2, in_sync=2, leads=1),
        2: wire.Share(copies=2, in_sync=0, leads=0),
        3: wire.Share(copies=2, in_sync=2, leads=1),
    }


@pytest.mark.parametrize("answer", [framed(HEAD), framed(HEAD + struct.pack(">i", 1_000)), framed(b"x"), b""])
def test_a_broken_answer_about_partitions_is_an_error_of_the_connection(answer: bytes) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - whatever is broken
        served(answer, wire.shares)


def quorum(error: int, partition_error: int, leader: int) -> bytes:
    name = struct.pack(f">BB{len(wire.METADATA_TOPIC)}s", 2, len(wire.METADATA_TOPIC) + 1, wire.METADATA_TOPIC)
    place = struct.pack(">Bihii", 2, 0, partition_error, leader, 7)
    return framed(struct.pack(">iBh", wire.CORRELATION, 0, error) + name + place)


@pytest.mark.parametrize(
    ("answer", "leader"),
    [(quorum(0, 0, 3), 3), (quorum(0, 0, -1), None), (quorum(35, 0, 3), None), (quorum(0, 5, 3), None)],
)
def test_the_node_that_decides(answer: bytes, leader: int | None) -> None:
    assert served(answer, wire.quorum_leader) == leader
