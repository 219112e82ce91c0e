"""What an interrupted repartition leaves behind: before the topics have grown, nothing that keeps services away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest

from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import GROWING
from andon.runtime import repartition
from andon.runtime.follower import Recorded
from andon.runtime.repartition import Refused, Repartition


class System:
    """The cluster, and what is recorded in it; `unread` is what enrichment has not taken in."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(GROWING, 12)
        self.recorded = Recorded(dict(self.counts))
        self.unread = 0
        self.answers = True

    def partitions(self) -> dict[str, int]:
        return dict(self.counts)

    def grow(self, topics: Sequence[str], count: int) -> None:
        self.counts |= dict.fromkeys(topics, count)

    def seed_offsets(self, _service: str, _topic: str) -> None:
        pass

    def start(self) -> None:
        if not self.answers:
            raise KafkaFailure("no broker answers")

    def commit(self, records: Sequence[Outgoing]) -> None:
        (record,) = records
        self.recorded = msgspec.json.decode(record.value or b"", type=Recorded)

    def close(self) -> None:
        pass


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(repartition, "Cluster", lambda _link: system)
    monkeypatch.setattr(repartition, "TransactionalProducer", lambda *_: system)
    monkeypatch.setattr(repartition, "_recorded", lambda _link: system.recorded)
    monkeypatch.setattr(repartition, "require_nobody", lambda _link: None)
    monkeypatch.setattr(Repartition, "_unread", lambda *_: system.unread)
    monkeypatch.setattr(repartition, "_LEAVE_S", 0)
    return system


def said(count: int = 24) -> Repartition:
    return Repartition(cast("Connection", None), count, ["enrichment"], {})


def done(work: Repartition) -> None:
    work.require()
    work.run(lambda _: None)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), KafkaFailure("the cluster does not answer"), Refused("no")])
def test_what_ends_it_before_the_topics_grow_takes_the_announcement_back(
    problem: BaseException, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: float) -> None:
        assert system.recorded.becoming == 24
        raise problem

    monkeypatch.setattr("andon.runtime.repartition.time.sleep", ended)
    with pytest.raises(type(problem)):
        done(said())
    assert system.recorded == Recorded(dict.fromkeys(GROWING, 12))


def test_what_ended_it_is_told_though_the_announcement_stays(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: float) -> None:
        system.answers = False
        raise KafkaFailure("the cluster went away")

    monkeypatch.setattr("andon.runtime.repartition.time.sleep", away)
    with pytest.raises(KafkaFailure, match="the cluster went away"):
        done(said())
    assert system.recorded.becoming == 24


def test_one_that_was_announced_and_killed_is_taken_back_when_it_cannot_go_on(system: System) -> None:
    system.recorded = msgspec.structs.replace(system.recorded, becoming=24)
    system.unread = 1
    with pytest.raises(Refused, match="enrichment has not taken in 1 records"):
        done(said())
    assert system.recorded.becoming is None
    system.unread = 0
    done(said(36))
    assert system.recorded.partitions[GROWING[0]] == 36


def test_one_that_was_announced_and_killed_goes_on_when_it_can(system: System) -> None:
    system.recorded = msgspec.structs.replace(system.recorded, becoming=24)
    done(said())
    assert system.recorded == Recorded(dict.fromkeys(GROWING, 24), first=12)


def test_from_grown_topics_there_is_no_way_back(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.recorded = msgspec.structs.replace(system.recorded, becoming=24)
    system.counts[GROWING[0]] = 24

    def nobody(_link: Connection) -> None:
        raise Refused("egress-0 runs")

    with monkeypatch.context() as patched:
        patched.setattr(repartition, "require_nobody", nobody)
        with pytest.raises(Refused):
            done(said())
    assert system.recorded.becoming == 24
    with pytest.raises(Refused, match="run it with that number first"):
        done(said(36))
    done(said())
    assert system.recorded == Recorded(dict.fromkeys(GROWING, 24), first=12)


def test_a_record_that_was_not_answered_is_a_sentence(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(_self: Any, _records: object) -> None:
        raise Aborted("Local: Timed out")

    monkeypatch.setattr(System, "commit", unanswered)
    with pytest.raises(KafkaFailure, match="run it again"):
        done(said())
