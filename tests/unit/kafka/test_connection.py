"""The user's own cluster: SASL and TLS reach the client, secrets do not reach a text."""

from __future__ import annotations

import pytest

from andon.config.kafka import Kafka
from andon.config.secrets import SecretMissing
from andon.kafka.connection import connection

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
