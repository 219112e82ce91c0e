"""Following a compacted topic: what it says now, kept up to date while the process runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from andon.core.event import Home
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure
from andon.kafka.reader import TopicReader

log = logging.getLogger(__name__)

_AGAIN_S = 1.0


def beginnings(connection: Connection, topic: str) -> dict[Home, int]:
    """Where a reader of the whole topic begins. Raises KafkaFailure, also for a topic that is not listed: a broker that
    has just started may not know it yet, and nothing must be taken for all of it."""
    found = Cluster(connection).ends([topic], earliest=True)
    if not found:
        raise KafkaFailure(f"{topic} is not there yet")
    return found


class Compacted:
    """Reads a topic from its beginning on, in a thread of its own. `take` gets the key and the value of each record, an
    empty one when the key is gone, in the order of each partition; `read` is called once all that was there has been
    read. While no broker answers, what was read stays."""

    def __init__(
        self,
        connection: Connection,
        topic: str,
        take: Callable[[bytes | None, bytes], None],
        read: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._take = take
        self._read = read
        self._next: dict[Home, int] = {}
        self._told = False
        self._said = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=topic, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                self._next = self._next or beginnings(self._connection, self._topic)
                self._read_on()
            except KafkaFailure as error:
                if self._said != str(error):  # else a line a second, for as long as it lasts
                    self._said = str(error)
                    log.warning("not followed now", extra={"topic": self._topic, "problem": self._said})
                self._closing.wait(_AGAIN_S)

    def _read_on(self) -> None:
        """To the end when that was not reached yet, else for as long as this lives."""
        with closing(TopicReader(self._connection, self._next, patient=self._told)) as reader:
            while not self._closing.is_set() and (self._told or not reader.at_end):
                records = reader.poll()
                self._said = ""
                for record in records:
                    self._take(record.key, record.value)
                    self._next[record.home] = record.offset + 1
        if not self._told and not self._closing.is_set():
            self._told = True
            self._read()

    def close(self) -> None:
        """Stops reading; blocks until it has."""
        self._closing.set()
        self._thread.join()
