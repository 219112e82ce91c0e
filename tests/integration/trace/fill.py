"""Topics as a long day leaves them, written fast and without services: from the events to their outcomes."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from andon.core.delivery import Delivery, delivery_id
from andon.core.event import Event, Position, at_position
from andon.core.ids import uuid7
from andon.core.outcome import Attempt, Delivered, Evidence, OutcomeRecord
from andon.core.reason import Reason
from andon.kafka.codecs import encode
from andon.kafka.connection import Connection
from andon.kafka.partitioner import partition_of
from andon.kafka.topics import DELIVERIES, ENRICHED, EVENTS, OUTCOMES

PARTITIONS = 12
CONFIG = """
version: 1
sources: {mes: {kind: http, token: env:TRACE_TOKEN}}
connectors: {machine: {kind: csv, file: machines.csv, key: machine_no}}
enrich: [{matchers: ['type="fault"'], connector: machine}]
channels: {a: {kind: wecom_robot, keys: [env:TRACE_A]}, b: {kind: wecom_robot, keys: [env:TRACE_B]}}
receivers: {duty: {channel: a}, 三线班组: {channel: b}}
route:
  receiver: duty
  routes:
    - {matchers: ['line="L3"'], receiver: 三线班组}
    - {matchers: ['severity="minor"'], receiver: duty, mute_time_intervals: [always]}
calendar: {time_intervals: {always: [{times: ["00:00-24:00"]}]}}
"""


def configuration(folder: Path) -> Path:
    """Writes the configuration the records below come from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machines.csv").write_text("machine_no,name\nm-1,冲压机\n", encoding="utf-8")
    (folder / "andon.yaml").write_text(CONFIG, encoding="utf-8")
    return folder / "andon.yaml"


def event(number: int) -> Event:
    """One of 500 machines; every third is on line 3."""
    now = time.time()
    return Event(
        id=str(uuid7(now, os.urandom(10))),
        source="mes",
        type="fault",
        subject=f"line-{number % 50}/M-{number % 500:03}",
        time=datetime.fromtimestamp(now, UTC),
        data={"code": f"E-{number % 40}", "temperature": 71.5},
        labels={"state": "raise", "severity": "major", "line": "L3" if number % 3 == 0 else "L1"},
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


class Filler:
    """Writes chunks of finished events; remembers where every record of `kept` ones stands."""

    def __init__(self, link: Connection) -> None:
        self._producer = Producer(
            link.client() | {"linger.ms": 20, "queue.buffering.max.messages": 300_000, "compression.type": "lz4"}
        )
        self._next: dict[tuple[str, int], int] = defaultdict(int)

    def chunk(self, first: int, count: int) -> list[Event]:
        """`count` events from acceptance to outcome; they are returned as routing saw them."""
        events = self._write(EVENTS, [event(number) for number in range(first, first + count)], _subject)
        # Transactions leave marks in this topic, so its offsets run ahead of the events'.
        self._write(ENRICHED, [_mark(p) for p in range(PARTITIONS)], _subject)
        events = self._write(ENRICHED, [_with_facts(one) for one in events], _subject)
        deliveries = [_delivery(one) for one in events]
        placed = self._write(DELIVERIES, deliveries, lambda one: one.domain)
        self._write(OUTCOMES, [_outcome(one) for one in placed], _subject)
        return events

    def _write(self, topic: str, records: Sequence[Any], key: Any) -> list[Any]:
        batches: dict[int, list[dict[str, bytes]]] = defaultdict(list)
        placed: list[Any] = []
        now = int(time.time() * 1000)
        for record in records:
            raw = key(record).encode()
            number = partition_of(raw, PARTITIONS)
            batches[number].append({"key": raw, "value": encode(record)})
            place = Position(topic, number, self._next[topic, number], now)
            self._next[topic, number] += 1
            if isinstance(record, Event):
                placed.append(at_position(record, place))
            elif isinstance(record, Delivery):
                placed.append((record, place))
        for number, batch in batches.items():
            while batch:
                self._producer.produce_batch(topic, batch, partition=number)
                batch = [{"key": m["key"], "value": m["value"]} for m in batch if "_error" in m]
                self._producer.poll(0.05 if batch else 0)
        assert self._producer.flush(60) == 0
        return placed


def _mark(number: int) -> Event:
    """A record of no event that is in `andon.events`."""
    place = Position(EVENTS, number, -2)
    return Event("filler", "none", "none", f"filler-{number}", datetime.now(UTC), {}, origin=(place,))


def _subject(record: Any) -> str:
    return str(record.subject)


def _with_facts(one: Event) -> Event:
    return Event(
        **{name: getattr(one, name) for name in one.__struct_fields__} | {"facts": {"machine": {"name": "冲压机"}}}
    )


def _delivery(one: Event) -> Delivery:
    receiver, domain = ("三线班组", "TRACE_B") if one.labels["line"] == "L3" else ("duty", "TRACE_A")
    return Delivery(
        delivery_id(one, receiver),
        one,
        receiver,
        f"wecom_robot:env:{domain}",
        (receiver,),
        "0",
        1,
        "",
        origin=one.origin,
    )


def _outcome(placed: tuple[Delivery, Position]) -> OutcomeRecord:
    one, place = placed
    now = datetime.now(UTC)
    return OutcomeRecord(
        id=one.id,
        event=one.event.id,
        source=one.event.source,
        subject=one.event.subject,
        outcome=Delivered(Evidence.VENDOR_ACCEPTED),
        at=now,
        delivery=one.id,
        receiver=one.receiver,
        channel="a",
        attempts=(Attempt(1, now, now, Reason.DELIVERED),),
        origin=(*one.origin, place),
        config_version=1,
    )
