"""What the proxy holds back comes late and whole, also when its client is gone; all else passes at once."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.rig.client import wait_for
from tests.rig.ports import free_port
from tests.rig.proxy import END_TXN, HOST, METADATA, Hold, Proxy

HELD_S = 1.0
PRODUCE = 0


class Broker:
    """Answers each request with its own body, and remembers when each came."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.got: list[tuple[float, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # a client that is gone
            while frame := receive(connection):
                self.got.append((time.monotonic(), frame[8:]))
                send(connection, frame[4:])

    def came(self, body: bytes) -> float | None:
        return next((at for at, one in self.got if one == body), None)


def send(connection: socket.socket, frame: bytes) -> None:
    connection.sendall(struct.pack(">i", len(frame)) + frame)


def receive(connection: socket.socket) -> bytes:
    """One frame; nothing at the end."""
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL) if len(head) == 4 else b""


def request(kind: int, number: int, body: bytes) -> bytes:
    return struct.pack(">hhi", kind, 1, number) + body


class Scene:
    """A client of the proxy; `hold` is what the proxy does with the next EndTxn."""

    def __init__(self) -> None:
        self.hold: Hold | None = None
        self.broker = Broker()
        self.proxy = Proxy(free_port(), self.broker.port, lambda: self.hold, HELD_S)

    def client(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.proxy.port), timeout=20)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    with scene.proxy:
        yield scene
    scene.broker.listening.close()


def test_what_is_not_held_passes_and_the_brokers_address_becomes_ours(scene: Scene) -> None:
    theirs, ours = (HOST + struct.pack(">i", port) for port in (scene.broker.port, scene.proxy.port))
    with scene.client() as client:
        for number, kind in enumerate((METADATA, PRODUCE, END_TXN)):
            send(client, request(kind, number, b"<" + theirs + b">"))
            answer = receive(client)
            assert answer == struct.pack(">i", number) + b"<" + (ours if kind == METADATA else theirs) + b">"
    assert scene.proxy.held == {"request": 0, "answer": 0}


def test_a_held_request_reaches_the_broker_late_though_its_client_is_gone(scene: Scene) -> None:
    scene.hold = "request"
    with scene.client() as client:
        send(client, request(END_TXN, 1, b"commit"))
        sent = time.monotonic()
        assert wait_for(lambda: scene.proxy.held["request"] == 1, 20)
    assert wait_for(lambda: scene.broker.came(b"commit") is not None, 20)
    assert (scene.broker.came(b"commit") or 0) - sent >= HELD_S


def test_a_held_answer_comes_late_and_what_the_broker_did_is_done(scene: Scene) -> None:
    scene.hold = "answer"
    with scene.client() as client:
        sent = time.monotonic()
        send(client, request(END_TXN, 1, b"commit"))
        assert receive(client) == struct.pack(">i", 1) + b"commit"
        answered = time.monotonic()
    assert answered - sent >= HELD_S
    assert (scene.broker.came(b"commit") or answered) < answered - HELD_S / 2
    assert scene.proxy.held == {"request": 0, "answer": 1}


def test_others_are_not_held_up_by_it(scene: Scene) -> None:
    scene.hold = "request"
    with scene.client() as stuck, scene.client() as other:
        send(stuck, request(END_TXN, 1, b"commit"))
        send(other, request(PRODUCE, 1, b"record"))
        assert receive(other) == struct.pack(">i", 1) + b"record"
        assert wait_for(lambda: scene.broker.came(b"commit") is not None, 20)
    assert (scene.broker.came(b"record") or 0) < (scene.broker.came(b"commit") or 0)
