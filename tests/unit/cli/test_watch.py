"""Which changes of the configuration's files are seen."""

import os
from pathlib import Path

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
