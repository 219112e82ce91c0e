"""What the next version is: of files, of an earlier version, with a mute more or less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from andon.config.published import Published, unbundle
from andon.core.mute import MOST_BYTES, Mute, MuteWrong
from andon.kafka.errors import KafkaFailure
from andon.runtime import follower
from andon.runtime.changes import NoSuchMute, Said, applied, muted, remuted, restored, unmuted
from andon.runtime.follower import CURRENT_KEY, KEPT, Board, Current, NoSuchVersion, version_key
from tests.unit.versions.boards import NOW, files, mute, put, stand

ME = Said("wang", "新产线")


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Version 1 says `one`, version 2 says `two`; the files say `two`."""
    board = Board()
    for name in ("one", "two"):
        put(board, applied(files(tmp_path, name), ME))
    return board


def ids(board: Board) -> list[str]:
    assert board.newest is not None
    return [one.id for one in board.newest.mutes]


def test_a_version_says_who_and_why(board: Board) -> None:
    assert board.newest is not None
    assert (board.newest.version, board.newest.author, board.newest.reason) == (2, "wang", "新产线")
    assert board.version(1).settings.site.name == "one"


def test_of_many_versions_the_one_in_force_alone_is_read(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def counted(raw: bytes) -> Published:
        read.append(raw)
        return unbundle(raw)

    assert board.newest is not None
    monkeypatch.setattr(follower, "unbundle", counted)
    seen = Board(3)
    for number in range(1, 101):
        stand(seen, replace(board.newest, version=number))
    assert seen.newest is not None
    assert (seen.newest.version, len(read), sorted(seen.versions)) == (100, 1, [98, 99, 100])
    assert seen.newest is seen.newest, "nor is it read again"
    assert len(read) == 1


def test_a_version_that_cannot_be_read_leaves_the_one_before_in_force(board: Board) -> None:
    assert board.newest is not None
    for number in (3, 4):
        board.take(version_key(number), b'{"of": "the future"}')
        board.take(CURRENT_KEY, msgspec.json.encode(Current(number)))
    assert board.newest.version == 2
    stand(board, replace(board.newest, version=5))
    assert board.newest.version == 5


def later(board: Board, number: int, *mutes: Mute | dict[str, Any]) -> None:
    """A version in force that a later Andon has published."""
    told = {"version": number, "of": "the future", "mutes": mutes}
    board.take(version_key(number), msgspec.json.encode(told))
    board.take(CURRENT_KEY, msgspec.json.encode(Current(number)))


def test_of_its_mutes_those_that_cannot_be_read_either_are_counted(board: Board, tmp_path: Path) -> None:
    ours, strange = mute(id="m2"), {**msgspec.to_builtins(mute(id="m3")), "then": "later"}
    later(board, 3, ours, strange)
    assert (board.mutes, board.lost_mutes) == ((ours,), 1)
    put(board, applied(files(tmp_path, "three"), ME))
    assert (board.mutes, board.lost_mutes) == ((ours,), 0)


def test_nothing_is_made_of_a_version_that_is_not_in_force_any_more(board: Board, tmp_path: Path) -> None:
    """A mute by an older Andon would put the rules of the version before back, for everybody."""
    later(board, 3)
    from_files = applied(files(tmp_path, "two"), ME, anew=False)
    for change in (muted(mute()), remuted("m1", lambda one, _now: one), unmuted("m1", ME), from_files):
        with pytest.raises(KafkaFailure, match=r"version 3 of the configuration is in force.*a later one; use that"):
            put(board, change)


def test_nor_is_it_said_that_nothing_is_published_when_all_there_is_cannot_be_read(tmp_path: Path) -> None:
    board = Board()
    later(board, 3)
    with pytest.raises(KafkaFailure, match="version 3 of the configuration is in force"):
        put(board, muted(mute()))


@pytest.mark.parametrize("back", [True, False])
def test_who_publishes_other_content_past_such_a_version_leaves_its_mutes(
    back: bool, board: Board, tmp_path: Path
) -> None:
    """Even the content that was in force before it: otherwise nobody could go back to an earlier Andon."""
    later(board, 3, mute(id="m3"))
    new = put(board, restored(2, ME) if back else applied(files(tmp_path, "two"), ME))
    assert new is not None
    assert (new.version, new.settings.site.name, ids(board)) == (4, "two", ["m3"])


def test_only_who_looks_back_is_given_every_version(tmp_path: Path) -> None:
    assert applied(files(tmp_path, "one"), ME).most is None
    assert restored(1, ME).most is None
    assert muted(mute()).most == unmuted("m1", ME).most == KEPT


def test_an_older_version_is_found_by_its_number(tmp_path: Path) -> None:
    board = Board()
    for hours, name in enumerate(("one", "two", "three")):
        put(board, applied(files(tmp_path, name), ME), NOW + timedelta(hours=hours))
    board.take(version_key(4), b'{"of": "the future"}')
    assert board.version(2).settings.site.name == "two"
    assert [one.version for one in board.all()] == [3, 2, 1]
    with pytest.raises(NoSuchVersion, match="no version 9 of the configuration; there is 1 to 4"):
        board.version(9)


def test_a_rollback_is_a_new_version_with_the_old_content(board: Board) -> None:
    old = board.versions.copy()
    new = put(board, restored(1, Said("li", "zu laut")))
    assert new is not None
    assert (new.version, new.restores, new.author, new.reason) == (3, 1, "li", "zu laut")
    assert (new.digest, new.files) == (board.version(1).digest, board.version(1).files)
    assert old.items() < board.versions.items(), "no version is written over"
    assert put(board, restored(1, ME)) is None, "its content is in force"
    with pytest.raises(NoSuchVersion):
        put(board, restored(7, ME))


def test_files_that_a_rollback_put_aside_are_published_again_only_when_they_change_or_somebody_says_so(
    board: Board, tmp_path: Path
) -> None:
    put(board, restored(1, ME))
    put(board, muted(mute()))  # in between
    same = files(tmp_path, "two")
    assert put(board, applied(same, ME, anew=False)) is None
    changed = put(board, applied(files(tmp_path, "three"), ME, anew=False))
    assert changed is not None
    assert (changed.settings.site.name, changed.restores) == ("three", None)
    put(board, restored(1, ME))
    assert put(board, applied(files(tmp_path, "three"), ME, anew=False)) is None
    assert put(board, applied(files(tmp_path, "three"), ME)) is not None


def test_files_from_before_are_published_when_no_rollback_is_in_force(board: Board, tmp_path: Path) -> None:
    again = put(board, applied(files(tmp_path, "one"), ME, anew=False))
    assert again is not None
    assert again.version == 3


def test_a_mute_is_a_version_with_the_same_content(board: Board) -> None:
    before = board.newest
    after = put(board, muted(mute()))
    assert before is not None
    assert after is not None
    assert (after.version, after.digest, after.author, after.reason) == (3, before.digest, "wang", "换模")
    assert after.mutes == (mute(id="m3"),)


def test_mutes_go_on_until_they_are_over(board: Board, tmp_path: Path) -> None:
    put(board, muted(mute()))
    put(board, muted(mute(ends=NOW + timedelta(hours=9))))
    assert ids(board) == ["m3", "m4"]
    put(board, applied(files(tmp_path, "three"), ME), NOW + timedelta(hours=1))
    assert ids(board) == ["m3", "m4"]
    put(board, restored(1, ME), NOW + timedelta(hours=2))
    assert ids(board) == ["m4"], "the first is over at this very moment"


def test_unchanged_files_need_no_new_version_for_a_mute(board: Board, tmp_path: Path) -> None:
    put(board, muted(mute()))
    assert put(board, applied(files(tmp_path, "two"), ME)) is None


def test_an_unmute_ends_one_and_leaves_the_others(board: Board) -> None:
    put(board, muted(mute()))
    put(board, muted(mute()))
    put(board, unmuted("m3", Said("li", "fertig")))
    assert ids(board) == ["m4"]
    assert board.newest is not None
    assert (board.newest.author, board.newest.reason) == ("li", "fertig")
    for which in ("m3", "m9", ""):
        with pytest.raises(NoSuchMute, match="that is not over"):
            put(board, unmuted(which, ME))
    with pytest.raises(NoSuchMute):
        put(board, unmuted("m4", ME), NOW + timedelta(hours=2))


def test_of_two_mutes_that_were_made_at_one_time_none_is_lost(board: Board) -> None:
    """What `publish` relies on: a change made of an older board is made anew, of what is there then."""
    one, other = muted(mute(why="one")), muted(mute(why="other"))
    assert one.make(board, 3, NOW) is not None
    put(board, other)
    put(board, one)
    assert board.newest is not None
    assert [(each.id, each.why) for each in board.newest.mutes] == [("m3", "other"), ("m4", "one")]


@pytest.mark.parametrize(
    ("wrong", "field", "told"),
    [
        ({"why": " "}, "why", "needs a reason"),
        ({"why": "a\nb"}, "why", "one line"),
        ({"why": "a\tb"}, "why", "signs that nobody sees"),
        ({"why": "x" * 1_001}, "why", "1000 characters"),
        ({"matchers": ()}, "matchers", "1 to 20 matchers"),
        ({"matchers": ('line="L3',)}, "matchers", "closing double quote"),
        ({"matchers": ('line=~"("',)}, "matchers", "cannot be read"),
        ({"matchers": ('line=""', 'code!="E1"')}, "matchers", "mute everything"),
        ({"matchers": ('line=~".*"',)}, "matchers", "mute everything"),
        ({"ends": NOW}, "until", "before it begins"),
        ({"begins": NOW - timedelta(hours=3), "ends": NOW - timedelta(hours=1)}, "until", "over already"),
        ({"ends": NOW + timedelta(days=400)}, "until", "366 days"),
    ],
)
def test_what_is_no_mute(board: Board, wrong: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(MuteWrong, match=told) as refused:
        put(board, muted(mute(**wrong)))
    assert refused.value.field == field
    assert ids(board) == []


def test_a_reason_may_have_the_blanks_that_chinese_keyboards_write(board: Board) -> None:
    put(board, muted(mute(why="夜班\u3000换模\u00a0两小时")))
    assert ids(board) == ["m3"]


def test_mutes_have_a_size_together(board: Board) -> None:
    large = mute(matchers=tuple(f'line!="{number:990}"' for number in range(20)))
    large = mute(matchers=(*large.matchers[:19], 'line="L3"'))
    for _ in range(MOST_BYTES // 21_000):
        put(board, muted(large))
    with pytest.raises(MuteWrong, match="larger than 64 KiB"):
        put(board, muted(large))


def test_without_a_configuration_nothing_is_muted() -> None:
    with pytest.raises(KafkaFailure, match="andon apply"):
        put(Board(), muted(mute()))
