"""The published configuration: services read only `andon.config`, and follow it while they run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import msgspec

from andon.config.published import BundleUnreadable, Published, unbundle
from andon.core.event import Home
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure, PartitionsChanged
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.topics import CONFIG

log = logging.getLogger(__name__)

NAME = "andon"
TOPICS_KEY = b"topics"
CURRENT_KEY = NAME.encode()
_START_S = 60.0


class Recorded(msgspec.Struct, frozen=True):
    """What was fixed when the topics were created."""

    partitions: dict[str, int]


class Current(msgspec.Struct, frozen=True):
    """Which version is in force."""

    version: int


def version_key(version: int) -> bytes:
    """The key under which a version stands, never to be overwritten."""
    return f"{NAME}@{version}".encode()


class Board:
    """What `andon.config` says so far. A version that cannot be read is passed over: an old service keeps running."""

    def __init__(self) -> None:
        self.recorded: Recorded | None = None
        self.newest: Published | None = None
        self.versions: dict[int, bytes] = {}

    def take(self, key: bytes | None, value: bytes) -> Published | None:
        """Takes in a record; the version that came into force with it, if one did."""
        if key == TOPICS_KEY:
            self.recorded = msgspec.json.decode(value, type=Recorded)
        elif key == CURRENT_KEY:
            return self._switch(msgspec.json.decode(value, type=Current).version)
        elif key and key.startswith(CURRENT_KEY + b"@"):
            self.versions[int(key.rpartition(b"@")[2])] = value
        return None

    def _switch(self, version: int) -> Published | None:
        try:
            self.newest = unbundle(self.versions[version])
        except (KeyError, BundleUnreadable) as error:
            log.error("configuration not readable", extra={"version": version, "problem": str(error)})
            return None
        return self.newest


class Follower:
    """Reads the topic in a thread of its own; tells each version that comes into force on the event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._board = Board()
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[Published] = self._loop.create_future()
        self._told: Callable[[Published], None] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="config", daemon=True)
        self._thread.start()

    async def first(self, within_s: float = _START_S) -> Published:
        """The version in force. Raises KafkaFailure when none is published within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._first)
        except TimeoutError:
            raise KafkaFailure("no configuration is published; run `andon apply`, then start again") from None

    def then(self, told: Callable[[Published], None]) -> None:
        """Calls `told` on the event loop for each later version."""
        self._told = told

    def require(self, actual: dict[str, int]) -> None:
        """Raises PartitionsChanged when a topic has another number of partitions than was recorded."""
        recorded = self._board.recorded
        for topic, count in (recorded.partitions if recorded else {}).items():
            if actual.get(topic) != count:
                raise PartitionsChanged(
                    f"{topic} has {actual.get(topic, 0)} partitions; {count} were recorded at its creation. Subjects "
                    "would change places and lose their order. Restore the count, or drain and start anew"
                )

    def _follow(self) -> None:
        reader = TopicReader(self._connection, {Home(CONFIG, 0): BEGINNING})
        try:
            caught_up = False
            while not self._closing.is_set():
                for record in reader.poll(wait_s=0.2):
                    changed = self._board.take(record.key, record.value)
                    if caught_up and changed:
                        self._loop.call_soon_threadsafe(self._tell, changed)
                if not caught_up and reader.at_end and self._board.newest:
                    caught_up = True
                    self._loop.call_soon_threadsafe(self._tell, self._board.newest)
        except KafkaFailure as error:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            reader.close()

    def _tell(self, published: Published) -> None:
        if not self._first.done():
            self._first.set_result(published)
        elif self._told:
            self._told(published)

    def _fail(self, error: KafkaFailure) -> None:
        if not self._first.done():
            self._first.set_exception(error)
        else:
            log.error("the configuration is no longer followed", extra={"problem": str(error)})

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
