"""Reading to the end while nobody answers: the sentence names the address and the cause, and comes soon."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from andon.core.event import Home
from andon.kafka import reader
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.topics import CONFIG


class Client:
    """Gives `got` at each poll. `answers_after` is how many seconds a broker lets wait; None: it does not answer."""

    def __init__(self, answers_after: float | None, got: Callable[[], list[Any]]) -> None:
        self.waited = 0.0
        self._after = answers_after
        self._got = got

    def list_topics(self, timeout: float) -> None:
        self.waited += timeout
        if self._after is None or self.waited < self._after:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def assign(self, _places: object) -> None:
        pass

    def consume(self, _most: int, _wait_s: float) -> list[Any]:
        return self._got()


def told(code: int) -> list[Any]:
    return [SimpleNamespace(topic=lambda: CONFIG, partition=lambda: 0, error=lambda: KafkaError(code))]


def end() -> list[Any]:
    return told(KafkaError._PARTITION_EOF)


def missing() -> list[Any]:
    return told(KafkaError.UNKNOWN_TOPIC_OR_PART)


def reading(monkeypatch: pytest.MonkeyPatch, client: Client) -> TopicReader:
    monkeypatch.setattr(reader, "Consumer", lambda _settings: client)
    return TopicReader(Connection("kafka-1:9092"), {Home(CONFIG, 0): BEGINNING})


def test_without_a_broker_it_does_not_wait_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(None, list)
    one = reading(monkeypatch, client)
    with pytest.raises(KafkaFailure, match=r"^no Kafka broker answers at kafka-1:9092; is it running\?$"):
        list(one.until_end(60.0))
    assert 10 <= client.waited < 12


def test_a_broker_that_answers_late_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(reading(monkeypatch, Client(8.0, end)).until_end(60.0)) == []


def test_what_has_no_leader_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    one = reading(monkeypatch, Client(0.0, list))
    with pytest.raises(KafkaFailure, match=r"^andon\.config at kafka-1:9092 could not be read to its end in 0\.01 s"):
        list(one.until_end(0.01))


def test_a_topic_that_is_not_there_is_named_and_how_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = reading(monkeypatch, Client(0.0, missing))
    with pytest.raises(KafkaFailure, match=r"the topic andon\.config does not exist; `andon apply` creates"):
        one.poll()
