"""The published configuration: services read only `andon.config`, and follow it while they run."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress

import msgspec

from andon.config.published import BundleUnreadable, Published, mutes_of, unbundle
from andon.core.event import Home
from andon.core.mute import Mute
from andon.kafka.connection import Connection
from andon.kafka.errors import KafkaFailure, PartitionsChanged, Repartitioning
from andon.kafka.reader import BEGINNING, TopicReader
from andon.kafka.records import Record
from andon.kafka.topics import CONFIG

log = logging.getLogger(__name__)

NAME = "andon"
KEPT = 20
"""Versions that a board keeps for who needs only the newest: each mute makes one, so there are thousands in a year. The
others are for the case that it cannot be read."""
TOPICS_KEY = b"topics"
CURRENT_KEY = NAME.encode()
_START_S = 60.0
_WAIT_S = 60.0
_AGAIN_S = 0.5


class Recorded(msgspec.Struct, frozen=True):
    """What was fixed when the topics were created, or by the last repartition. `becoming` is the count of one that is
    not done yet; `first` that of the beginning, if it has changed since."""

    partitions: dict[str, int]
    becoming: int | None = None
    first: int | None = None


class Current(msgspec.Struct, frozen=True):
    """Which version is in force."""

    version: int


def version_key(version: int) -> bytes:
    """The key under which a version stands, never to be overwritten."""
    return f"{NAME}@{version}".encode()


def number_of(key: bytes | None) -> int | None:
    """The version that stands under a key; None for another key. Raises ValueError."""
    head, at, number = (key or b"").rpartition(b"@")
    return int(number) if at and head == CURRENT_KEY else None


class NoSuchVersion(LookupError):  # noqa: N818 - told to the person who asked
    """There is no version of this number; the text says which there are."""

    exit_code = 1


class VersionUnreadable(KafkaFailure):
    """The version in force cannot be read here; `number` is which."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"version {number} of the configuration is in force, which this Andon cannot read: it was published by "
            "another one, as a rule a later one; use that, or publish other content past it with `andon apply`"
        )
        self.number = number


class Board:
    """What `andon.config` says so far. What cannot be read is passed over: an old service keeps running.

    `versions` are all there are, or the newest `most` of them; the first record of a version stands for ever.
    """

    def __init__(self, most: int | None = None) -> None:
        self.recorded: Recorded | None = None
        self.versions: dict[int, bytes] = {}
        self._most = most
        self._newest: Published | None = None
        self._read: int | None = None
        self._last: int | None = None
        self._named: list[int] = []

    def take(self, key: bytes | None, value: bytes) -> None:
        """Takes in a record."""
        try:
            if key == TOPICS_KEY:
                self.recorded = msgspec.json.decode(value, type=Recorded)
            elif key == CURRENT_KEY:
                self._last = msgspec.json.decode(value, type=Current).version
                self._named.append(self._last)
            elif (number := number_of(key)) is not None:
                self._keep(number, value)
        except (msgspec.MsgspecError, ValueError) as error:
            log.error("configuration not readable", extra={"key": repr(key), "problem": str(error)})

    def _keep(self, number: int, value: bytes) -> None:
        self.versions.setdefault(number, value)
        if self._most is not None and len(self.versions) > self._most:
            del self.versions[min(self.versions)]

    @property
    def newest(self) -> Published | None:
        """The version in force: the last one named that can be read. Only that one is read, however many there were."""
        while self._named:
            number = self._named.pop()
            try:
                self._newest = self.version(number)
            except (NoSuchVersion, BundleUnreadable) as error:
                log.error("configuration not readable", extra={"version": number, "problem": str(error)})
            else:
                self._read = number
                self._named.clear()
        return self._newest

    @property
    def in_force(self) -> Published | None:
        """The version named last, of which another one may be made; None when nothing is published. Raises
        VersionUnreadable: services go on with the one before, but it must not be put back for all."""
        newest = self.newest
        if self._last is not None and self._read != self._last:
            raise VersionUnreadable(self._last)
        return newest

    @property
    def mutes(self) -> tuple[Mute, ...]:
        """What the version in force mutes; as far as that can be read where the version cannot."""
        return self._mutes()[0]

    @property
    def lost_mutes(self) -> int:
        """How many mutes of the version in force cannot be read here: another version goes on without them."""
        return self._mutes()[1]

    def _mutes(self) -> tuple[tuple[Mute, ...], int]:
        try:
            newest = self.in_force
        except VersionUnreadable as unread:
            return mutes_of(self.versions.get(unread.number, b""))
        return (newest.mutes if newest else ()), 0

    def version(self, number: int) -> Published:
        """A version, whatever is in force: with it an event is explained or replayed as it was decided. Raises
        NoSuchVersion, and BundleUnreadable for what another Andon wrote."""
        if number not in self.versions:
            known = f"{min(self.versions)} to {max(self.versions)}" if self.versions else "none at all"
            raise NoSuchVersion(f"there is no version {number} of the configuration; there is {known}")
        return unbundle(self.versions[number])

    def all(self) -> Iterator[Published]:
        """Every version that can be read, newest first."""
        for number in sorted(self.versions, reverse=True):
            with suppress(BundleUnreadable):
                yield self.version(number)


def read_board(link: Connection, most: int | None = None) -> Board:
    """What `andon.config` says now, with all versions or the newest `most`; blocking."""
    board = Board(most)
    with closing(TopicReader(link, {Home(CONFIG, 0): BEGINNING})) as reader:
        for record in reader.until_end(_WAIT_S):
            board.take(record.key, record.value)
    return board


class Follower:
    """Reads the topic in a thread of its own, for as long as it takes; tells each version that comes into force on the
    event loop. While no broker answers, the version in force stays."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._board = Board(KEPT)
        self._next = BEGINNING
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[Published] = self._loop.create_future()
        self._told: Callable[[Published], None] | None = None
        self._moving: Callable[[], None] | None = None
        self._missed: Published | None = None
        self._sent: Published | None = None
        self._unread: VersionUnreadable | None = None
        self._caught_up = False
        self._problem = f"{CONFIG} at {connection.bootstrap} could not be read to its end in time"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="config", daemon=True)
        self._thread.start()

    async def first(self, within_s: float = _START_S) -> Published:
        """The version in force. Raises KafkaFailure when there is none that can be read within `within_s` seconds; that
        none is published it says only when the topic was read."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._first)
        except TimeoutError:
            if self._unread:
                raise self._unread from None
            if not self._caught_up:
                raise KafkaFailure(self._problem) from None
            raise KafkaFailure("no configuration is published; run `andon apply`, then start again") from None

    def then(self, told: Callable[[Published], None], moving: Callable[[], None] = lambda: None) -> None:
        """Calls on the event loop: `told` for each version after the one `first` gave, `moving` when a repartition
        begins, which the process must not live through."""
        self._told, self._moving = told, moving
        if self._missed is not None:
            told(self._missed)

    def require(self, actual: dict[str, int]) -> None:
        """Raises PartitionsChanged when a topic has another number of partitions than was recorded, Repartitioning
        while that is being changed."""
        self.require_still()
        recorded = self._board.recorded
        for topic, count in (recorded.partitions if recorded else {}).items():
            if actual.get(topic) != count:
                raise PartitionsChanged(topic, actual.get(topic, 0), count)

    def require_still(self) -> None:
        """Raises Repartitioning."""
        recorded = self._board.recorded
        if recorded and recorded.becoming:
            raise Repartitioning(recorded.becoming)

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                self._read_on()
            except KafkaFailure as error:
                if self._problem != str(error):  # else a line a second, for as long as it lasts
                    self._problem = str(error)
                    log.warning("the configuration is not followed now", extra={"problem": self._problem})
                self._closing.wait(_AGAIN_S)

    def _read_on(self) -> None:
        """To the end when that was not reached yet, else for as long as this lives."""
        starts = {Home(CONFIG, 0): self._next}
        with closing(TopicReader(self._connection, starts, patient=self._caught_up)) as reader:
            while not self._closing.is_set() and (self._caught_up or not reader.at_end):
                self._take(reader.poll())
                if self._caught_up or reader.at_end:
                    self._compare()
                if self._caught_up and reader.at_end:
                    self._problem = ""  # it is over, and would be said again
        self._caught_up = True

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            self._board.take(record.key, record.value)
            self._next = record.offset + 1

    def _compare(self) -> None:
        """Tells what is new on the board."""
        if self._moving and self._board.recorded and self._board.recorded.becoming:
            self._loop.call_soon_threadsafe(self._moving)
        newest = self._board.newest
        try:
            _ = self._board.in_force
        except VersionUnreadable as unread:
            self._unread = unread
        if newest is not None and newest is not self._sent:
            self._sent = newest
            self._loop.call_soon_threadsafe(self._tell, newest)

    def _tell(self, published: Published) -> None:
        if not self._first.done():
            self._first.set_result(published)
        elif self._told:
            self._told(published)
        else:
            self._missed = published

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
