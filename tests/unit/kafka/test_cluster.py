"""What a cluster cannot say yet is asked again; what it refuses is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic

from andon.config.kafka import Kafka
from andon.core.event import Home
from andon.kafka import admin
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import GroupInUse, KafkaFailure


class Admin:
    """A topic of one partition, whose offsets are refused with the given codes before they are told. What is made is
    listed when it has been looked for `late` times."""

    def __init__(self, *refusals: int, late: int = 0) -> None:
        self.refusals = list(refusals)
        self.asked = 0
        self.late = late
        self.counts = {"new": 1}
        self.listed = dict(self.counts)

    def list_topics(self, timeout: float) -> Any:
        if self.listed != self.counts:
            self.late -= 1
        if self.late < 0:
            self.listed = dict(self.counts)
        topics = {
            name: SimpleNamespace(partitions=dict.fromkeys(range(count)), error=None)
            for name, count in self.listed.items()
        }
        return SimpleNamespace(topics=topics)

    def create_topics(self, new: Sequence[NewTopic], **_: object) -> dict[str, Future[None]]:
        return self._made({topic.topic: topic.num_partitions for topic in new})

    def create_partitions(self, new: Sequence[NewPartitions], **_: object) -> dict[str, Future[None]]:
        return self._made({topic.topic: topic.new_total_count for topic in new})

    def _made(self, counts: dict[str, int]) -> dict[str, Future[None]]:
        done: Future[None] = Future()
        done.set_result(None)
        self.counts |= counts
        return dict.fromkeys(counts, done)

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


class Beside(Admin):
    """Another has just made `andon.events`, and it is listed when the request has been answered."""

    def create_topics(self, new: Sequence[NewTopic], **_: object) -> dict[str, Future[None]]:
        answers = super().create_topics(new)
        refused: Future[None] = Future()
        refused.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_ALREADY_EXISTS)))
        return answers | {"andon.events": refused}


def test_a_topic_that_another_makes_at_the_same_moment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    created = cluster(Beside(), monkeypatch).create_topics(Kafka(replication=1))
    assert "andon.events" not in created
    assert "andon.outcomes" in created


def test_topics_are_grown_when_all_their_partitions_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Admin(KafkaError.LEADER_NOT_AVAILABLE, late=2)
    cluster(slow, monkeypatch).grow(["new"], 3)
    assert (slow.listed, slow.refusals, slow.asked) == ({"new": 3}, [], 4)


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


class Member:
    """A client of a group that others are members of: the broker takes no offsets from outside. The answer names a
    partition, or the whole request."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole

    def committed(self, asked: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return list(asked)

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> list[Any]:
        refused = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
        if self._whole:
            raise KafkaException(refused)
        return [SimpleNamespace(error=refused) for _ in offsets]


@pytest.mark.parametrize("whole", [True, False])
def test_a_group_that_has_members_is_told_as_such_when_its_offsets_are_to_be_set(
    monkeypatch: pytest.MonkeyPatch, *, whole: bool
) -> None:
    monkeypatch.setattr(admin, "Consumer", lambda _: Member(whole=whole))
    with pytest.raises(GroupInUse, match="the group andon-source-mes has members that run, or did a moment ago"):
        cluster(Admin(), monkeypatch).seed_offsets("source-mes", "new")
