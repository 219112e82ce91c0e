"""One member of a group: what a broker cannot say yet is no answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, TopicPartition

from andon.kafka import consumer
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import PartitionsChanged
from andon.kafka.topics import EVENTS


class Client:
    """Is assigned two partitions at its first poll; `answers` are the counts a broker tells, None while it does not
    know the topic."""

    answers: ClassVar[list[int | None]] = []

    def __init__(self, _settings: object) -> None:
        self._assigned = False

    def subscribe(self, _topics: list[str], on_assign: Any, **_: object) -> None:
        self._assign = on_assign

    def consume(self, _most: int, _wait_s: float) -> list[Any]:
        if not self._assigned:
            self._assigned = True
            self._assign(self, [TopicPartition(EVENTS, 0), TopicPartition(EVENTS, 1)])
        return []

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout
        count = Client.answers.pop(0)
        error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART) if count is None else None
        return SimpleNamespace(
            topics={topic: SimpleNamespace(partitions=dict.fromkeys(range(count or 0)), error=error)}
        )

    def memberid(self) -> str:
        return "m"

    def incremental_assign(self, _partitions: object) -> None:
        pass

    resume = pause = incremental_assign


def test_a_broker_that_does_not_know_the_topic_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "Consumer", Client)
    monkeypatch.setattr(Client, "answers", [None, 2, None, 2, None, 3])
    member = GroupConsumer(Connection("b"), "enrichment", EVENTS, 0)
    client: Any = member._consumer
    for _ in range(2):
        client._assigned = False
        member.poll(10, 0)
        member.poll(10, 0)
    client._assigned = False
    member.poll(10, 0)
    with pytest.raises(PartitionsChanged, match="has 3 partitions; 2 were recorded"):
        member.poll(10, 0)
    assert Client.answers == []
