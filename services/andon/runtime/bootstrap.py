"""Before services start: topics, first offsets, and the configuration published in `andon.config`."""

from __future__ import annotations

import logging

from andon.config.kafka import Kafka
from andon.config.load import Loaded
from andon.config.published import Published
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection, connection
from andon.kafka.topics import READERS
from andon.runtime.changes import OF_NOBODY, Said, applied
from andon.runtime.daemon import unawaited
from andon.runtime.follower import Board, read_board
from andon.runtime.publishing import publish

log = logging.getLogger(__name__)

_WAIT_S = 60.0


async def prepare(
    loaded: Loaded, bootstrap: str | None = None, said: Said = OF_NOBODY, *, anew: bool = True
) -> Published:
    """Makes the cluster ready for `loaded`: creates missing topics, commits each group's first offsets once, records
    the partition counts, and publishes the configuration unless the version in force has the same content. Without
    `anew` files that a rollback has put aside are published only once they change.

    Returns what is in force. Raises KafkaFailure.
    """
    link = connection(loaded.settings.kafka, bootstrap)
    board = await unawaited("prepare", lambda: create(loaded.settings.kafka, link))
    return await publish(link, applied(loaded, said, anew=anew), board)


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
