"""What a cluster cannot say yet is asked again; what it refuses is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewTopic

from andon.config.kafka import Kafka
from andon.core.event import Home
from andon.kafka import admin
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure


class Admin:
    """A topic of one partition, whose offsets are refused with the given codes before they are told."""

    def __init__(self, *refusals: int) -> None:
        self.refusals = list(refusals)
        self.asked = 0
        self.names = {"new"}

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics={name: SimpleNamespace(partitions={0: None}, error=None) for name in self.names})

    def create_topics(self, new: Sequence[NewTopic], **_: object) -> dict[str, Future[None]]:
        done: Future[None] = Future()
        done.set_result(None)
        self.names |= {topic.topic for topic in new}
        return dict.fromkeys(self.names, done)

    def list_offsets(self, asked: Any, **_: object) -> dict[TopicPartition, Future[Any]]:
        self.asked += 1
        answer: Future[Any] = Future()
        if self.refusals:
            answer.set_exception(KafkaException(KafkaError(self.refusals.pop(0))))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(asked, answer)


def cluster(admin_: Admin, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(admin, "AdminClient", lambda _: admin_)
    monkeypatch.setattr(admin, "_AGAIN_S", 0.001)
    return Cluster(Connection("127.0.0.1:1"))


def test_a_topic_that_has_no_leader_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    young = Admin(
        KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART
    )
    assert cluster(young, monkeypatch).ends(["new"]) == {Home("new", 0): 7}
    assert young.asked == 4


def test_topics_are_made_when_those_who_lead_them_know_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One broker of three lists a topic before another, which leads its partition, has heard of it."""
    slow = Admin(KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert cluster(slow, monkeypatch).create_topics(Kafka(replication=1))
    assert (slow.refusals, slow.asked) == ([], 2)


def test_a_refusal_that_stays_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = Admin(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaFailure, match="the cluster refused"):
        cluster(strict, monkeypatch).ends(["new"])
    assert strict.asked == 1


def test_a_topic_that_never_gets_a_leader_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "_STEP_S", 0.05)
    lost = Admin(*[KafkaError.NOT_LEADER_FOR_PARTITION] * 10_000)
    with pytest.raises(KafkaFailure, match="Not leader"):
        cluster(lost, monkeypatch).ends(["new"])
    assert lost.asked > 1
