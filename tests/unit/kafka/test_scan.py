"""Looking something up while the cluster has trouble: what passes is waited out, what stays is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from andon.core.event import Home
from andon.kafka import scan
from andon.kafka.codes import PASSING
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.scan import _is_news, past_marks
from andon.runtime.stage import StageRunner


@pytest.mark.parametrize("code", sorted(PASSING))
def test_passing_trouble_is_waited_out(code: int) -> None:
    assert not _is_news(KafkaError(code))


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.OFFSET_OUT_OF_RANGE])
def test_what_stays_is_told(code: int) -> None:
    with pytest.raises(KafkaFailure, match="the log cannot be read"):
        _is_news(KafkaError(code))


def test_the_end_of_a_partition_is_news() -> None:
    assert _is_news(KafkaError(KafkaError._PARTITION_EOF))


class Marked:
    """Partitions that begin at 5; 0 to 2 end at 9, and have nothing but marks from 7 on, 3 ends at 7."""

    homes = tuple(Home("t", number) for number in range(4))

    def beginnings(self, homes: Iterable[Home]) -> dict[Home, int]:
        return dict.fromkeys(homes, 5)

    def ends(self, homes: Iterable[Home]) -> dict[Home, int]:
        return {home: 7 if home.partition == 3 else 9 for home in homes}

    def first_from(self, _home: Home, offset: int, _end: int) -> object:
        return None if offset >= 7 else object()

    def close(self) -> None: ...


AT = dict(zip(Marked.homes, (7, 6, 4, 7), strict=True))


def test_only_marks_are_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a record, nor what was deleted before anybody read it."""
    monkeypatch.setattr(scan, "Scan", lambda _connection: Marked())
    assert past_marks(Connection("fake"), AT) == {Home("t", 0): 9}


def test_while_the_cluster_does_not_answer_nothing_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_self: Marked, _homes: Iterable[Home]) -> dict[Home, int]:
        raise KafkaFailure("away")

    monkeypatch.setattr(scan, "Scan", lambda _connection: Marked())
    monkeypatch.setattr(Marked, "ends", away)
    assert past_marks(Connection("fake"), AT) == {}


def test_a_stage_commits_past_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Consumer:
        assigned = Marked.homes
        told: Mapping[Home, int] = MappingProxyType({})

        def committed(self, _homes: Iterable[Home]) -> dict[Home, int]:
            return AT

        def commit(self, offsets: Mapping[Home, int]) -> None:
            self.told = offsets

    monkeypatch.setattr(scan, "Scan", lambda _connection: Marked())
    stage: Any = object.__new__(StageRunner)
    stage._consumer, stage._connection, stage._settings = Consumer(), Connection("fake"), cast("Any", _Settings)
    stage._recommit()
    assert stage._consumer.told == AT | {Home("t", 0): 9}


class _Settings:
    elsewhere = None
