"""The way back out of the dead-letter topic: to the cluster a record was read from, and marked when it is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from andon.core.event import Home, Position
from andon.core.outcome import Parked
from andon.core.reason import Reason
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.foreign import ReadTopic
from andon.kafka.records import Headers, Outgoing, Record
from andon.kafka.topics import DLQ, EVENTS
from andon.runtime import parked
from andon.runtime.dlq import CUT, REDRIVE, REDRIVEN, TOPIC, dlq_note
from andon.runtime.feeds import Feed

OWN, OTHER = "own:9092", "kafka.plant-2:9093"
MES = Feed("mes", ReadTopic(topic="mes.alarms"))
PLANT_1 = Feed("plant-1", ReadTopic(topic="alarms"))
PLANT_2 = Feed("plant-2", ReadTopic(topic="alarms", bootstrap=OTHER))


class Log:
    """What lies in the dead-letter topic, and what was written to each cluster. Stands for Scan and Publisher; what is
    in `refused` cannot be written."""

    def __init__(self) -> None:
        self.lying: list[Record] = []
        self.written: list[tuple[str, Outgoing]] = []
        self.refused: dict[bytes | None, str] = {}
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.scan: Callable[[], Any]

    def park(self, topic: str, value: bytes, feed: str = "", key: bytes | None = b"k", headers: Headers = ()) -> str:
        note = dlq_note(Record(topic, 0, 5, 0, key, value, headers), Parked(Reason.INVALID), feed)
        return self.lie(note.key, note.value or b"", note.headers)

    def lie(self, key: bytes | None, value: bytes, headers: Headers) -> str:
        self.lying.append(Record(DLQ, 0, len(self.lying), 0, key, value, headers))
        return f"0-{len(self.lying) - 1}"

    def redrive(self, *chosen: str, feeds: Sequence[Feed] = ()) -> tuple[int, list[str]]:
        told: list[str] = []
        count = asyncio.run(parked.redrive(Connection(OWN), set(chosen), feeds, told.append))
        return count, told

    def listed(self) -> list[parked.Entry]:
        return parked.entries(self.scan())

    def sent(self) -> list[tuple[str, str, bytes | None]]:
        return [(where, one.topic, one.value) for where, one in self.written if one.topic != DLQ]

    def marked(self) -> list[str]:
        return [dict(one.headers)[REDRIVEN].decode() for _, one in self.written if one.topic == DLQ]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()

    class Scan:
        def __init__(self, _link: Connection) -> None:
            pass

        def partitions(self) -> dict[str, int]:
            return {DLQ: 1}

        def beginnings(self, homes: Sequence[Home]) -> dict[Home, int]:
            return dict.fromkeys(homes, 0)

        ends = beginnings

        def stretch(self, _starts: Mapping[Home, int], _ends: Mapping[Home, int], **_: Any) -> Iterator[Record]:
            yield from list(found.lying)

        def close(self) -> None:
            pass

    class Publisher:
        refused = ""

        def __init__(self, link: Connection, _client: str) -> None:
            self.where = link.bootstrap
            found.opened.append(self.where)

        def start(self) -> None:
            pass

        async def append(self, records: Sequence[Outgoing]) -> list[Position | str]:
            fates: list[Position | str] = []
            for one in records:
                if one.value in found.refused:
                    fates.append(found.refused[one.value])
                else:
                    found.written.append((self.where, one))
                    fates.append(Position(one.topic, 0, 0, 0))
            return fates

        def close(self) -> None:
            found.closed.append(self.where)

    found.scan = lambda: Scan(Connection(OWN))
    monkeypatch.setattr(parked, "Scan", Scan)
    monkeypatch.setattr(parked, "Publisher", Publisher)
    return found


def test_each_record_goes_back_to_the_cluster_it_was_read_from(log: Log) -> None:
    ids = [
        log.park(EVENTS, b"ours"),
        log.park("mes.alarms", b"mes", "mes"),
        log.park("alarms", b"plant 1", "plant-1"),
        log.park("alarms", b"plant 2", "plant-2"),
    ]
    assert log.redrive(*ids, feeds=(MES, PLANT_1, PLANT_2)) == (4, [])
    assert set(log.sent()) == {
        (OTHER, "alarms", b"plant 2"),
        (OWN, EVENTS, b"ours"),
        (OWN, "alarms", b"plant 1"),
        (OWN, "mes.alarms", b"mes"),
    }
    assert {where for where, one in log.written if one.topic == DLQ} == {OWN}
    assert sorted(log.marked()) == ids
    assert sorted(log.opened) == sorted(log.closed) == [OTHER, OWN], "one client for each cluster, and none is left"


@pytest.mark.parametrize(
    ("topic", "feed", "feeds", "why"),
    [
        ("alarms", "plant-2", (), "the source plant-2, which is gone, or reads another topic"),
        ("alarms", "plant-2", (PLANT_1,), "the source plant-2, which"),
        ("alarms", "", (), "no source of the configuration in force reads alarms"),
        ("alarms", "", (PLANT_1, PLANT_2), "sources read alarms in several clusters"),
        ("", "", (MES,), "says no topic"),
    ],
)
def test_a_topic_of_others_whose_cluster_is_not_known_is_not_written_to(
    log: Log, topic: str, feed: str, feeds: tuple[Feed, ...], why: str
) -> None:
    astray, ours = log.park(topic, b"astray", feed), log.park(EVENTS, b"ours")
    count, (told,) = log.redrive(astray, ours, feeds=feeds)
    assert (count, log.sent(), log.marked()) == (1, [(OWN, EVENTS, b"ours")], [ours])
    assert told.startswith(f"{astray} ")
    assert re.search(why, told)


@pytest.mark.parametrize(("feed", "where"), [(MES, OWN), (PLANT_2, OTHER)])
def test_what_was_parked_before_sources_were_named_goes_where_its_topic_is_read(
    log: Log, feed: Feed, where: str
) -> None:
    old = log.park(feed.config.topic, b"old")
    assert log.redrive(old, feeds=(feed,)) == (1, [])
    assert log.sent() == [(where, feed.config.topic, b"old")]


def test_what_cannot_be_written_is_passed_over_and_the_others_are_marked(log: Log) -> None:
    ids = [log.park(EVENTS, value) for value in (b"1", b"2", b"3")]
    log.refused[b"2"] = "the topic is gone"
    count, (told,) = log.redrive(*ids)
    assert (count, log.marked()) == (2, [ids[0], ids[2]])
    assert f"{ids[1]} was not written to {EVENTS}: the topic is gone" in told


def test_a_missing_password_passes_over_what_needs_it_only(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("P2", raising=False)
    account = {"user": "env:P2", "password": "env:P2"}
    feed = Feed("plant-2", ReadTopic.model_validate({"topic": "alarms", "bootstrap": OTHER, "sasl": account}))
    ids = [log.park("alarms", b"theirs", "plant-2"), log.park(EVENTS, b"ours")]
    count, (told,) = log.redrive(*ids, feeds=(feed,))
    assert (count, log.marked()) == (1, [ids[1]])
    assert "P2 is not set" in told


def test_without_a_marker_in_the_log_it_fails(log: Log) -> None:
    one = log.park(EVENTS, b"ours")
    log.refused[b""] = "no broker"
    with pytest.raises(KafkaFailure, match="no broker"):
        log.redrive(one)


def test_a_record_that_had_no_key_has_none_again(log: Log) -> None:
    ids = [log.park("mes.alarms", b"none", "mes", key=None), log.park("mes.alarms", b"some", "mes", key=b"some")]
    log.redrive(*ids, feeds=(MES,))
    assert [one.key for _, one in log.written if one.topic != DLQ] == [None, b"some"]


def test_a_tombstone_is_one_again(log: Log) -> None:
    """An empty value would stand in the other program's compacted topic as the newest one of its key."""
    assert log.redrive(log.park("mes.alarms", b"", "mes"), feeds=(MES,)) == (1, [])
    assert log.sent() == [(OWN, "mes.alarms", None)]


@pytest.mark.parametrize("value", [b"body", b""])
def test_a_record_that_brings_the_header_of_a_marker_is_listed_and_redriven(log: Log, value: bytes) -> None:
    one = log.park("mes.alarms", value, "mes", headers=((REDRIVEN, b"0-9"), ("andon-source", b"theirs")))
    assert [(entry.id, entry.redriven) for entry in log.listed()] == [(one, None)]
    assert log.redrive(one, feeds=(MES,)) == (1, [])
    assert [dict(sent.headers).keys() for _, sent in log.written if sent.topic != DLQ] == [{REDRIVE}]
    assert log.marked() == [one]


def test_what_was_parked_with_that_header_by_an_older_version_is_a_record_too(log: Log) -> None:
    one = log.lie(b"k", b"", ((TOPIC, EVENTS.encode()), (REDRIVEN, b"0-9")))
    log.lie(b"k", b"", ((REDRIVEN, one.encode()),))
    (entry,) = log.listed()
    assert entry.id == one
    assert entry.redriven is not None


def test_what_was_cut_is_never_sent(log: Log) -> None:
    one = log.lie(b"k", b"begin", ((TOPIC, EVENTS.encode()), (CUT, b"9000000")))
    assert log.redrive(one) == (0, [])
    assert not log.written
