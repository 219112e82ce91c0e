"""The bare exactly-once stage: poll, decode, encode, one transaction a batch. No routes, no outcomes, no recovery."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from andon.core.event import Event

BATCH = 1_000


def bare_stage(bootstrap: str, source: str, sink: str, group: str, count: int) -> None:
    decode, encode = msgspec.json.Decoder(Event).decode, msgspec.json.Encoder().encode
    common: dict[str, Any] = {"bootstrap.servers": bootstrap}
    consumer = Consumer(
        common
        | {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        | {"isolation.level": "read_committed", "partition.assignment.strategy": "cooperative-sticky"}
        | {"fetch.queue.backoff.ms": 20, "queued.min.messages": 20_000}
    )
    producer = Producer(
        common
        | {"transactional.id": group, "retry.backoff.ms": 1, "retry.backoff.max.ms": 5, "linger.ms": 1}
        | {"partitioner": "murmur2_random", "batch.num.messages": 10_000}
    )
    producer.init_transactions(20)
    consumer.subscribe([source])
    done = 0
    while done < count:
        batch = consumer.consume(1, 10)
        batch += consumer.consume(BATCH - 1, 0)
        ends: dict[int, int] = {}
        outputs = []
        for record in batch:
            event = decode(record.value())  # type: ignore[arg-type]  # a look would not be bare
            outputs.append({"key": event.labels["to"].encode(), "value": encode(event)})
            ends[record.partition()] = record.offset() + 1  # type: ignore[index, operator]
        producer.begin_transaction()
        while outputs:
            producer.produce_batch(sink, outputs)
            outputs = [{"key": one["key"], "value": one["value"]} for one in outputs if "_error" in one]
        offsets = [TopicPartition(source, partition, offset) for partition, offset in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 10)
        producer.commit_transaction(10)
        done += len(batch)
    consumer.close()


if __name__ == "__main__":
    bare_stage(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
