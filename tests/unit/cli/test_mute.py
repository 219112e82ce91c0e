"""`andon mute` without a cluster: what it makes of its arguments."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from andon.cli.asking import where
from andon.cli.commands.mute import _wanted
from andon.cli.main import main
from andon.config.published import Published
from andon.core.mute import Mute
from andon.runtime import changes, follower, publishing
from andon.runtime.changes import Change, Said, applied
from andon.runtime.follower import Board
from tests.unit.versions.boards import files, put


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """With version 1."""
    board = Board()
    put(board, applied(files(tmp_path, "one"), Said("wang")))

    async def publish(_link: Any, change: Change) -> Published | None:
        put(board, change, datetime.now(UTC))
        return board.newest

    monkeypatch.setattr(where, "cluster", lambda _args: where.Where(None, None, tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr(follower, "read_board", lambda _link: board)
    monkeypatch.setattr(publishing, "publish", publish)
    return board


def made(board: Board) -> Mute:
    (mute,) = board.mutes
    return mute


def test_the_account_that_mutes_is_its_author(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "account", lambda: "uid 10001")
    assert main(["mute", "line=L3", "--why", "x", "--for", "2h"]) == 0
    assert made(board).creator == "uid 10001"
    assert made(board).ends - made(board).begins == timedelta(hours=2)


@pytest.mark.parametrize("account", [KeyError("uid not found"), OSError("no username set"), ImportError("no pwd")])
def test_an_account_without_a_name_has_its_number(account: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise account

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 10001)
    assert changes.account() == "uid 10001"


def test_it_lasts_so_long_also_over_the_hour_that_summer_time_takes() -> None:
    when = argparse.Namespace(
        begins="2026-03-29T01:00",
        lasts=timedelta(hours=3),
        until="",
        matchers=["line=L3"],
        author="w",
        why="x",
        then="drop",
    )
    mute = _wanted(when, ZoneInfo("Europe/Berlin"), datetime(2026, 3, 28, tzinfo=UTC))
    assert (mute.begins, mute.ends) == (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    "when",
    [
        ("--for", "9000000d"),
        ("--until", "9999-12-31T23:59-08:00"),
        ("--from", "0001-01-01T00:00+08:00", "--for", "2h"),
        ("--from", "9999-12-31T23:59-08:00", "--until", "20:00"),
    ],
)
def test_a_time_that_no_calendar_has_is_a_mistake(
    when: tuple[str, ...], board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mute", "line=L3", "--why", "x", *when]) == 2
    assert "outside the years 1 to 9999" in capsys.readouterr().err
    assert board.mutes == ()
