"""What an open group takes of memory; `make bench ONLY=open_groups` has 100,000 of them in a process of their own."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime
from typing import cast

import msgspec
import pytest

from andon.config.published import Published
from andon.config.settings import Settings
from andon.core.event import Home, Position
from andon.core.outcome import Delivered, Evidence
from andon.core.policy import Pace
from andon.core.ports import Wire
from andon.core.work import Holding, Write
from andon.egress.desk import EgressWork
from andon.egress.receivers import Receivers
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.runtime.desk.desk import Desk
from andon.runtime.metrics import Metrics
from andon.runtime.registry import Registry
from andon.testing.builders import delivery
from andon.testing.clock import ManualClock
from tests.bench.plant import event

GROUPS, QUEUES = 4_000, 10
HOME = Home("andon.deliveries", 0)
NOW = 1_795_492_800.0
# A process without groups is 80 MB, and 100,000 groups may make 300 of it: whatever waits has also a past.
WAITING, PAST = 1_350, 400


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> EgressWork:
    monkeypatch.setenv("ROBOT", "key")
    settings = Settings.model_validate(
        {
            "version": 1,
            "channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"], "limit": "100000/s"}},
            "receivers": {f"r{n}": {"channel": "robot"} for n in range(QUEUES)},
            "route": {"receiver": "r0"},
        }
    )
    published = Published(1, datetime.fromtimestamp(NOW, UTC), "test", "/", settings, {})
    return EgressWork(Receivers(published, Registry(), cast("Wire", None), ManualClock()), Metrics())


def records() -> list[Record]:
    """Events of about 700 bytes, each a group of its own."""
    made = []
    for number in range(GROUPS):
        at = Position("andon.events", 0, number, round(NOW * 1000))
        one = msgspec.structs.replace(event(number, GROUPS), origin=(at,))
        name = f"r{number % QUEUES}"
        of = delivery(one, receiver=name, recipients=(name,), domain="robot", group="", pace=Pace(600.0, 60.0, 7_200.0))
        whole = msgspec.structs.replace(of, batch=f"0 {one.subject}")
        made.append(Record(HOME.topic, 0, number, 0, b"robot", encode(whole)))
    return made


def test_a_group_takes_little_while_it_waits_and_less_once_it_has_spoken(work: EgressWork) -> None:
    desk = Desk(work)
    desk.adopt(Holding(HOME, 1, None, [], [], {}, []), NOW)
    given = records()
    half = GROUPS // 2
    tracemalloc.start()
    try:
        # What does not grow with the groups is there after the first half.
        _wait(desk, work, given[:half])
        before = _taken()
        _wait(desk, work, given[half:])
        waiting = _taken()
        for one in list(desk.items.values()):
            work.speaks(one, NOW)
            work.closed(one, Delivered(Evidence.VENDOR_ACCEPTED), (), NOW)
        both = _taken()
    finally:
        tracemalloc.stop()
    assert (waiting - before) / half <= WAITING
    assert (both - waiting) / GROUPS <= PAST
    assert (desk.grouped, desk.weight) == (sum(len(one.value) for one in given), 0)
    desk.drop(HOME)
    assert desk.grouped == 0


def _wait(desk: Desk, work: EgressWork, given: list[Record]) -> None:
    for record in given:
        # As from Kafka, each with bytes of its own.
        item = work.read(msgspec.structs.replace(record, value=bytes(bytearray(record.value)))).item
        assert item
        assert desk.admit(item, NOW, Write(HOME, 1))
    assert desk.decide(NOW).calls == []


def _taken() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
