"""The members of a service's group, and how one that is not to come back is taken out of it. Blocking.

Static members send no LeaveGroup when they end, so that after a kill a restart costs nothing; one that is gone for good
leaves its partitions unserved until its session is over. Kafka's own answer is LeaveGroup in the name of its
`group.instance.id` (KIP-345), for which librdkafka has no call. Nor are its calls for the members used: see
`admin.Cluster`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure, Unreachable
from andon.kafka.topics import group_of
from andon.kafka.wire import Answer, Wire, addresses, text

T = TypeVar("T")

_FIND_COORDINATOR, _LEAVE_GROUP, _DESCRIBE_GROUPS = 10, 13, 15
_LOADING, _NOT_AVAILABLE, _NOT_COORDINATOR, _UNKNOWN_MEMBER, _NO_GROUP = 14, 15, 16, 25, 69
_ANSWER_S = 5.0
_AGAIN_S = 0.2


class Member(msgspec.Struct, frozen=True):
    """One member: its static name (`egress-1`), where it runs, and the partitions it was given."""

    instance: str | None
    client: str
    host: str
    partitions: tuple[int, ...]


class Members:
    """The groups of the cluster behind one connection. Every method raises KafkaFailure when it cannot answer within
    `within_s` seconds."""

    def __init__(self, connection: Connection, within_s: float = 10.0) -> None:
        self._connection = connection
        self._within_s = within_s

    def of(self, service: str) -> list[Member]:
        """Who is in a service's group; a member that has ended stays for its session of 10 s."""
        body = struct.pack(">i", 1) + text(group_of(service)) + b"\0"
        return self._asked(service, lambda wire: _described(wire.ask(_DESCRIBE_GROUPS, 4, body)))

    def remove(self, service: str, slots: Sequence[int]) -> list[int]:
        """Takes these slots out of a service's group, so that the others get their partitions at once; those of them
        that were in it. A process that still runs joins again by itself."""
        names = [f"{service}-{slot}" for slot in slots]
        members = b"".join(text("") + text(name) for name in names)
        body = text(group_of(service)) + struct.pack(">i", len(names)) + members
        gone = self._asked(service, lambda wire: _left(wire.ask(_LEAVE_GROUP, 3, body))) if names else set()
        return [slot for slot, name in zip(slots, names, strict=True) if name in gone]

    def _asked(self, service: str, ask: Callable[[Wire], T]) -> T:
        """Asks the group's coordinator, and again while there is none yet."""
        deadline = time.monotonic() + self._within_s
        while True:
            try:
                host, port = self._coordinator(group_of(service))
                with self._wire(host, port) as wire:
                    return ask(wire)
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_AGAIN_S)

    def _coordinator(self, group: str) -> tuple[str, int]:
        last: Unreachable | None = None
        for host, port in addresses(self._connection.bootstrap):
            try:
                with self._wire(host, port) as wire:
                    answer = wire.ask(_FIND_COORDINATOR, 1, text(group) + b"\0")
            except Unreachable as problem:
                last = problem
                continue
            answer.int32()
            _require(answer.int16())
            answer.text()
            answer.int32()
            return answer.text() or "", answer.int32()
        raise last or Unreachable(f"no Kafka broker answers at {self._connection.bootstrap}")

    def _wire(self, host: str, port: int) -> Wire:
        return Wire(host, port, self._connection.security, min(_ANSWER_S, self._within_s))


def _require(code: int) -> None:
    """Raises Unreachable for what passes, KafkaFailure for every other refusal."""
    if code in (_LOADING, _NOT_AVAILABLE, _NOT_COORDINATOR):
        raise Unreachable("the group has no coordinator now")
    if code:
        from confluent_kafka import KafkaError

        raise KafkaFailure(f"the group cannot be asked: {KafkaError(code).str()}")


def _described(answer: Answer) -> list[Member]:
    answer.int32()
    found: list[Member] = []
    for _ in range(answer.int32()):
        code = answer.int16()
        _require(0 if code == _NO_GROUP else code)
        for _word in ("group", "state", "kind", "assignor"):
            answer.text()
        found += answer.many(lambda: _member(answer))
        answer.int32()
    return found


def _member(answer: Answer) -> Member:
    answer.text()
    instance, client, host = answer.text(), answer.text() or "", answer.text() or ""
    answer.raw()
    return Member(instance, client, host.removeprefix("/"), _given(answer.raw()))


def _given(assignment: bytes) -> tuple[int, ...]:
    """The partitions in a member's assignment; none while the group is being balanced."""
    if not assignment:
        return ()
    answer = Answer(assignment)
    answer.int16()
    given: list[int] = []
    for _ in range(answer.int32()):
        answer.text()
        given += answer.many(answer.int32)
    return tuple(sorted(given))


def _left(answer: Answer) -> set[str]:
    """The static names that were taken out; who is no member is none that stands in the way."""
    answer.int32()
    code = answer.int16()
    _require(0 if code in (_UNKNOWN_MEMBER, _NO_GROUP) else code)
    gone: set[str] = set()
    for _ in range(answer.int32()):
        answer.text()
        name, code = answer.text() or "", answer.int16()
        _require(0 if code == _UNKNOWN_MEMBER else code)
        if not code:
            gone.add(name)
    return gone
