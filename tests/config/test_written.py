"""A published version as files again, and what differs between two."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from andon.config.difference import difference
from andon.config.load import load
from andon.config.published import bundle, published, unbundle
from andon.config.written import write
from andon.core.mute import Mute
from tests.config.plant import PLANT, changed, read

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ODD = '{name: "00123: yes # no", zone: Asia/Shanghai, language: zh}'


@pytest.mark.parametrize("text", [PLANT, changed("{name: 二号厂, zone: Asia/Shanghai}", ODD)])
def test_a_version_that_was_written_reads_as_it_was(tmp_path: Path, text: str) -> None:
    (tmp_path / "here" / "texts").mkdir(parents=True)
    (tmp_path / "here" / "texts" / "fault.j2").write_text("停机 {{ event.subject }}\n", encoding="utf-8")
    (tmp_path / "here" / "texts" / "mes.fault").mkdir()
    (tmp_path / "here" / "texts" / "mes.fault" / "fault.j2").write_text("another of that name", encoding="utf-8")
    loaded = read(tmp_path / "here", text)
    one = unbundle(bundle(published(loaded, 1, "wang", AT)))
    files = list(write(one, tmp_path / "there"))
    again = load(tmp_path / "there")
    assert not again.mistakes
    assert (again.settings, again.files) == (loaded.settings, loaded.files)
    assert files[0] == tmp_path / "there" / "andon.yaml"


@pytest.mark.parametrize(
    "odd", ["x" * 119 + "\\a ':", "x" * 77 + "  " + "x" * 80, "#" + 'a "b" ' * 30, "停机 \\d+: " * 40]
)
def test_a_long_text_is_written_as_it_is(tmp_path: Path, odd: str) -> None:
    """A writer that breaks lines lost a blank here, and a backslash there."""
    one = published(read(tmp_path), 1, "wang", AT)
    settings = one.settings.model_copy(update={"site": one.settings.site.model_copy(update={"name": odd})})
    list(write(replace(one, settings=settings), tmp_path / "there"))
    again = load(tmp_path / "there").draft
    assert again is not None
    assert again.site.name == odd


def test_nothing_is_written_over(tmp_path: Path) -> None:
    one = published(read(tmp_path), 1, "wang", AT)
    before = (tmp_path / "andon.yaml").read_bytes()
    with pytest.raises(FileExistsError, match="already exists"):
        list(write(one, tmp_path))
    assert (tmp_path / "andon.yaml").read_bytes() == before


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "fault.j2").write_text("x", encoding="utf-8")
    one = published(read(tmp_path / "here", changed("{dir: texts}", "{dir: ../texts}")), 1, "wang", AT)
    one = replace(one, files={"../../escaped.j2": "x", "/a/../b/../../c.j2": "x", "fault.j2": "y"})
    for file in write(one, tmp_path / "there" / "in"):
        assert (tmp_path / "there" / "in") in file.parents
    assert load(tmp_path / "there" / "in" / "andon.yaml").draft is not None


def test_versions_differ_in_their_mutes_too(tmp_path: Path) -> None:
    bare = published(read(tmp_path), 7, "wang", AT)
    mute = Mute("m8", ('line="L3"',), AT, AT + timedelta(hours=2), "wang", "换模")
    (line,) = difference(bare, replace(bare, version=8, mutes=(mute,)))
    assert line.startswith('+ mute m8: line="L3", 2026-11-23 ')
    assert line.endswith("digest, by wang: 换模")
    (line,) = difference(replace(bare, mutes=(mute,)), bare)
    assert line.startswith("- mute m8")
    assert list(difference(replace(bare, mutes=(mute,)), read(tmp_path))) == [], "files hold none"
