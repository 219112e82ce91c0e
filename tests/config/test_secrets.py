"""A secret in a file is the one that stands there now, however it came there, and is not read again without need."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from andon.config import secrets
from andon.config.secrets import SecretMissing, SecretRef


def old(path: Path) -> os.stat_result:
    """A file last touched long ago, as all but those of a rotation are."""
    os.utime(path, (1_000_000, 1_000_000))
    return path.stat()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read, and a clock that has gone on, so that what was written here is no longer new."""
    seen: list[str] = []
    read = secrets._values

    def noted(name: str) -> tuple[SecretStr, ...]:
        seen.append(name)
        return read(name)

    monkeypatch.setattr(secrets, "_values", noted)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60)
    return seen


def test_a_file_that_stays_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    (path := tmp_path / "token").write_text("one\n")
    secret = SecretRef(f"file:{path}")
    assert [secret.reveal() for _ in range(5)] == ["one"] * 5
    assert reads == [str(path)]


def renamed(path: Path) -> None:
    (new := path.with_name("new")).write_text("two\n")
    old(new)
    new.replace(path)


def in_place(path: Path) -> None:
    path.write_text("two\n")
    old(path)


def linked(path: Path) -> None:
    """As Kubernetes changes the files of a Secret: the name leads elsewhere, to a file as old and as long."""
    (other := path.with_name("..data")).write_text("two\n")
    old(other)
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("change", [renamed, in_place, linked])
def test_a_change_is_seen_at_the_next_use(tmp_path: Path, reads: list[str], change: Callable[[Path], None]) -> None:
    (path := tmp_path / "token").write_text("one\n")
    old(path)
    secret = SecretRef(f"file:{path}")
    assert secret.reveal() == "one"
    change(path)
    assert secret.reveal() == "two"
    assert len(reads) == 2


def test_what_was_just_written_is_read_each_time(tmp_path: Path) -> None:
    """Two writings within one tick of the file system's clock look alike."""
    path = tmp_path / "token"
    secret = SecretRef(f"file:{path}")
    said = []
    for number in range(10, 60):
        path.write_text(f"{number}\n")
        said.append(secret.reveal())
    assert said == [str(number) for number in range(10, 60)]


def test_a_file_that_is_gone_empty_or_no_text_is_named(tmp_path: Path, reads: list[str]) -> None:
    (path := tmp_path / "token").write_text("one\n")
    secret = SecretRef(f"file:{path}")
    assert secret.reveal() == "one"
    path.write_text("")
    for _ in range(2):
        with pytest.raises(SecretMissing, match="is empty"):
            secret.reveal()
    path.write_bytes("一".encode("utf-16"))
    for _ in range(2):
        with pytest.raises(SecretMissing, match="is not written in UTF-8"):
            secret.reveal()
    path.unlink()
    with pytest.raises(SecretMissing, match="No such file"):
        secret.reveal()
    path.write_text("one\n")
    assert secret.reveal() == "one"
    assert str(path) in reads


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("abcd efgh ijkl mnop\n", ["abcd efgh ijkl mnop"]),  # as Google gives them to programs
        ("\r\n  new one \r\n\r\nold\r\nolder\r\n", ["new one", "old"]),
        ("\ufeffof Notepad\r\n", ["of Notepad"]),
    ],
)
def test_a_line_is_one_value_whatever_blanks_are_in_it(text: str, values: list[str], tmp_path: Path) -> None:
    (path := tmp_path / "token").write_bytes(text.encode())
    assert [value.get_secret_value() for value in SecretRef(f"file:{path}").values()] == values
