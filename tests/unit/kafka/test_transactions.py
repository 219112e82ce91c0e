"""What a transaction that did not happen is told as."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, KafkaFailure
from andon.kafka.topics import DLQ, OUTCOMES
from andon.kafka.transactions import TransactionalProducer


class Broker:
    """Tells of topics, and never acknowledges a record."""

    def __init__(self) -> None:
        self.topics = {OUTCOMES}

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics=dict.fromkeys(self.topics))


def timed_out(producer: TransactionalProducer, broker: Any) -> None:
    producer._explain(broker, KafkaError(KafkaError._TIMED_OUT), {DLQ, OUTCOMES})


def test_a_topic_that_stays_away_is_named_and_one_that_is_not_known_yet_is_waited_for() -> None:
    """The library waits for it for as long as a step may take, and says only that it has timed out."""
    producer, broker = TransactionalProducer(Connection("fake"), "andon-routing-0"), Broker()
    with pytest.raises(Aborted):
        timed_out(producer, broker)
    with pytest.raises(KafkaFailure, match=r"the topic andon\.dlq does not exist; `andon topics create`"):
        timed_out(producer, broker)


def test_a_topic_that_came_back_in_between_is_waited_for_again() -> None:
    producer, broker = TransactionalProducer(Connection("fake"), "andon-routing-0"), Broker()
    for topics in ({OUTCOMES}, {DLQ, OUTCOMES}, {OUTCOMES}):
        broker.topics = topics
        with pytest.raises(Aborted):
            timed_out(producer, broker)
