"""What a benchmark reads of a topic: from its present end on, so many records."""

from __future__ import annotations

import time

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.reader import END, TopicReader
from andon.kafka.records import Record


def at_end(link: Connection, topic: str) -> TopicReader:
    """A reader of what comes from now on."""
    reader = TopicReader(link, {Home(topic, p): END for p in range(Cluster(link).partitions()[topic])})
    while not reader.at_end:
        reader.poll()
    return reader


def read(reader: TopicReader, count: int, within_s: float = 180.0) -> list[Record]:
    """The next `count` records; closes the reader. Raises RuntimeError when they do not come in time."""
    found: list[Record] = []
    until = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < until:
        found += reader.poll()
    reader.close()
    if len(found) < count:
        raise RuntimeError(f"{len(found)} of {count} came")
    return found


def per_s(records: list[Record]) -> float:
    """Records a second by the broker's clock, from the first to the last."""
    times = [record.at for record in records]
    return len(times) / ((max(times) - min(times)) / 1000)
