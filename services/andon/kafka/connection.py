"""How to reach the cluster, as librdkafka settings. One place for every client."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from confluent_kafka import KafkaException

from andon.config.kafka import Kafka, Sasl, SchemaRegistry, Tls
from andon.kafka.errors import KafkaFailure
from andon.kafka.formats import Formats
from andon.kafka.registry import Access, Registry, basic

log = logging.getLogger(__name__)
C = TypeVar("C")

_NUMBERS = re.compile(r"[0-9]+")
_LINES = 500

LARGEST = 4 << 20
"""Bytes of the largest record: an event of 1 MiB with its facts, and a delivery around it."""
LARGEST_PARKED = 2 * LARGEST
"""Bytes of the largest record of the dead-letter topic, which takes any other topic's whole, with headers added."""


class Connection(msgspec.Struct, frozen=True):
    """A cluster, the right to use it, and what its topics are written in; `foreign` is one of others, not Andon's own.
    Holds secrets: `repr` shows the addresses only."""

    bootstrap: str
    security: dict[str, str] = {}
    formats: Formats = msgspec.field(default_factory=Formats)
    foreign: bool = False

    def __repr__(self) -> str:
        return f"Connection({self.bootstrap!r})"

    def client(self) -> dict[str, Any]:
        """The settings every client shares."""
        return {
            "bootstrap.servers": self.bootstrap,
            "logger": log,
            "socket.keepalive.enable": True,
            # After a login that is refused the library does not wait longer each time: with ours it tried 70 a second.
            "reconnect.backoff.ms": 1_000 if self.foreign else 20,
            "reconnect.backoff.max.ms": 1_000,
            **self.security,
        }

    def reader(self) -> dict[str, Any]:
        """The settings of a consumer that reads committed records on its own, and is told when there are no more."""
        return self.client() | {
            "group.id": "andon-reader",  # required by the library; no group is joined and nothing is committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }


def made(client: Callable[[dict[str, Any]], C], settings: Mapping[str, Any]) -> C:
    """A client of the library's. Raises KafkaFailure for settings that it refuses: it reads certificates and keys now,
    and says of one that it cannot use neither which it is nor, of one that is not there, that."""
    try:
        return client(dict(settings))
    except KafkaException as error:
        said = error.args[0].str()
    for name, file in settings.items():
        if name.startswith("ssl.") and name in said:
            raise KafkaFailure(f"the TLS file {file} cannot be used: {_unreadable(file) or said.rpartition('::')[2]}")
    raise KafkaFailure(f"no client of the Kafka at {settings.get('bootstrap.servers')} can be made: {said}")


def _unreadable(file: str) -> str | None:
    try:
        Path(file).read_bytes()
    except OSError as error:
        return error.strerror
    return None


class Repeats(logging.Filter):
    """Lets what librdkafka says pass once in `every_s` seconds: while a broker is away, each client says it 80 times a
    second. Lines that differ in their numbers only are the same."""

    def __init__(self, every_s: float = 30.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, line = time.monotonic(), _NUMBERS.sub("", record.getMessage())
        if now - self._said.get(line, -self._every_s) < self._every_s:
            return False
        if len(self._said) >= _LINES:
            self._said.clear()
        self._said[line] = now
        return True


log.addFilter(Repeats())


def connection(kafka: Kafka, bootstrap: str | None = None) -> Connection:
    """The connection the configuration names; `bootstrap` replaces the address (the embedded node's).

    Raises SecretMissing when a password is not there.
    """
    found = connected(bootstrap or kafka.bootstrap, kafka.sasl, kafka.tls)
    return msgspec.structs.replace(found, formats=_formats(kafka))


def connected(bootstrap: str, sasl: Sasl | None, tls: Tls | None, *, foreign: bool = False) -> Connection:
    """The connection to a cluster with that account and that TLS. Raises SecretMissing when a password is not there."""
    security: dict[str, str] = {}
    if sasl or tls:
        security["security.protocol"] = "_".join(
            word for word, given in (("SASL", sasl), ("SSL" if tls else "PLAINTEXT", True)) if given
        )
    if sasl:
        security["sasl.mechanism"] = sasl.mechanism
        security["sasl.username"] = sasl.user.reveal()
        security["sasl.password"] = sasl.password.reveal()
    if tls:
        named = {"ssl.ca.location": tls.ca, "ssl.certificate.location": tls.cert, "ssl.key.location": tls.key}
        security.update({key: value.removeprefix("file:") for key, value in named.items() if value})
    return Connection(bootstrap, security, foreign=foreign)


def _formats(kafka: Kafka) -> Formats:
    from andon.kafka.schemas import RECORDS  # its topics have their sizes from here

    chosen = {str(topic): codec for topic, codec in kafka.codec.items()}
    default: str = chosen.get("default", "json")
    avro = {topic: kind for topic, kind in RECORDS.items() if chosen.get(topic, default) == "avro"}
    return Formats(avro, registry=Registry(_access(kafka.registry)) if kafka.registry else None)


def _access(registry: SchemaRegistry) -> Access:
    authorization = None
    if registry.token:
        authorization = f"Bearer {registry.token.reveal()}"
    elif registry.user and registry.password:
        authorization = basic(registry.user.reveal(), registry.password.reveal())
    return Access(registry.url, authorization, registry.ca, registry.register_)
