"""`andon topics` where sources read topics in clusters of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from andon.cli import main as frame
from andon.cli.asking import where
from andon.cli.commands import topics
from andon.config.kafka import Kafka
from andon.config.settings import Store
from andon.kafka import admin
from andon.kafka import members as groups
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.foreign import ReadTopic
from andon.kafka.topics import TOPICS
from andon.runtime import follower
from andon.runtime.feeds import Feed

ACCOUNT = {"user": "env:NOT_SET_HERE", "password": "env:NOT_SET_HERE"}
AWAY = Feed("plant-2", ReadTopic(topic="alarms", bootstrap="away:9092"))
LOCKED = Feed("plant-3", ReadTopic.model_validate({"topic": "alarms", "bootstrap": "away:9092", "sasl": ACCOUNT}))


def test_one_that_cannot_be_asked_hides_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NOT_SET_HERE", raising=False)

    class Cluster:
        def __init__(self, _link: object) -> None: ...

        def replication(self, _kafka: object) -> int:
            return 1

    def there(_place: object, _stack: object) -> Iterator[Mapping[str, Any]]:
        yield from ({"topic": one.name, "partitions": 1, "settings": one.settings(60.0, 1)} for one in TOPICS)

    def lost(link: Any, service: str, topic: str, _store: object = None) -> Iterator[str]:
        if link != "own":
            raise KafkaFailure("no Kafka broker answers")
        yield f"{service} has lost {topic}"

    place = SimpleNamespace(link="own", kafka=SimpleNamespace(retention=60.0))
    board = SimpleNamespace(recorded=follower.Recorded({}))
    monkeypatch.setattr(where, "cluster", lambda _args: place)
    monkeypatch.setattr(admin, "Cluster", Cluster)
    monkeypatch.setattr(follower, "read_board", lambda _link: board)
    monkeypatch.setattr(topics, "_topics", there)
    monkeypatch.setattr(topics, "_store", lambda *_: None)
    monkeypatch.setattr(topics, "_feeds", lambda _board: {"source-plant-2": AWAY, "source-plant-3": LOCKED})
    monkeypatch.setattr(topics, "_lost", lost)
    assert frame.main(["topics", "check"]) == 1
    assert capsys.readouterr().out.splitlines()[3:] == [
        "ticketing has lost andon.enriched",
        "andon-source-plant-2 cannot be looked at: no Kafka broker answers",
        "andon-source-plant-3 cannot be looked at: the environment variable NOT_SET_HERE is not set",
    ]


def test_a_store_whose_address_is_not_set_here_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Topics and the offsets of groups can be looked at without it."""
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    board = SimpleNamespace(newest=SimpleNamespace(settings=SimpleNamespace(store=Store(url="env:NOT_SET_HERE"))))
    monkeypatch.setattr(follower, "read_board", lambda *_: board)
    place = where.Where(Connection("own"), Kafka(), Path())
    assert topics._store(place, "egress", ExitStack()) is None
    told = "the store of egress cannot be looked at: the environment variable NOT_SET_HERE is not set"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "asked"), [("egress", "own"), ("source-mes", "own"), ("source-plant-2", "away:9092")]
)
def test_members_are_those_of_the_cluster_the_group_is_in(
    group: str, asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Members:
        def __init__(self, link: Any) -> None:
            self._at = link.bootstrap

        def of(self, _service: str) -> list[groups.Member]:
            return [groups.Member(None, self._at, "host", ())]

        def remove(self, _service: str, slots: list[int]) -> list[int]:
            return slots

    feeds = {"source-mes": Feed("mes", ReadTopic(topic="mes")), "source-plant-2": AWAY}
    monkeypatch.setattr(where, "cluster", lambda _args: SimpleNamespace(link=Connection("own")))
    monkeypatch.setattr(follower, "read_board", lambda *_: None)
    monkeypatch.setattr(topics, "_feeds", lambda _board: feeds)
    monkeypatch.setattr(groups, "Members", Members)
    assert frame.main(["topics", "members", group, "--remove", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(asked)
