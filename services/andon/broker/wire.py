"""Asks a broker for its metadata in Kafka's own protocol: the only proof that it is ready."""

import socket
import struct

METADATA, METADATA_VERSION = 3, 5
CREATE_TOPICS, CREATE_TOPICS_VERSION = 19, 4
CORRELATION = 1
LONGEST = 1 << 20


def ready(host: str, port: int, cluster: str, *, timeout_s: float = 2.0) -> bool:
    """Whether the broker of `cluster` answers and takes part in it, so that a topic can be created at once.

    Kafka takes its port only at the end of its start; until then another node may have taken it, and would answer.
    """
    # No topics asked for, and none to be created.
    body = struct.pack(">i?", 0, False)
    try:
        answer = _ask(host, port, METADATA, METADATA_VERSION, body, timeout_s)
    except OSError:
        return False
    return serving_cluster(answer) == cluster


def create_topic(host: str, port: int, name: str, *, partitions: int = 1, timeout_s: float = 10.0) -> None:
    """Asks for a topic and waits for the answer, whatever it says; only for training runs. Raises OSError."""
    text = name.encode()
    topic = struct.pack(f">h{len(text)}sihii", len(text), text, partitions, 1, 0, 0)
    body = struct.pack(">i", 1) + topic + struct.pack(">i?", int(timeout_s * 1000), False)
    _ask(host, port, CREATE_TOPICS, CREATE_TOPICS_VERSION, body, timeout_s)


def serving_cluster(answer: bytes) -> str | None:
    """The cluster that a Metadata answer comes from, or None if it is no such answer or has no broker that serves."""
    try:
        correlation, _throttled_ms, brokers = struct.unpack_from(">iii", answer)
        at = 12
        for _ in range(brokers):
            _host, at = _text(answer, at + 4)
            _rack, at = _text(answer, at + 4)
        cluster, _end = _text(answer, at)
    except (struct.error, UnicodeDecodeError):
        return None
    return cluster if correlation == CORRELATION and brokers > 0 else None


def _text(answer: bytes, at: int) -> tuple[str | None, int]:
    """A nullable string and the place behind it."""
    (length,) = struct.unpack_from(">h", answer, at)
    if length < 0:
        return None, at + 2
    (raw,) = struct.unpack_from(f">{length}s", answer, at + 2)
    return raw.decode(), at + 2 + length


def _ask(host: str, port: int, key: int, version: int, body: bytes, timeout_s: float) -> bytes:
    """The answer to one request. Raises OSError."""
    request = struct.pack(">hhih", key, version, CORRELATION, -1) + body  # -1: no client id
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", _exactly(connection, 4))
        return _exactly(connection, min(max(length, 0), LONGEST))


def _exactly(connection: socket.socket, length: int) -> bytes:
    taken = bytearray()
    while len(taken) < length:
        chunk = connection.recv(length - len(taken))
        if not chunk:
            raise ConnectionResetError
        taken += chunk
    return bytes(taken)
