"""One member of a group: what a broker cannot say yet is no answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, TopicPartition

from andon.kafka import consumer
from andon.kafka.connection import Connection
from andon.kafka.consumer import GroupConsumer
from andon.kafka.errors import KafkaFailure, NoEntry, OffsetsMissing, PartitionsChanged
from andon.kafka.topics import EVENTS


class Client:
    """Is assigned two partitions at its first poll; `answers` are the counts a broker tells, None while it does not
    know the topic."""

    answers: ClassVar[list[int | None]] = []
    said: KafkaError | None = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self._assigned = False

    def subscribe(self, _topics: list[str], on_assign: Any, **_: object) -> None:
        self._assign = on_assign

    def consume(self, _most: int, _wait_s: float) -> list[Any]:
        if not self._assigned:
            self._assigned = True
            self._assign(self, [TopicPartition(EVENTS, 0), TopicPartition(EVENTS, 1)])
        return [SimpleNamespace(error=lambda: self.said)] if self.said else []

    def list_topics(self, topic: str = "another", *, timeout: float) -> Any:
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


ALERT = "ssl://k:9093/1: Receive failed: error:0A000415:SSL routines::certificate expired: SSL alert number 45"


@pytest.mark.parametrize(
    ("code", "text", "refused"),
    [
        (KafkaError._AUTHENTICATION, "sasl_ssl://k:9093/1: SASL authentication error: Authentication failed", True),
        (KafkaError._SSL, "ssl://k:9093/1: SSL handshake failed: certificate verify failed", True),
        (KafkaError._TRANSPORT, ALERT, True),
        (KafkaError._TRANSPORT, "ssl://k:9093/1: Disconnected", False),
        (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down", False),
    ],
)
def test_a_cluster_of_others_that_refuses_us_is_left(
    monkeypatch: pytest.MonkeyPatch, code: int, text: str, *, refused: bool
) -> None:
    monkeypatch.setattr(consumer, "Consumer", Client)
    monkeypatch.setattr(Client, "answers", [2])
    member = GroupConsumer(Connection("k:9093", foreign=True), "source-mes", "mes", 0)
    member.poll(10, 0)
    client: Any = member._consumer
    client.settings["error_cb"](KafkaError(code, text))
    if refused:
        with pytest.raises(NoEntry, match="the Kafka at k:9093 refuses "):
            member.poll(10, 0)
    else:
        member.poll(10, 0)


def _told(monkeypatch: pytest.MonkeyPatch, code: int, *, foreign: bool) -> KafkaFailure:
    """How a member ends that is told so."""
    monkeypatch.setattr(consumer, "Consumer", Client)
    monkeypatch.setattr(consumer, "_UNKNOWN_S", 0.0)
    monkeypatch.setattr(Client, "answers", [2, 2])
    monkeypatch.setattr(Client, "said", None)
    member = GroupConsumer(Connection("k:9093", foreign=foreign), "source-mes", "mes", 0)
    member.poll(10, 0)
    monkeypatch.setattr(Client, "said", KafkaError(code))
    with pytest.raises(KafkaFailure) as failure:
        member.poll(10, 0)
    return failure.value


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "does not let the account read mes as andon-source-mes"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "does not let the account read mes as andon-source-mes"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "has no topic mes"),
    ],
)
def test_a_topic_that_others_take_away_or_forbid_is_left_and_one_of_our_own_cluster_ends_us(
    monkeypatch: pytest.MonkeyPatch, code: int, said: str
) -> None:
    left = _told(monkeypatch, code, foreign=True)
    assert isinstance(left, NoEntry)
    assert str(left).startswith(f"the Kafka at k:9093 {said}")
    assert not isinstance(_told(monkeypatch, code, foreign=False), NoEntry)


def test_offsets_that_others_have_lost_end_us_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(_told(monkeypatch, KafkaError._AUTO_OFFSET_RESET, foreign=True), OffsetsMissing)


def test_our_own_cluster_is_waited_for_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "Consumer", Client)
    member = GroupConsumer(Connection("b"), "enrichment", EVENTS, 0)
    client: Any = member._consumer
    assert "error_cb" not in client.settings
    assert client.settings["reconnect.backoff.ms"] == 20


def test_of_more_partitions_it_says_what_is_true_of_whose_topic_it_is() -> None:
    ours, partners = str(PartitionsChanged(EVENTS, 24, 12)), str(PartitionsChanged("mes.alarms", 3, 2))
    assert "Restore the count; to have more, see `andon topics repartition`" in ours
    assert "`andon topics offsets andon-source-NAME --restore`" in partners
    assert "repartition" not in partners
    assert "Restore the count" not in partners
