"""Which changes of the configuration's files are seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.cli.running.watch import Watch


def test_changes_of_files_and_of_what_is_in_folders_are_seen_once(tmp_path: Path) -> None:
    file, folder = tmp_path / "andon.yaml", tmp_path / "templates"
    file.write_text("a")
    folder.mkdir()
    watch = Watch([file, folder])
    assert not watch.changed()
    file.write_text("ab")
    assert watch.changed()
    assert not watch.changed()
    (folder / "fault.j2").write_text("x")
    assert watch.changed()
    os.utime(folder / "fault.j2", ns=(1, 1))
    assert watch.changed()
    (folder / "fault.j2").unlink()
    assert watch.changed()
    (tmp_path / "other").write_text("not ours")
    assert not watch.changed()


def test_a_file_that_is_replaced_or_gone_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "andon.yaml"
    watch = Watch([file])
    assert not watch.changed()
    file.write_text("a")
    assert watch.changed()
    file.unlink()
    assert watch.changed()


def test_a_folder_that_goes_while_it_is_looked_through_is_a_change_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fault.j2").write_text("x")
    watch = Watch([tmp_path])

    def gone(_folder: Path, _pattern: str) -> Iterator[Path]:
        raise FileNotFoundError("below")
        yield

    monkeypatch.setattr(Path, "rglob", gone)
    assert watch.changed()
    assert not watch.changed()
