"""Avro through a real stage and a real Kafka: mixed with JSON, keys as before, and malformed records parked."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from andon.core.event import Event
from andon.core.outcome import OutcomeRecord, Skipped
from andon.core.ports import Result
from andon.core.reason import Reason
from andon.kafka.connection import Connection
from andon.kafka.foreign import ReadTopic
from andon.kafka.formats import Formats
from andon.kafka.index import Index
from andon.kafka.producer import Publisher
from andon.kafka.records import Outgoing
from andon.kafka.scan import Scan
from andon.kafka.topics import ENRICHED, OUTCOMES
from andon.runtime.clock import SystemClock
from andon.runtime.feeds import Feed
from andon.runtime.metrics import Metrics
from andon.runtime.parked import entries, redrive
from andon.runtime.stage import StageRunner, StageSettings
from andon.runtime.trace import needle
from andon.testing.builders import event
from tests.integration.stage.line import Line
from tests.rig.kafka import Kafka

pytestmark = pytest.mark.kafka


class AsEvents(Index):
    """The index for topics of a test's own, which hold events."""

    def newest(self, topic: str) -> tuple[int, Any]:
        return super().newest(topic if topic == OUTCOMES else ENRICHED)


def avro(line: Line, *topics: str) -> Connection:
    kinds: dict[str, Any] = dict.fromkeys(topics, Event) | {OUTCOMES: OutcomeRecord}
    formats = Formats(kinds, index=AsEvents())
    formats.settle()
    return Connection(line.kafka.bootstrap, {}, formats)


async def _skipping(batch: Any) -> list[Result[Event]]:
    return [Result((), Skipped(Reason.MUTED, "night")) if one.id == "muted" else Result((one,)) for one in batch]


def work(line: Line, link: Connection) -> None:
    """Runs a stage that reads and writes what the connection says until every input is committed."""

    async def main() -> None:
        settings: StageSettings[Event] = StageSettings(line.service, line.source, line.sink, lambda one: one.subject)
        runner = StageRunner(settings, lambda: _skipping, link, SystemClock(), Metrics(), lambda: 7)
        async with line.running(runner) as task:
            await line.finished(task)

    asyncio.run(main())


def test_a_topic_that_changes_its_codec_is_read_as_one(kafka: Kafka) -> None:
    line = Line(kafka)
    link = avro(line, line.source, line.sink)
    first = event(id="first", data={"n": [None, 1.5, {"deep": [[]]}]}, facts={"machine": {"leader": "王晴"}})
    events = [first, event(id="muted"), event(id="last", subject="line-4")]
    plain = [msgspec.json.encode(one) for one in events]
    written = [plain[0], link.formats.outgoing(line.source, plain[1]), link.formats.outgoing(line.source, plain[2])]
    assert [one[:1] for one in written] == [b"{", b"\0", b"\0"]
    line.send_raw(written)
    work(line, link)

    found = kafka.read(line.sink)
    assert [(one.value() or b"")[:1] for one in found] == [b"\0", b"\0"]
    assert [one.key() for one in found] == [b"line-3/M-07", b"line-4"]
    back = [msgspec.json.decode(Formats().incoming(one.value() or b""), type=Event) for one in found]
    assert [msgspec.structs.replace(one, origin=()) for one in back] == [first, events[2]]
    assert [one.origin[0].offset for one in back] == [0, 2]
    told = [one.value() or b"" for one in kafka.read(OUTCOMES)]
    skipped = [msgspec.json.decode(Formats().incoming(one), type=OutcomeRecord) for one in told if one[:1] == b"\0"]
    assert [one.outcome for one in skipped if one.origin[0].topic == line.source] == [Skipped(Reason.MUTED, "night")]


def test_malformed_avro_is_parked_with_its_bytes_and_can_be_redriven(kafka: Kafka) -> None:
    line = Line(kafka)
    link = avro(line, line.sink)
    good = avro(line, line.source).formats.outgoing(line.source, msgspec.json.encode(event(id="good")))
    huge = b"\x80\x80\x80\x80\x80\x80\x80\x80\x20"
    poison = {
        "cut": good[:-7],
        "a byte too many": good + b"\0",
        "a negative length": good[:5] + b"\x01" + good[6:],
        "a length of 2^60": good[:5] + huge + good[6:],
        "2^60 items": good[:-1] + huge,
        "a union's index": good[:-2] + b"\x06" + good[-1:],
        "an index below zero": good[:-2] + b"\x01" + good[-1:],
        "not UTF-8": good.replace(b"good", b"\xff\xfe\xfd\xfc"),
        "a number without end": good[:5] + b"\xff" * 100,
        "an id that nobody knows": b"\0\0\0\0\1" + good[5:],
        "half of a head": b"\0\0\0",
        "another topic's record": b"\0" + (2_000_000_005).to_bytes(4) + good[5:],
        "JSON nested too deeply": good.replace(b'"E-104"', b"[[[[[[["),
    }
    line.send_raw([one for bad in poison.values() for one in (bad, good)])
    work(line, link)
    assert len(kafka.read(line.sink)) == len(poison)
    parked = line.parked()
    assert sorted(parked) == list(range(0, 2 * len(poison), 2))
    for (name, raw), copy in zip(poison.items(), (parked[offset] for offset in sorted(parked)), strict=True):
        headers = dict(copy.headers() or ())
        assert copy.value() == raw, name
        assert headers["andon-reason"] == b"undecodable"
        assert headers["andon-class"], name

    scan = Scan(link)
    ours = [one for one in entries(scan) if one.origin.topic == line.source]
    scan.close()
    assert len(ours) == len(poison)
    feed = Feed("test", ReadTopic(topic=line.source))
    assert asyncio.run(redrive(link, {ours[0].id}, (feed,))) == 1
    assert kafka.read(line.source)[-1].value() in poison.values()


def test_what_is_published_and_searched_for(kafka: Kafka) -> None:
    """The door's own JSON becomes Avro on its way, and a search by text finds it."""
    line = Line(kafka)
    link = avro(line, line.source)
    raw = b' {"id":"\\u738b","source":"s","type":"t","subject":"x","time":"2026-11-22T06:03:05+08:00","data":{"a":1e2}}'

    async def publish() -> None:
        publisher = Publisher(link, "t")
        publisher.start()
        await publisher.append([Outgoing(line.source, b"x", raw, ()), Outgoing(line.source, b"x", b"{", ())])
        await asyncio.to_thread(publisher.close)

    asyncio.run(publish())
    first, second = kafka.read(line.source)
    assert (first.value() or b"")[:1] == b"\0"
    assert second.value() == b"{", "what is no event stays what it is"
    scan = Scan(link)
    from andon.core.event import Home

    home = Home(line.source, 0)
    (found,) = scan.stretch({home: 0}, scan.ends([home]), having=needle("王"))
    scan.close()
    assert msgspec.json.decode(found.value, type=Event) == msgspec.json.decode(raw, type=Event)
    assert found.original == first.value()
