"""What is written outside of transactions: every record's fate is told, once, and truly."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from confluent_kafka import Message

from andon.core.event import Position
from andon.kafka import producer
from andon.kafka.connection import LARGEST_PARKED, Connection
from andon.kafka.producer import Publisher, Undecided, Written
from andon.kafka.records import Outgoing
from tests.rig.kafka import Kafka
from tests.rig.ports import free_port
from tests.rig.proxy import PRODUCE, Hold, Proxy

TIMEOUT_S = 4.0


def outgoing(topic: str, count: int, key: bytes = b"k") -> list[Outgoing]:
    return [Outgoing(topic, key, b"%d" % n) for n in range(count)]


def place(topic: str, record: Message) -> Position:
    """Where a record stands in the topic's only partition."""
    offset = record.offset()
    assert offset is not None
    return Position(topic, 0, offset, record.timestamp()[1])


@pytest.mark.kafka
def test_positions_are_those_of_the_log_in_order(kafka: Kafka) -> None:
    topic = kafka.topic()

    async def main() -> list[object]:
        publisher = Publisher(kafka.connection, "test")
        publisher.start()
        batches = await asyncio.gather(*(publisher.append(outgoing(topic, 100)) for _ in range(5)))
        assert await publisher.append([]) == []
        await asyncio.to_thread(publisher.close)
        return [fate for batch in batches for fate in batch]

    fates = asyncio.run(main())
    standing = kafka.read(topic)
    assert [one.value() for one in standing] == [b"%d" % n for _ in range(5) for n in range(100)]
    assert fates == [place(topic, one) for one in standing]


@pytest.mark.kafka
def test_an_idle_publisher_does_not_let_a_record_wait(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "_IDLE_S", 3_600.0)
    topic = kafka.topic()

    async def main() -> None:
        publisher = Publisher(kafka.connection, "test")
        publisher.start()
        for _ in range(3):
            (fate,) = await asyncio.wait_for(publisher.append(outgoing(topic, 1)), 30)
            assert isinstance(fate, Position)
            await asyncio.sleep(0.01)
        await asyncio.wait_for(asyncio.to_thread(publisher.close), 30)

    asyncio.run(main())
    assert len(kafka.read(topic)) == 3


@pytest.mark.kafka
def test_a_full_queue_is_told_at_once_and_the_rest_is_written(kafka: Kafka) -> None:
    topic = kafka.topic()

    async def main() -> list[object]:
        publisher = Publisher(kafka.connection, "test", cap=10)
        publisher.start()
        fates = await publisher.append(outgoing(topic, 50))
        again = await publisher.append(outgoing(topic, 10))
        assert all(isinstance(fate, Position) for fate in again), "a full queue stays full"
        await asyncio.to_thread(publisher.close)
        return list(fates)

    fates = asyncio.run(main())
    assert {fate for fate in fates if isinstance(fate, str)} == {"queue full"}
    written = [b"%d" % n for n, fate in enumerate(fates) if isinstance(fate, Position)]
    assert [one.value() for one in kafka.read(topic)][: len(written)] == written


@pytest.mark.kafka
def test_what_the_broker_refuses_is_told_with_its_reason(kafka: Kafka) -> None:
    topic = kafka.topic()

    async def main() -> None:
        publisher = Publisher(kafka.connection, "test")
        publisher.start()
        large = Outgoing(topic, b"k", b"x" * (LARGEST_PARKED + 1))
        refused = Outgoing(topic, b"k", b"x" * (3 << 20))  # more than this topic takes
        fates = await publisher.append([Outgoing(topic, b"k", b"a"), large, refused, Outgoing(topic, b"k", b"b")])
        assert [isinstance(fate, Position) for fate in fates] == [True, False, False, True]
        assert "too large" in str(fates[1])
        assert "too large" in str(fates[2])
        await asyncio.to_thread(publisher.close)

    asyncio.run(main())
    assert [one.value() for one in kafka.read(topic)] == [b"a", b"b"]


@pytest.mark.kafka
def test_close_writes_what_waits_and_later_records_are_refused(kafka: Kafka) -> None:
    topic = kafka.topic()

    async def main() -> None:
        for _ in range(8):  # a race lay here: reports of the last flush were told to nobody
            publisher = Publisher(kafka.connection, "test")
            publisher.start()
            waiting = asyncio.create_task(publisher.append(outgoing(topic, 20)))
            await asyncio.sleep(0)
            await asyncio.to_thread(publisher.close)
            fates = await asyncio.wait_for(waiting, 30)
            assert all(isinstance(fate, Position) for fate in fates)
            assert await asyncio.wait_for(publisher.append(outgoing(topic, 2)), 30) == ["closed", "closed"]

    asyncio.run(main())
    assert len(kafka.read(topic)) == 160


@pytest.mark.kafka
def test_what_comes_while_many_are_out_is_gathered_and_stays_in_order(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_MANY", 1)
    monkeypatch.setattr(producer, "_GATHER_S", 3_600.0)
    topic = kafka.topic()

    async def main() -> list[object]:
        publisher = Publisher(kafka.connection, "test")
        publisher.start()
        first = asyncio.create_task(publisher.append(outgoing(topic, 3)))
        await asyncio.sleep(0)
        rest = [asyncio.create_task(publisher.append(outgoing(topic, 50))) for _ in range(40)]
        await asyncio.sleep(0)
        assert not any(one.done() for one in rest)
        fates = [fate for batch in await asyncio.gather(first, *rest) for fate in batch]
        last = asyncio.create_task(publisher.append(outgoing(topic, 2)))
        held = asyncio.create_task(publisher.append(outgoing(topic, 2)))
        await asyncio.sleep(0)
        await asyncio.to_thread(publisher.close)
        return [*fates, *await last, *await held]

    fates = asyncio.run(main())
    standing = kafka.read(topic)
    values = [b"%d" % n for size in (3, *[50] * 40, 2, 2) for n in range(size)]
    assert [one.value() for one in standing] == values
    assert fates == [place(topic, one) for one in standing]


def test_what_is_gathered_does_not_wait_for_acknowledgements_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "_MANY", 1)

    async def main() -> None:
        publisher = Publisher(Connection("127.0.0.1:1"), "test", cap=3)
        publisher.start()
        waiting = asyncio.create_task(publisher.append(outgoing("t", 3)))
        await asyncio.sleep(0)
        # It reaches the client, which says that its queue is full, while the others have no answer yet.
        assert await asyncio.wait_for(publisher.append(outgoing("t", 2)), 5) == ["queue full"] * 2
        assert not waiting.done()
        await asyncio.to_thread(publisher.close, 0.2)
        assert all(isinstance(fate, str) for fate in await asyncio.wait_for(waiting, 5))

    asyncio.run(main())


def test_close_lets_nobody_wait_for_a_broker_that_is_away() -> None:
    async def main() -> None:
        publisher = Publisher(Connection("127.0.0.1:1"), "test", timeout_s=60)
        publisher.start()
        waiting = asyncio.create_task(publisher.append(outgoing("t", 3)))
        await asyncio.sleep(0)
        await asyncio.to_thread(publisher.close, 0.2)
        fates = await asyncio.wait_for(waiting, 30)
        assert all(isinstance(fate, str) for fate in fates)

    asyncio.run(main())


@pytest.mark.kafka
@pytest.mark.parametrize("patience_s", [None, 120.0])
def test_a_record_that_others_time_out_beside_stands_once_for_who_has_patience(
    kafka: Kafka, patience_s: float | None
) -> None:
    """Kafka has two records, and its answers are lost. When the first one's time is over the library begins a new epoch
    of its producer, and sends the second one again, which Kafka takes for another: with patience it does not."""

    async def main(proxy: Proxy, topic: str) -> None:
        publisher = Publisher(Connection(f"127.0.0.1:{proxy.port}"), "test", timeout_s=TIMEOUT_S, patience_s=patience_s)
        publisher.start()
        assert isinstance((await publisher.append([Outgoing(topic, b"k", b"before")]))[0], Position)
        holding.set()
        late: asyncio.Queue[Written] = asyncio.Queue()
        first = asyncio.create_task(
            publisher.append([Outgoing(topic, b"k", b"first")], lambda _, fate: late.put_nowait(fate))
        )
        await asyncio.sleep(TIMEOUT_S / 2)
        second = asyncio.create_task(publisher.append([Outgoing(topic, b"k", b"second")]))
        (fate,) = await first
        assert isinstance(fate, Undecided if patience_s else str)
        holding.clear()
        proxy.cut()
        (fate,) = await asyncio.wait_for(second, 60)
        assert isinstance(fate, Position)
        if patience_s:
            assert isinstance(await asyncio.wait_for(late.get(), 60), Position)
        await asyncio.to_thread(publisher.close)

    holding = threading.Event()
    often = 0
    for _ in range(3):  # a machine that stands still meanwhile spoils one: then the second one's time is over too
        topic = kafka.topic()
        broker = int(kafka.bootstrap.rpartition(":")[2])
        hold: Callable[[], Hold | None] = lambda: "answer" if holding.is_set() else None  # noqa: E731
        with Proxy(free_port(), broker, hold, held_s=60.0, kind=PRODUCE) as proxy, suppress(AssertionError):
            asyncio.run(main(proxy, topic))
            standing = Counter(one.value() for one in kafka.read(topic))
            often = standing[b"second"]
            break
    assert often == (1 if patience_s else 2)
