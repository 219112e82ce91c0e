"""The user's own cluster: SASL and TLS reach the client, secrets do not reach a text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from andon.config.kafka import Kafka
from andon.config.secrets import SecretMissing
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection, Repeats, connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import KafkaFailure, NoEntry
from andon.kafka.foreign import ForeignTopic
from andon.kafka.inspect import topic_settings
from andon.kafka.producer import Publisher
from andon.kafka.reader import TopicReader
from andon.kafka.scan import Scan
from andon.kafka.topics import EVENTS
from andon.kafka.transactions import TransactionalProducer

SASL = {"mechanism": "SCRAM-SHA-512", "user": "env:KAFKA_USER", "password": "env:KAFKA_PASSWORD"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_USER", "andon")
    monkeypatch.setenv("KAFKA_PASSWORD", "canary-7")


@pytest.mark.parametrize(
    ("more", "protocol"),
    [
        ({}, None),
        ({"sasl": SASL}, "SASL_PLAINTEXT"),
        ({"tls": {"ca": "ca.pem"}}, "SSL"),
        ({"sasl": SASL, "tls": {"ca": "ca.pem"}}, "SASL_SSL"),
    ],
)
def test_the_protocol_follows_from_what_is_given(more: dict[str, object], protocol: str | None) -> None:
    made = connection(Kafka.model_validate({"bootstrap": "k1:9093,k2:9093", **more})).client()

    assert made["bootstrap.servers"] == "k1:9093,k2:9093"
    assert made.get("security.protocol") == protocol


def test_credentials_and_certificates_are_passed_through() -> None:
    kafka = Kafka.model_validate(
        {"bootstrap": "k1:9093", "sasl": SASL, "tls": {"ca": "file:/c/ca.pem", "cert": "/c/me.pem", "key": "/c/me.key"}}
    )
    made = connection(kafka).client()

    assert (made["sasl.username"], made["sasl.password"]) == ("andon", "canary-7")
    assert made["sasl.mechanism"] == "SCRAM-SHA-512"
    assert made["ssl.ca.location"] == "/c/ca.pem"
    assert (made["ssl.certificate.location"], made["ssl.key.location"]) == ("/c/me.pem", "/c/me.key")


def test_a_connection_shows_its_addresses_and_no_secret() -> None:
    shown = repr(connection(Kafka.model_validate({"bootstrap": "k1:9093", "sasl": SASL})))

    assert "k1:9093" in shown
    assert "canary-7" not in shown


def test_a_missing_password_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD")

    with pytest.raises(SecretMissing, match="KAFKA_PASSWORD"):
        connection(Kafka.model_validate({"bootstrap": "k1:9093", "sasl": SASL}))


CLIENTS: dict[str, Callable[[Connection], object]] = {
    "admin": Cluster,
    "reader": lambda link: TopicReader(link, {}),
    "scan": Scan,
    "publisher": lambda link: Publisher(link, "c"),
    "consumer": lambda link: GroupConsumer(link, "enrichment", EVENTS, 0),
    "transactions": lambda link: TransactionalProducer(link, "t").start(),
    "settings": lambda link: topic_settings(link, [EVENTS]),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_certificate_that_is_not_there_is_named(client: str, tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    link = connection(Kafka.model_validate({"bootstrap": "127.0.0.1:1", "tls": {"ca": f"file:{missing}"}}))
    with pytest.raises(KafkaFailure, match=f"the TLS file {missing} cannot be used: No such file or directory"):
        CLIENTS[client](link)


def test_of_a_cluster_of_others_it_is_no_entry_there(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    other = ForeignTopic.model_validate({"topic": "t", "bootstrap": "127.0.0.1:1", "tls": {"key": f"file:{key}"}})
    link = other.elsewhere()
    assert link is not None
    with pytest.raises(NoEntry, match=f"the TLS file {key} cannot be used: No such file or directory"):
        GroupConsumer(link, "source-t", "t", 0)
    with pytest.raises(KafkaFailure) as own:
        GroupConsumer(Connection(link.bootstrap, link.security), "source-t", "t", 0)
    assert not isinstance(own.value, NoEntry)


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
def test_a_file_that_holds_something_else_is_named(which: str, tmp_path: Path) -> None:
    file = tmp_path / "other.pem"
    file.write_text("no PEM")
    link = connection(Kafka.model_validate({"bootstrap": "127.0.0.1:1", "tls": {which: str(file)}}))
    with pytest.raises(KafkaFailure, match=rf"the TLS file {file} cannot be used: .*(PEM|no certificate)"):
        Cluster(link)


def test_what_else_a_client_refuses_is_said_with_the_address() -> None:
    link = Connection("127.0.0.1:1", {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN"})
    with pytest.raises(KafkaFailure, match=r"127.0.0.1:1 .*sasl.username and sasl.password must be set"):
        Cluster(link)


def test_a_client_without_a_broker_repeats_itself_once_in_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats, now = Repeats(), 100.0
    monkeypatch.setattr("andon.kafka.connection.time.monotonic", lambda: now)

    def passes(text: str) -> bool:
        return bool(repeats.filter(logging.LogRecord("k", logging.ERROR, "", 0, text, None, None)))

    text = "FAIL [egress-0#producer-3] [thrd:127.0.0.1:8792]: Connection refused (after %dms in state CONNECT)"
    assert passes(text % 0)
    now = 129.9
    assert not passes(text % 2)
    assert passes("SESSTMOUT [egress-0#consumer-2]: session timed out")
    assert all(not passes("SESSTMOUT [egress-0#consumer-2]: session timed out") for _ in range(3))
    now = 130.0
    assert passes(text % 1)
    assert Repeats(every_s=0).filter(logging.LogRecord("k", logging.ERROR, "", 0, "x", None, None))


def test_what_the_client_library_says_goes_through_that_and_what_others_say_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = Connection("127.0.0.1:1").client()["logger"]
    for number in range(2):
        library.error("FAIL [test#producer-%d]: Connection refused", number)
        logging.getLogger("andon.x").warning("parked")
    # Clients of other tests may have something to say too.
    ours = [one for one in caplog.messages if "[test#" in one or one == "parked"]
    assert ours == ["FAIL [test#producer-0]: Connection refused", "parked", "parked"]
