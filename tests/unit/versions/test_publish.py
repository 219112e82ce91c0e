"""What `publish` does when a transaction does not end as it should; the topic is a list of records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from andon.kafka.connection import Connection
from andon.kafka.errors import Aborted, KafkaFailure
from andon.kafka.records import Outgoing
from andon.kafka.topics import ACTIONS, CONFIG
from andon.runtime import publishing
from andon.runtime.changes import OF_NOBODY, Change, Said, account, applied, muted, restored, unmuted
from andon.runtime.follower import TOPICS_KEY, Board, Recorded
from andon.runtime.publishing import publish
from tests.unit.versions.boards import files, mute

ME = Said("wang")
UNTIL_READABLE = publishing._until_readable


class Topic:
    """The records of `andon.config`, and what becomes of the next transactions: whether it is made, and answered."""

    def __init__(self) -> None:
        self.records = [Outgoing(CONFIG, TOPICS_KEY, msgspec.json.encode(Recorded({})))]
        self.actions = 0
        self.next: list[tuple[bool, bool]] = []
        self.away = False

    def board(self, _link: Connection | None = None, most: int | None = None) -> Board:
        if self.away:
            raise KafkaFailure("no Kafka broker answers")
        board = Board(most)
        for record in self.records:
            board.take(record.key, record.value or b"")
        return board

    def commit(self, outputs: Sequence[Outgoing]) -> None:
        made, answered = self.next.pop(0) if self.next else (True, True)
        if made:
            self.records += [one for one in outputs if one.topic == CONFIG]
            self.actions += sum(one.topic == ACTIONS for one in outputs)
        if not answered:
            raise Aborted("Local: Inconsistent state")

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """With version 1."""
    topic = Topic()
    monkeypatch.setattr(publishing, "read_board", topic.board)
    monkeypatch.setattr(publishing, "TransactionalProducer", lambda *_: topic)
    monkeypatch.setattr(publishing, "_until_readable", lambda _link: None)
    done(applied(files(tmp_path, "one"), ME))
    return topic


class Clock:
    """How long was slept; nobody waits."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def done(change: Change, clock: Clock | None = None, dice: Sequence[int] = ()) -> Any:
    thrown = iter(dice)

    def random(size: int) -> bytes:
        return bytes(next(thrown, 0) for _ in range(size))

    return asyncio.run(publish(cast("Connection", None), change, clock=clock or Clock(), random=random))


def an_hour(why: str) -> Change:
    now = datetime.now(UTC)
    return muted(mute(begins=now, ends=now + timedelta(hours=1), why=why))


def test_a_mute_whose_commit_was_not_answered_is_one_mute(topic: Topic) -> None:
    topic.next = [(True, False)]
    made = done(an_hour("x"))
    assert (made.version, [one.id for one in made.mutes]) == (2, ["m2"])
    newest = topic.board().newest
    assert newest is not None
    assert [one.id for one in newest.mutes] == ["m2"]
    assert topic.actions == 2


def test_an_unmute_whose_commit_was_not_answered_has_worked(topic: Topic) -> None:
    done(an_hour("x"))
    topic.next = [(True, False)]
    assert done(unmuted("m2", ME)).mutes == ()
    newest = topic.board().newest
    assert newest is not None
    assert newest.version == 3


def test_one_that_was_not_made_is_made_anew(topic: Topic) -> None:
    topic.next = [(False, False)]
    assert done(an_hour("x")).version == 2
    assert topic.actions == 2


def test_one_that_others_followed_is_not_made_twice(topic: Topic) -> None:
    topic.next = [(True, False)]
    before = topic.commit

    def commit(outputs: Sequence[Outgoing]) -> None:
        try:
            before(outputs)
        except Aborted:
            topic.commit = before  # type: ignore[method-assign]
            done(an_hour("other"))
            raise

    topic.commit = commit  # type: ignore[method-assign]
    made = done(an_hour("x"))
    assert (made.version, made.mutes[-1].why) == (2, "x")
    newest = topic.board().newest
    assert newest is not None
    assert [one.why for one in newest.mutes] == ["x", "other"]


def test_one_that_never_works_says_what_the_last_problem_was(topic: Topic) -> None:
    topic.next = [(False, False)] * 9
    with pytest.raises(KafkaFailure, match="not published in 5 tries: Local: Inconsistent state"):
        done(an_hour("x"))


def test_one_that_the_last_try_has_made_has_worked(topic: Topic) -> None:
    topic.next = [*[(False, False)] * 4, (True, False)]
    assert done(an_hour("x")).version == 2


class Gone:
    """A cluster that went away after it has answered the commit."""

    def __init__(self, _link: Connection) -> None:
        pass

    def ends(self, *_: object, **__: object) -> Any:
        raise KafkaFailure("the cluster does not answer")


def test_what_is_in_force_has_worked_though_nobody_can_read_it_yet(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_until_readable", UNTIL_READABLE)
    monkeypatch.setattr(publishing, "Cluster", Gone)
    assert [one.id for one in done(an_hour("x")).mutes] == ["m2"]
    assert topic.actions == 2


@pytest.mark.parametrize("made", [True, False])
def test_of_what_was_not_answered_it_says_that_nobody_knows(topic: Topic, *, made: bool) -> None:
    topic.next = [(made, False)]
    before = topic.commit

    def commit(outputs: Sequence[Outgoing]) -> None:
        topic.away = True
        before(outputs)

    topic.commit = commit  # type: ignore[method-assign]
    with pytest.raises(KafkaFailure, match=r"not known.*no Kafka broker answers.*`andon mutes` or `andon config log`"):
        done(an_hour("x"))


def test_what_was_not_even_tried_is_known(topic: Topic) -> None:
    topic.away = True
    with pytest.raises(KafkaFailure, match=r"^no Kafka broker answers$"):
        done(an_hour("x"))


def test_what_was_refused_is_known(topic: Topic) -> None:
    def commit(outputs: Sequence[Outgoing]) -> None:
        raise KafkaFailure("andon.config cannot be written")

    topic.commit = commit  # type: ignore[method-assign]
    with pytest.raises(KafkaFailure, match=r"^andon\.config cannot be written$"):
        done(an_hour("x"))


def test_an_account_without_a_name_publishes_too(topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with a number for its user."""

    def nameless(_number: int) -> None:
        raise KeyError("getpwuid(): uid not found: 10001")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nameless)
    monkeypatch.setattr("os.getuid", lambda: 10001)
    for change in (applied(files(tmp_path, "two"), OF_NOBODY), restored(1, OF_NOBODY)):
        assert done(change).author == "uid 10001"
    done(an_hour("x"))
    assert done(unmuted("m4", OF_NOBODY)).author == "uid 10001"


def test_an_account_has_the_name_it_signed_in_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "wang")
    assert account() == "wang"


def test_those_that_publish_at_one_time_do_not_try_again_at_one_time(topic: Topic) -> None:
    topic.next = [(False, False)] * 3
    clock = Clock()
    assert done(an_hour("x"), clock, dice=(0, 255, 102)).version == 2
    assert clock.slept == pytest.approx([0.05, 0.3, 0.15])


def test_after_the_last_try_nobody_waits(topic: Topic) -> None:
    topic.next = [(False, False)] * 5
    clock = Clock()
    with pytest.raises(KafkaFailure, match="not published in 5 tries"):
        done(an_hour("x"), clock)
    assert len(clock.slept) == 4
