"""Publishing: the next version of the configuration is written in one transaction, behind what it was made of."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from andon.config.published import Published, bundle
from andon.config.settings import Settings
from andon.core.ports import Clock
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, GroupInUse, KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import ACTIONS, CONFIG
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.changes import Change, action_of, in_force, next_version
from andon.runtime.clock import SystemClock
from andon.runtime.daemon import unawaited
from andon.runtime.feeds import new_feeds
from andon.runtime.follower import CURRENT_KEY, TOPICS_KEY, Board, Current, Recorded, number_of, read_board, version_key
from andon.runtime.registry import Registry

log = logging.getLogger(__name__)

_TRIES = 5
_PAUSE_S = (0.05, 0.3)
_MARKED_S = 15.0
_AGAIN_S = 0.02


async def publish(
    link: Connection,
    change: Change,
    board: Board | None = None,
    *,
    clock: Clock | None = None,
    random: Callable[[int], bytes] = os.urandom,
) -> Published:
    """Publishes what a change makes; the version in force. `board` is what the topic said a moment ago, if that is
    known. Raises KafkaFailure, whose text says so when it is not known whether it was published, and what the change
    raises."""
    tries, clock = _Tries(change, link), clock or SystemClock()
    try:
        return await _published(tries, change, link, board, lambda: clock.sleep(_pause(random)))
    except KafkaFailure as failure:
        if not tries.unknown:
            raise
        raise KafkaFailure(
            f"it is not known whether this was made: {failure}. Look at `andon mutes` or `andon config log` before you "
            "try again"
        ) from None


async def _published(
    tries: _Tries, change: Change, link: Connection, board: Board | None, pause: Callable[[], Awaitable[None]]
) -> Published:
    last = ""
    for number in range(_TRIES):
        if number:
            await pause()
        if board is None:
            board = await unawaited("publish", lambda: read_board(link, change.most))
        if made := tries.made(board):
            return made
        wanted = change.make(board, next_version(board), datetime.now(UTC))
        if wanted is None:
            return in_force(board)
        await unawaited("publish", partial(begin_feeds, wanted.settings, link, board))
        try:
            return await unawaited("publish", tries.publish)
        except Aborted as aborted:  # another process published at the same time, or nobody knows: look again
            board, last = None, str(aborted)
    if made := await unawaited("publish", tries.settled):
        return made
    raise KafkaFailure(
        f"not published in {_TRIES} tries: {last}; where other processes publish configurations, try again when they "
        "have ended"
    )


def _pause(random: Callable[[int], bytes]) -> float:
    """Seconds before a new try: not the same for all that publish at one time, of whom one is let through."""
    shortest, longest = _PAUSE_S
    return shortest + random(1)[0] / 255 * (longest - shortest)


def begin_feeds(settings: Settings, link: Connection, board: Board) -> None:
    """Commits the first offsets of the topics that sources begin to read with this version; blocking.

    Only before a version names them: a group that lost its offsets later must stop, not start over. Raises
    KafkaFailure when such a topic does not exist, when its cluster cannot be asked, or when doors read another one for
    that source.
    """
    before = board.newest.settings if board.newest else None
    for service, feed in new_feeds(settings, before, Registry()).items():
        topic = feed.config.topic
        said = f"the source {feed.source} cannot begin to read {feed.config.connection()}"
        try:
            cluster = Cluster(feed.config.elsewhere() or link)
            there = topic in cluster.partitions()
            if there:
                cluster.seed_offsets(service, topic, earliest=feed.config.begin == "earliest")
        except GroupInUse as problem:
            raise KafkaFailure(
                f"{said}: {problem}. Give the source of that topic another name, or stop every door before you publish "
                "this"
            ) from None
        except KafkaFailure as problem:
            raise KafkaFailure(f"{said}: {problem}") from None
        if not there:
            raise KafkaFailure(f"there is no topic {topic}, which the source {feed.source} is to read")


class _Tries:
    """The transactions of one change. Of one that was not answered it is known later whether it was made: the change
    must not be made a second time then."""

    def __init__(self, change: Change, link: Connection) -> None:
        self._change = change
        self._link = link
        self._last: tuple[int, bytes] | None = None

    @property
    def unknown(self) -> bool:
        """Whether there is one of which it is not known yet."""
        return self._last is not None

    def made(self, board: Board) -> Published | None:
        """What the last try has published after all. Every version says when it was made, so equal bytes are ours."""
        if self._last is None:
            return None
        number, raw = self._last
        return board.version(number) if board.versions.get(number) == raw else None

    def publish(self) -> Published:
        """Two processes that publish at one time must not both make the same version: the transactional.id lets one of
        them through, and only with what it read while it held it. Blocking; raises Aborted."""
        producer = TransactionalProducer(self._link, "andon-config")
        producer.start()
        try:
            board = read_board(self._link, self._change.most)
            if made := self._decided(board):
                return made
            records = list(_records(self._change, board, self._link))
            if records:
                self._commit(producer, records)
                _until_readable(self._link)
            for record in records:
                if record.topic == CONFIG:
                    board.take(record.key, record.value or b"")
        finally:
            producer.close()
        return in_force(board)

    def settled(self) -> Published | None:
        """What the last try has published after all, when there is no other. Blocking."""
        producer = TransactionalProducer(self._link, "andon-config")
        producer.start()
        producer.close()
        return self._decided(read_board(self._link, self._change.most))

    def _decided(self, board: Board) -> Published | None:
        """The same of what was read after a producer was started: only then the last try cannot be made any more."""
        made = self.made(board)
        self._last = None
        return made

    def _commit(self, producer: TransactionalProducer, records: Sequence[Outgoing]) -> None:
        try:
            producer.commit(records)
        except Aborted:
            self._last = _version_in(records)
            raise


def _version_in(records: Iterable[Outgoing]) -> tuple[int, bytes] | None:
    """The version among what is written: its number and its bytes."""
    numbers = ((number_of(record.key), record.value) for record in records if record.topic == CONFIG)
    return next(((number, value) for number, value in numbers if number is not None and value), None)


def _until_readable(link: Connection) -> None:
    """Kafka answers a commit before it has marked it, and until then nobody reads it: who publishes and reads at once
    would not find it. It is in force all the same, so a cluster that goes away now is no failure."""
    try:
        cluster, deadline = Cluster(link), time.monotonic() + _MARKED_S
        ends = cluster.ends([CONFIG])
        while time.monotonic() < deadline:
            decided = cluster.ends([CONFIG], decided=True)
            if all(decided.get(home, 0) >= end for home, end in ends.items()):
                return
            time.sleep(_AGAIN_S)
    except KafkaFailure as failure:
        log.warning("published, and not seen to be readable yet", extra={"problem": str(failure)})


def _records(change: Change, board: Board, link: Connection) -> Iterable[Outgoing]:
    """The records that are missing on the board."""
    if board.recorded is None:
        counts = {topic: n for topic, n in Cluster(link).partitions().items() if topic.startswith("andon.")}
        yield Outgoing(CONFIG, TOPICS_KEY, msgspec.json.encode(Recorded(counts)))
    wanted = change.make(board, next_version(board), datetime.now(UTC))
    if wanted is not None:
        yield Outgoing(CONFIG, version_key(wanted.version), bundle(wanted))
        yield Outgoing(CONFIG, CURRENT_KEY, msgspec.json.encode(Current(wanted.version)))
        yield Outgoing(ACTIONS, wanted.author.encode(), msgspec.json.encode(action_of(change, wanted)))
