"""Kafka's own protocol, for the few requests that no client library has: one connection, one question at a time.

With the TLS and the account of the configured cluster, like every other client (`Connection.security`). Only versions
of requests without tagged fields are asked, which Kafka 3.9 to 4.x all answer. Blocking.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from andon.kafka.errors import KafkaFailure, Unreachable
from andon.kafka.scram import Scram, ScramFailure

T = TypeVar("T")

_HANDSHAKE, _AUTHENTICATE = 17, 36
_LARGEST = 16 << 20
_CLIENT = "andon-admin"


class Answer:
    """The body of an answer, read from its front. Raises KafkaFailure when it is shorter than it says."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def _take(self, form: str) -> int:
        try:
            (value,) = struct.unpack_from(form, self._body, self._at)
        except struct.error:
            raise KafkaFailure("the broker's answer is cut short") from None
        self._at += struct.calcsize(form)
        return int(value)

    def int16(self) -> int:
        return self._take(">h")

    def int32(self) -> int:
        return self._take(">i")

    def text(self) -> str | None:
        """A nullable string."""
        length = self.int16()
        return None if length < 0 else self._raw(length).decode(errors="replace")

    def raw(self) -> bytes:
        """Bytes; empty for none."""
        return self._raw(max(self.int32(), 0))

    def many(self, one: Callable[[], T]) -> list[T]:
        """An array, each element read by `one`."""
        return [one() for _ in range(max(self.int32(), 0))]

    def _raw(self, length: int) -> bytes:
        raw = self._body[self._at : self._at + length]
        if len(raw) < length:
            raise KafkaFailure("the broker's answer is cut short")
        self._at += length
        return raw


def text(value: str | None) -> bytes:
    """A nullable string as the protocol has it."""
    if value is None:
        return struct.pack(">h", -1)
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def raw(value: bytes) -> bytes:
    """Bytes as the protocol has them."""
    return struct.pack(">i", len(value)) + value


class Wire:
    """A connection to one broker, authenticated. Raises Unreachable when it breaks, KafkaFailure when it refuses.

    Secrets are sent only as the mechanism says, and are in no exception.
    """

    def __init__(self, host: str, port: int, security: Mapping[str, str], timeout_s: float) -> None:
        self._where = f"{host}:{port}"
        self._correlation = 0
        protocol = security.get("security.protocol", "PLAINTEXT")
        try:
            self._socket = socket.create_connection((host, port), timeout_s)
            if protocol.endswith("SSL"):
                self._socket = _tls(security).wrap_socket(self._socket, server_hostname=host)
        except OSError as error:
            raise Unreachable(f"the broker {self._where} cannot be reached: {_plain(error)}") from None
        if protocol.startswith("SASL"):
            try:
                self._sign_in(security)
            except BaseException:
                self.close()
                raise

    def ask(self, key: int, version: int, body: bytes) -> Answer:
        """The answer to one request."""
        self._correlation += 1
        request = struct.pack(">hhi", key, version, self._correlation) + text(_CLIENT) + body
        try:
            self._socket.sendall(raw(request))
            (length,) = struct.unpack(">i", self._exactly(4))
            if not 4 <= length <= _LARGEST:
                raise KafkaFailure(f"the broker {self._where} does not speak Kafka's protocol")
            answer = Answer(self._exactly(length))
        except OSError as error:
            raise Unreachable(f"the broker {self._where} does not answer: {_plain(error)}") from None
        if answer.int32() != self._correlation:
            raise KafkaFailure(f"the broker {self._where} answered another question")
        return answer

    def _exactly(self, length: int) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            chunk = self._socket.recv(length - len(taken))
            if not chunk:
                raise ConnectionResetError(0, "it closed the connection")
            taken += chunk
        return bytes(taken)

    def _sign_in(self, security: Mapping[str, str]) -> None:
        mechanism, user, password = (security[f"sasl.{name}"] for name in ("mechanism", "username", "password"))
        answer = self.ask(_HANDSHAKE, 1, text(mechanism))
        if answer.int16():
            raise KafkaFailure(f"the broker {self._where} does not take {mechanism}")
        if mechanism == "PLAIN":
            self._say(f"\0{user}\0{password}".encode())
            return
        scram = Scram(mechanism, user, password, secrets.token_urlsafe(24))
        try:
            scram.verify(self._say(scram.final(self._say(scram.first()))))
        except ScramFailure as failure:
            raise KafkaFailure(f"the account at {self._where} cannot be used: {failure}") from None

    def _say(self, words: bytes) -> bytes:
        answer = self.ask(_AUTHENTICATE, 1, raw(words))
        if answer.int16():
            raise KafkaFailure(f"the broker {self._where} refuses the account (kafka.sasl)")
        answer.text()
        return answer.raw()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Host and port of each broker in a list with commas."""
    found = []
    for one in bootstrap.split(","):
        host, _, port = one.strip().rpartition(":")
        found.append((host.strip("[]"), int(port)))
    return found


def _tls(security: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    # Whatever SSLKEYLOGFILE says.
    context.keylog_filename = None  # type: ignore[assignment]
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert := security.get("ssl.certificate.location"):
        context.load_cert_chain(cert, security.get("ssl.key.location"))
    return context


def _plain(error: OSError) -> str:
    return error.strerror or type(error).__name__
