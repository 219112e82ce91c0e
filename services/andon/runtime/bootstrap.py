"""Before services start: topics, first offsets, and the configuration published in `andon.config`."""

from __future__ import annotations

import asyncio
import getpass
import logging
from datetime import UTC, datetime

import msgspec

from andon.config.load import Loaded
from andon.config.published import bundle, content_digest
from andon.config.settings import Kafka
from andon.core.event import Home, Position
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection, connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.producer import Publisher
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.records import Outgoing
from andon.kafka.topics import CONFIG, READERS
from andon.runtime.follower import CURRENT_KEY, TOPICS_KEY, Board, Current, Recorded, version_key

log = logging.getLogger(__name__)

_WAIT_S = 60.0


async def prepare(loaded: Loaded, bootstrap: str | None = None) -> int:
    """Makes the cluster ready for `loaded`: creates missing topics, commits each group's first offsets once, records
    the partition counts, and publishes the configuration unless the version in force has the same content.

    Returns the version in force. Raises KafkaFailure.
    """
    link = connection(loaded.settings.kafka, bootstrap)
    board = await asyncio.to_thread(create, loaded.settings.kafka, link)
    return await publish(loaded, link, board)


def create(kafka: Kafka, link: Connection) -> Board:
    """Topics, first offsets and the record of both; blocking. Returns what `andon.config` says."""
    cluster = Cluster(link)
    cluster.wait(_WAIT_S)
    created = cluster.create_topics(kafka)
    if created:
        log.info("topics created", extra={"topics": created})
    board = read_board(link)
    if board.recorded is None:
        # Only before anything was ever recorded: a group that lost its offsets later must stop, not start over.
        for service, topic in READERS.items():
            cluster.seed_offsets(service, topic)
    return board


def read_board(link: Connection) -> Board:
    """Everything `andon.config` says now; blocking."""
    board = Board()
    reader = TopicReader(link, {Home(CONFIG, 0): BEGINNING})
    try:
        for record in reader.until_end(_WAIT_S):
            board.take(record.key, record.value)
    finally:
        reader.close()
    return board


async def publish(loaded: Loaded, link: Connection, board: Board) -> int:
    """Publishes a configuration as the next version; the version in force. Raises KafkaFailure."""
    records = []
    if board.recorded is None:
        counts = await asyncio.to_thread(Cluster(link).partitions)
        ours = {topic: count for topic, count in counts.items() if topic.startswith("andon.")}
        records.append(Outgoing(CONFIG, TOPICS_KEY, msgspec.json.encode(Recorded(ours))))
    version = board.newest.version if board.newest else 0
    if board.newest is None or board.newest.digest != content_digest(loaded):
        version = max(board.versions, default=0) + 1
        value = bundle(loaded, version, getpass.getuser(), datetime.now(UTC))
        records.append(Outgoing(CONFIG, version_key(version), value))
        records.append(Outgoing(CONFIG, CURRENT_KEY, msgspec.json.encode(Current(version))))
    if records:
        await _append(link, records)
    return version


async def _append(link: Connection, records: list[Outgoing]) -> None:
    publisher = Publisher(link, "andon-config")
    publisher.start()
    try:
        for fate in await publisher.append(records):
            if not isinstance(fate, Position):
                raise KafkaFailure(f"the configuration could not be published: {fate}")
    finally:
        await asyncio.to_thread(publisher.close)
