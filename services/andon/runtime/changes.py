"""What the next version of the configuration is, as a function of what is published; no Kafka is asked.

A change is asked anew after another process has published something first, so of two that publish at one time neither
loses what the other one wrote (`publishing`).
"""

from __future__ import annotations

import getpass
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from andon.config.published import Published, content_digest, published
from andon.core.action import MUTE, PUBLISH, REMUTE, ROLLBACK, UNMUTE, Action, version_action_id
from andon.core.mute import MOST_BYTES, Mute, MuteWrong, require_sound
from andon.kafka.errors import KafkaFailure
from andon.runtime.follower import KEPT, Board, VersionUnreadable

if TYPE_CHECKING:  # the door publishes mutes, and reads no files
    from andon.config.load import Loaded

log = logging.getLogger(__name__)


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
        newest = in_force(board)
        return _with(
            newest, _going_on(newest.mutes, now), msgspec.structs.replace(mute, id=f"m{version}"), version, now
        )

    return Change(MUTE, change)


def remuted(which: str, changed: Callable[[Mute, datetime], Mute]) -> Change:
    """A mute as `changed` makes it of what it is now, as the last of all. With an empty id it becomes another one, and
    the one there is ends. Raises MuteWrong, NoSuchMute, and KafkaFailure when nothing is published yet."""

    def change(board: Board, version: int, now: datetime) -> Published:
        newest = in_force(board)
        mute, rest = _apart(newest, which, now)
        after = changed(mute, now)
        return _with(newest, rest, msgspec.structs.replace(after, id=after.id or f"m{version}"), version, now)

    return Change(REMUTE, change)


def unmuted(which: str, said: Said) -> Change:
    """Without a mute, as if it were over. Raises NoSuchMute, and KafkaFailure when nothing is published yet."""

    def change(board: Board, version: int, now: datetime) -> Published:
        newest = in_force(board)
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


def in_force(board: Board) -> Published:
    """What is in force. Raises KafkaFailure when nothing is published yet."""
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


def action_of(change: Change, made: Published) -> Action:
    """The record that a version leaves beside itself."""
    on = change.on or (made.mutes[-1].id if change.action in (MUTE, REMUTE) else "")
    which = version_action_id(made.version)
    return Action(which, made.at, made.author, change.action, True, on, made.reason, made.version, change.client)


def next_version(board: Board) -> int:
    """The number of the one to come."""
    return max(board.versions, default=0) + 1
