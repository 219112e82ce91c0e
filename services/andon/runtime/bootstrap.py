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
from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection, connection
from andon.kafka.errors import Aborted, KafkaFailure
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.records import Outgoing
from andon.kafka.topics import CONFIG, READERS
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.feeds import feeds_of
from andon.runtime.follower import CURRENT_KEY, TOPICS_KEY, Board, Current, Recorded, version_key
from andon.runtime.registry import Registry

log = logging.getLogger(__name__)

_WAIT_S = 60.0
_TRIES = 5


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
    """Publishes a configuration as the next version, unless the one in force on `board` has the same content; the
    version in force. Raises KafkaFailure."""
    for _ in range(_TRIES):
        if not _changes(loaded, board, {}):
            return board.newest.version if board.newest else 0
        await asyncio.to_thread(begin_feeds, loaded, link, board)
        try:
            return await asyncio.to_thread(_publish, loaded, link)
        except Aborted:  # another process published at the same time: look again
            board = await asyncio.to_thread(read_board, link)
    raise KafkaFailure("other processes keep publishing configurations; try again when they have ended")


def begin_feeds(loaded: Loaded, link: Connection, board: Board) -> None:
    """Commits the first offsets of the topics that sources begin to read with this version; blocking.

    Only before a version names them: a group that lost its offsets later must stop, not start over. Raises
    KafkaFailure when such a topic does not exist.
    """
    registry = Registry()
    known = feeds_of(board.newest.settings if board.newest else None, registry)
    for service, feed in feeds_of(loaded.settings, registry).items():
        topic = feed.config.topic
        if service in known and known[service].place == feed.place:
            continue
        cluster = Cluster(feed.config.elsewhere() or link)
        if topic not in cluster.partitions():
            raise KafkaFailure(f"there is no topic {topic}, which the source {feed.source} is to read")
        cluster.seed_offsets(service, topic, earliest=feed.config.begin == "earliest")


def _publish(loaded: Loaded, link: Connection) -> int:
    """Two processes that publish at one time must not both make the same version: the transactional.id lets one of
    them through, and only with what it read while it held it. Blocking; raises Aborted."""
    producer = TransactionalProducer(link, "andon-config")
    producer.start()
    board = read_board(link)
    counts = Cluster(link).partitions()
    if records := _changes(loaded, board, {topic: n for topic, n in counts.items() if topic.startswith("andon.")}):
        producer.commit(records)
    for record in records:
        board.take(record.key, record.value or b"")
    producer.close()
    return board.newest.version if board.newest else 0


def _changes(loaded: Loaded, board: Board, counts: dict[str, int]) -> list[Outgoing]:
    """The records that are missing on the board."""
    records = []
    if board.recorded is None:
        records.append(Outgoing(CONFIG, TOPICS_KEY, msgspec.json.encode(Recorded(counts))))
    if board.newest is None or board.newest.digest != content_digest(loaded):
        version = max(board.versions, default=0) + 1
        value = bundle(loaded, version, getpass.getuser(), datetime.now(UTC))
        records.append(Outgoing(CONFIG, version_key(version), value))
        records.append(Outgoing(CONFIG, CURRENT_KEY, msgspec.json.encode(Current(version))))
    return records
