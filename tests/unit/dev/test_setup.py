"""`make setup`: the environment is made once, and again where it would not run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# In place of Python: makes a folder for an environment, and writes down that it did; all else succeeds.
PYTHON = """#!/bin/sh
case "$1 $2" in "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo made >> ../made;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def clone(folder: Path) -> Path:
    """What the set-up reads, in a folder with a blank and signs of China's."""
    place = folder / "the plant 一号车间"
    (place / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", place)
    shutil.copy(ROOT / "deploy" / "setup.sh", place / "deploy")
    for name in ("requirements.lock", "requirements-java.lock", "requirements-uv.lock", "pyproject.toml"):
        (place / name).touch()
    (folder / "python").write_text(PYTHON, encoding="utf-8")
    (folder / "python").chmod(0o755)
    return place


def made(place: Path) -> int:
    """How often an environment was made, after one more `make`."""
    command = ["make", "--no-print-directory", f"PYTHON={place.parent / 'python'}", ".venv/.complete"]
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=60)
    return (place.parent / "made").read_text(encoding="utf-8").count("made")


def test_the_environment_of_a_clone_is_made_once(tmp_path: Path) -> None:
    place = clone(tmp_path)
    assert [made(place), made(place)] == [1, 1]


def test_a_clone_that_was_moved_gets_a_new_environment(tmp_path: Path) -> None:
    place = clone(tmp_path)
    made(place)
    script = place / ".venv" / "bin" / "andon"
    script.write_text("holds the old path", encoding="utf-8")
    elsewhere = place.rename(tmp_path / "elsewhere 二")
    assert [made(elsewhere), made(elsewhere)] == [2, 2]
    assert not (elsewhere / script.relative_to(place)).exists()


def test_an_environment_in_its_place_is_brought_up_to_date_and_not_made_from_nothing(tmp_path: Path) -> None:
    place = clone(tmp_path)
    made(place)
    kept = place / ".venv" / "kept"
    kept.touch()
    later = (place / ".venv" / ".complete").stat().st_mtime_ns + 2_000_000_000
    os.utime(place / "requirements.lock", ns=(later, later))
    assert made(place) == 2
    assert kept.exists()
