"""Asks a broker in Kafka's own protocol: its metadata is the only proof that it is ready."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

METADATA, METADATA_VERSION = 3, 5
CREATE_TOPICS, CREATE_TOPICS_VERSION = 19, 4
DESCRIBE_QUORUM, DESCRIBE_QUORUM_VERSION = 55, 0
METADATA_TOPIC = b"__cluster_metadata"
CORRELATION = 1
LONGEST = 16 << 20
ANSWER_S = 2.0
CREATED_S = 10.0


def ready(host: str, port: int, cluster: str, *, timeout_s: float = ANSWER_S) -> bool:
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


@dataclass(frozen=True)
class Share:
    """A node's part of the partitions: those it has a copy of, those whose copy is complete, and those it leads."""

    copies: int = 0
    in_sync: int = 0
    leads: int = 0


def shares(host: str, port: int) -> dict[int, Share]:
    """The part that each node has in all partitions. Raises OSError when the broker does not say."""
    answer = _ask(host, port, METADATA, METADATA_VERSION, struct.pack(">i?", -1, False), ANSWER_S)
    found: dict[int, Share] = {}
    try:
        for leader, copies, in_sync in _partitions(answer):
            for node in copies:
                old = found.get(node, Share())
                found[node] = Share(old.copies + 1, old.in_sync + (node in in_sync), old.leads + (node == leader))
    except (struct.error, UnicodeDecodeError) as problem:
        raise ConnectionError("no answer in Kafka's protocol") from problem
    return found


def quorum_leader(host: str, port: int) -> int | None:
    """The node whose controller decides for the cluster; None while none does. Raises OSError."""
    # The later form of the protocol: lengths are one more than they say, and nothing is tagged.
    topic = struct.pack(f">B{len(METADATA_TOPIC)}s", len(METADATA_TOPIC) + 1, METADATA_TOPIC)
    body = b"\0\x02" + topic + struct.pack(">BiBBB", 2, 0, 0, 0, 0)
    answer = _ask(host, port, DESCRIBE_QUORUM, DESCRIBE_QUORUM_VERSION, body, ANSWER_S)
    try:
        # Correlation, tags; error, one topic with its name, one partition: its number, error, leader.
        error, partition_error, leader = struct.unpack_from(f">hxx{len(METADATA_TOPIC)}xx4xhi", answer, 5)
    except struct.error as problem:
        raise ConnectionError("no answer in Kafka's protocol") from problem
    return leader if error == partition_error == 0 and leader >= 0 else None


def create_topic(host: str, port: int, name: str) -> None:
    """Asks for a topic of one partition and waits for the answer, whatever it says; only for training runs. Raises
    OSError."""
    text = name.encode()
    topic = struct.pack(f">h{len(text)}sihii", len(text), text, 1, 1, 0, 0)
    body = struct.pack(">i", 1) + topic + struct.pack(">i?", int(CREATED_S * 1000), False)
    _ask(host, port, CREATE_TOPICS, CREATE_TOPICS_VERSION, body, CREATED_S)


def serving_cluster(answer: bytes) -> str | None:
    """The cluster that a Metadata answer comes from, or None if it is no such answer or has no broker that serves."""
    try:
        correlation, _throttled_ms, brokers = struct.unpack_from(">iii", answer)
        cluster, _end = _text(answer, _after_brokers(answer))
    except (struct.error, UnicodeDecodeError):
        return None
    return cluster if correlation == CORRELATION and brokers > 0 else None


def _after_brokers(answer: bytes) -> int:
    (brokers,) = struct.unpack_from(">i", answer, 8)
    at = 12
    for _ in range(brokers):
        _host, at = _text(answer, at + 4)
        _rack, at = _text(answer, at + 4)
    return at


def _partitions(answer: bytes) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Leader, copies and complete copies of each partition of a Metadata answer."""
    _cluster, at = _text(answer, _after_brokers(answer))
    (topics,) = struct.unpack_from(">i", answer, at + 4)
    at += 8
    for _ in range(topics):
        _name, at = _text(answer, at + 2)
        (partitions,) = struct.unpack_from(">i", answer, at + 1)
        at += 5
        for _ in range(partitions):
            (leader,) = struct.unpack_from(">i", answer, at + 6)
            copies, at = _numbers(answer, at + 10)
            in_sync, at = _numbers(answer, at)
            _offline, at = _numbers(answer, at)
            yield leader, copies, in_sync


def _numbers(answer: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """A list of 32-bit numbers and the place behind it."""
    (length,) = struct.unpack_from(">i", answer, at)
    return struct.unpack_from(f">{max(length, 0)}i", answer, at + 4), at + 4 + 4 * max(length, 0)


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
