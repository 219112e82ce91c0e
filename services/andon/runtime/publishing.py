"""Publishing: the next version of the configuration, made of what `andon.config` says at that very moment.

A change is a function from what is published to what shall be. It is asked anew after another process has published
something first, so of two that publish at one time neither loses what the other one wrote.
"""

from __future__ import annotations

import getpass
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from andon.config.published import Published, bundle, content_digest, published
from andon.config.settings import Settings
from andon.core.action import MUTE, PUBLISH, REMUTE, ROLLBACK, UNMUTE, Action, version_action_id
from andon.core.mute import MOST_BYTES, Mute, MuteWrong, require_sound
from andon.core.ports import Clock
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, GroupInUse, KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import ACTIONS, CONFIG
from andon.kafka.transactions import TransactionalProducer
from andon.runtime.clock import SystemClock
from andon.runtime.daemon import unawaited
from andon.runtime.feeds import new_feeds
from andon.runtime.follower import (
    CURRENT_KEY,
    KEPT,
    TOPICS_KEY,
    Board,
    Current,
    Recorded,
    VersionUnreadable,
    number_of,
    read_board,
    version_key,
)
from andon.runtime.registry import Registry

if TYPE_CHECKING:  # the door publishes mutes, and reads no files
    from andon.config.load import Loaded

log = logging.getLogger(__name__)

_TRIES = 5
_PAUSE_S = (0.05, 0.3)
_MARKED_S = 15.0
_AGAIN_S = 0.02


class Said(msgspec.Struct, frozen=True):
    """Who changes something, and why."""

    author: str
    reason: str = ""


OF_NOBODY = Said("")
"""The author is then the account of this process."""


def account() -> str:
    """The account of this process: its name, or its number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # which one depends on the version of Python
        return f"uid {os.getuid()}"


Make = Callable[[Board, int, datetime], Published | None]
"""The next version, which has this number and this time, given what the topic says; None: nothing has to change."""


class Change(NamedTuple):
    """What makes the next version, and as which action it is recorded: on what, and for which client of the door.

    One that `looks_back` is given all versions, another the newest ones.
    """

    action: str
    make: Make
    on: str = ""
    client: str | None = None
    looks_back: bool = False

    @property
    def most(self) -> int | None:
        """How many versions it has to be given; None for all."""
        return None if self.looks_back else KEPT


class NoSuchMute(LookupError):  # noqa: N818 - told to the person who asked
    """There is no mute of this id that is not over."""

    exit_code = 1


def applied(loaded: Loaded, said: Said, *, anew: bool = True) -> Change:
    """The content of files, unless it is in force; the mutes go on. Without `anew` it is not published again after a
    rollback has put it aside, nor past a version that cannot be read. Raises Invalid."""
    digest = content_digest(loaded)

    def change(board: Board, version: int, now: datetime) -> Published | None:
        newest = _if_readable(board) if anew else board.in_force
        if newest is not None and (newest.digest == digest or (not anew and _put_aside(board, digest))):
            return None
        next_one = published(loaded, version, said.author or account(), now, said.reason)
        return replace(next_one, mutes=_going_on(board.mutes, now))

    return Change(PUBLISH, change, looks_back=True)


def _put_aside(board: Board, digest: str) -> bool:
    """Whether a rollback is in force, and this is what files said last."""
    if board.newest is None or board.newest.restores is None:
        return False
    from_files = (one for one in board.all() if one.restores is None)
    last = max(from_files, key=lambda one: one.version, default=None)
    return last is not None and last.digest == digest


def restored(number: int, said: Said) -> Change:
    """The content of an earlier version, as a new one; the mutes of now go on. Raises NoSuchVersion."""

    def change(board: Board, version: int, now: datetime) -> Published | None:
        old, newest = board.version(number), _if_readable(board)
        if newest is not None and newest.digest == old.digest:
            return None
        return replace(
            old,
            version=version,
            at=now,
            author=said.author or account(),
            reason=said.reason,
            restores=number,
            mutes=_going_on(board.mutes, now),
        )

    return Change(ROLLBACK, change, f"version {number}", looks_back=True)


def muted(mute: Mute) -> Change:
    """One more mute, whose id is made here. Raises MuteWrong, and KafkaFailure when nothing is published yet."""

    def change(board: Board, version: int, now: datetime) -> Published:
        newest = _in_force(board)
        return _with(
            newest, _going_on(newest.mutes, now), msgspec.structs.replace(mute, id=f"m{version}"), version, now
        )

    return Change(MUTE, change)


def remuted(which: str, changed: Callable[[Mute, datetime], Mute]) -> Change:
    """A mute as `changed` makes it of what it is now, as the last of all. With an empty id it becomes another one, and
    the one there is ends. Raises MuteWrong, NoSuchMute, and KafkaFailure when nothing is published yet."""

    def change(board: Board, version: int, now: datetime) -> Published:
        newest = _in_force(board)
        mute, rest = _apart(newest, which, now)
        after = changed(mute, now)
        return _with(newest, rest, msgspec.structs.replace(after, id=after.id or f"m{version}"), version, now)

    return Change(REMUTE, change)


def unmuted(which: str, said: Said) -> Change:
    """Without a mute, as if it were over. Raises NoSuchMute, and KafkaFailure when nothing is published yet."""

    def change(board: Board, version: int, now: datetime) -> Published:
        newest = _in_force(board)
        _, rest = _apart(newest, which, now)
        author = said.author or account()
        return replace(newest, version=version, at=now, author=author, reason=said.reason, mutes=rest)

    return Change(UNMUTE, change, which)


def _with(newest: Published, others: tuple[Mute, ...], mute: Mute, version: int, now: datetime) -> Published:
    require_sound(mute, now)
    mutes = (*others, mute)
    if len(msgspec.json.encode(mutes)) > MOST_BYTES:
        raise MuteWrong("matchers", f"all mutes together are larger than {MOST_BYTES >> 10} KiB; end some first")
    return replace(newest, version=version, at=now, author=mute.creator, reason=mute.why, mutes=mutes)


def _apart(newest: Published, which: str, now: datetime) -> tuple[Mute, tuple[Mute, ...]]:
    """A mute that is not over, and the others. Raises NoSuchMute."""
    mutes = _going_on(newest.mutes, now)
    mute = next((one for one in mutes if one.id == which), None)
    if mute is None:
        raise NoSuchMute(f"there is no mute {which} that is not over")
    return mute, tuple(one for one in mutes if one is not mute)


def _in_force(board: Board) -> Published:
    newest = board.in_force
    if newest is None:
        raise KafkaFailure("no configuration is published yet; run `andon apply` first")
    return newest


def _if_readable(board: Board) -> Published | None:
    """What is in force, for who replaces its content and so need not read it."""
    try:
        return board.in_force
    except VersionUnreadable as unread:
        log.warning(
            "published past a version that cannot be read",
            extra={"version": unread.number, "lost_mutes": board.lost_mutes},
        )
        return None


def _going_on(mutes: Iterable[Mute], now: datetime) -> tuple[Mute, ...]:
    """What is over drops out of later versions."""
    return tuple(one for one in mutes if one.ends > now)


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
            "say it again"
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
        wanted = change.make(board, _next(board), datetime.now(UTC))
        if wanted is None:
            return _in_force(board)
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
    KafkaFailure when such a topic does not exist, or when doors read another one for that source.
    """
    before = board.newest.settings if board.newest else None
    for service, feed in new_feeds(settings, before, Registry()).items():
        topic = feed.config.topic
        cluster = Cluster(feed.config.elsewhere() or link)
        if topic not in cluster.partitions():
            raise KafkaFailure(f"there is no topic {topic}, which the source {feed.source} is to read")
        try:
            cluster.seed_offsets(service, topic, earliest=feed.config.begin == "earliest")
        except GroupInUse as problem:
            raise KafkaFailure(
                f"the source {feed.source} cannot begin to read {topic}: {problem}. Give the source of that topic "
                "another name, or stop every door before you publish this"
            ) from None


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
        return _in_force(board)

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
    wanted = change.make(board, _next(board), datetime.now(UTC))
    if wanted is not None:
        yield Outgoing(CONFIG, version_key(wanted.version), bundle(wanted))
        yield Outgoing(CONFIG, CURRENT_KEY, msgspec.json.encode(Current(wanted.version)))
        yield Outgoing(ACTIONS, wanted.author.encode(), msgspec.json.encode(action_of(change, wanted)))


def action_of(change: Change, made: Published) -> Action:
    """The record that a version leaves beside itself."""
    on = change.on or (made.mutes[-1].id if change.action in (MUTE, REMUTE) else "")
    which = version_action_id(made.version)
    return Action(which, made.at, made.author, change.action, True, on, made.reason, made.version, change.client)


def _next(board: Board) -> int:
    return max(board.versions, default=0) + 1
