"""The first offsets of a topic that a source is to read, before a version names it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from andon.config.settings import Settings
from andon.kafka.connection import Connection
from andon.kafka.errors import GroupInUse, KafkaFailure
from andon.runtime import publishing
from andon.runtime.follower import Board
from andon.runtime.publishing import begin_feeds


class Cluster:
    """One in which the group reads another topic."""

    def __init__(self, _link: Connection) -> None:
        pass

    def partitions(self) -> Mapping[str, int]:
        return {"mes.new": 1}

    def seed_offsets(self, service: str, _topic: str, *, earliest: bool) -> None:
        assert not earliest
        raise GroupInUse(f"andon-{service}")


def test_a_source_that_runs_cannot_read_another_topic_and_what_to_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "Cluster", Cluster)
    sources = {"mes": {"kind": "kafka", "topic": "mes.new"}}
    wanted = Settings.model_validate({"version": 1, "sources": sources, "route": {"receiver": "shift"}})
    with pytest.raises(KafkaFailure) as told:
        begin_feeds(wanted, Connection("b"), Board())
    assert str(told.value) == (
        "the source mes cannot begin to read mes.new: the group andon-source-mes has members that run, or did "
        "a moment ago, and takes no offsets from outside. Give the source of that topic another name, or stop every "
        "door before you publish this"
    )


def test_a_cluster_of_others_that_cannot_be_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The own one answers, and is what everybody would look at."""

    class Away(Cluster):
        def partitions(self) -> Mapping[str, int]:
            raise KafkaFailure("the cluster does not answer: Broker transport failure")

    monkeypatch.setattr(publishing, "Cluster", Away)
    sources = {"mes": {"kind": "kafka", "topic": "alarms", "bootstrap": "kafka.plant-2:9093"}}
    wanted = Settings.model_validate({"version": 1, "sources": sources, "route": {"receiver": "shift"}})
    with pytest.raises(KafkaFailure) as told:
        begin_feeds(wanted, Connection("b"), Board())
    assert str(told.value) == (
        "the source mes cannot begin to read alarms at kafka.plant-2:9093: the cluster does not answer: Broker "
        "transport failure"
    )
