"""How to reach the cluster, as librdkafka settings. One place for every client."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from andon.config.settings import Kafka

log = logging.getLogger(__name__)

LARGEST = 4 << 20
"""Bytes of the largest record: an event of 1 MiB with its facts, and a delivery around it."""


class Connection(msgspec.Struct, frozen=True):
    """A cluster and the right to use it. Holds secrets: `repr` shows the addresses only."""

    bootstrap: str
    security: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Connection({self.bootstrap!r})"

    def client(self, **more: Any) -> dict[str, Any]:
        """Settings every client shares, and those of one kind of client with `_` for `.` in their names."""
        return {
            "bootstrap.servers": self.bootstrap,
            "logger": log,
            "socket.keepalive.enable": True,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 1_000,
            **self.security,
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def connection(kafka: Kafka, bootstrap: str | None = None) -> Connection:
    """The connection the configuration names; `bootstrap` replaces the address (the embedded node's).

    Raises SecretMissing when a password is not there.
    """
    security: dict[str, str] = {}
    if kafka.sasl or kafka.tls:
        security["security.protocol"] = "_".join(
            word for word, given in (("SASL", kafka.sasl), ("SSL" if kafka.tls else "PLAINTEXT", True)) if given
        )
    if kafka.sasl:
        security["sasl.mechanism"] = kafka.sasl.mechanism
        security["sasl.username"] = kafka.sasl.user.reveal()
        security["sasl.password"] = kafka.sasl.password.reveal()
    if kafka.tls:
        named = {"ssl.ca.location": kafka.tls.ca, "ssl.certificate.location": kafka.tls.cert}
        named["ssl.key.location"] = kafka.tls.key
        security.update({key: value.removeprefix("file:") for key, value in named.items() if value})
    return Connection(bootstrap or kafka.bootstrap, security)
