"""Start-up archives are tied to what they were made for; formatting never touches what is formatted."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from andon.broker import archive, process, reset
from andon.broker.jars import kafka_version
from andon.broker.java import Java
from andon.broker.jvm import Runtime
from andon.broker.layout import Layout
from andon.broker.storage import FIRST_SNAPSHOT, format_storage

OLD = Runtime(Java(Path("/jvm/17/bin/java"), 17, "build 17"), (Path("/cache/a.jar"), Path("/cache/b.jar")))
NEW = replace(OLD, java=Java(Path("/jvm/25/bin/java"), 25, "build 25"))


def kept(runtime: Runtime) -> Path:
    path = archive.path_for(runtime)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"archive")
    return path


def test_without_an_archive_java_is_told_nothing() -> None:
    assert archive.options(OLD) == archive.options(NEW) == ()


def test_each_java_has_its_own_kind() -> None:
    old, new = kept(OLD), kept(NEW)
    assert archive.options(OLD) == (f"-XX:SharedArchiveFile={old}", "-Xshare:auto")
    assert archive.options(NEW) == (f"-XX:AOTCache={new}",)
    assert archive.training_options(OLD, old) == (f"-XX:ArchiveClassesAtExit={old}",)
    assert archive.training_options(NEW, new) == (f"-XX:AOTCacheOutput={new}",)


def test_another_build_or_another_list_of_jars_has_another_archive() -> None:
    others = [
        replace(OLD, java=replace(OLD.java, identity="build 17.0.1")),
        replace(OLD, jars=OLD.jars[:1]),
        replace(OLD, jars=(Path("/elsewhere/a.jar"), OLD.jars[1])),
    ]
    assert len({archive.path_for(runtime) for runtime in (OLD, NEW, *others)}) == 5
    assert archive.path_for(replace(OLD, heap_mb=2048)) == archive.path_for(OLD)


def test_jars_that_were_fetched_again_need_another_archive(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"jar")
    runtime = replace(OLD, jars=(jar,))
    before = archive.path_for(runtime)
    os.utime(jar, (1, 1))
    assert archive.path_for(runtime) != before


def test_a_java_that_writes_no_archive_is_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr(process, "spawn", lambda command, **_: begun.append(command))
    archive.train_in_background(OLD, tie_to_parent=True)
    archive.give_up(OLD)
    archive.train_in_background(OLD, tie_to_parent=True)
    kept(NEW)
    archive.train_in_background(NEW, tie_to_parent=True)
    assert begun == [[sys.executable, "-m", "andon.broker.training", "/jvm/17/bin/java", "512"]]


def test_few_cores_are_spared_the_optimising_compiler(tmp_path: Path) -> None:
    def command(cores: int) -> list[str]:
        return replace(OLD, cores=cores).command(Layout(tmp_path), ["kafka.Kafka"])

    spared = set(command(2)) - set(command(4))
    assert spared == {"-XX:TieredStopAtLevel=1"}
    assert not set(command(4)) - set(command(2))


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(OLD)
    monkeypatch.setenv("ANDON_BROKER_ARCHIVE", "off")
    assert archive.options(OLD) == ()


def test_discard_and_prune() -> None:
    first = kept(OLD)
    archive.discard(OLD)
    archive.discard(OLD)
    assert not first.exists()
    for n in range(archive.KEPT + 2):
        kept(replace(OLD, java=replace(OLD.java, identity=str(n))))
    archive.prune()
    assert len(list(archive.place().iterdir())) == archive.KEPT


@pytest.fixture
def snapshot(cache: Path) -> bytes:
    path = cache / "storage" / f"kafka-{kafka_version()}.checkpoint"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first snapshot")
    return path.read_bytes()


def test_a_new_directory_gets_ids_of_its_own(tmp_path: Path, snapshot: bytes) -> None:
    texts = []
    for name in ("one", "two"):
        layout = Layout(tmp_path / name)
        format_storage(layout, OLD)
        assert (layout.topics / FIRST_SNAPSHOT).read_bytes() == snapshot
        texts.append((layout.topics / "meta.properties").read_text())
    found = [dict(line.split("=") for line in text.splitlines()) for text in texts]
    assert [(meta["version"], meta["node.id"]) for meta in found] == [("1", "1")] * 2
    ids = {meta[key] for meta in found for key in ("cluster.id", "directory.id")}
    assert {len(text) for text in ids} == {22}
    assert len(ids) == 4


@pytest.mark.usefixtures("snapshot")
def test_what_is_formatted_stays_as_it_is(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    format_storage(layout, OLD)
    before = (layout.topics / "meta.properties").read_text()
    format_storage(layout, OLD)
    assert (layout.topics / "meta.properties").read_text() == before


@pytest.mark.usefixtures("snapshot")
def test_reset_deletes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "kafka")
    format_storage(layout, OLD)
    reset(layout.data)
    assert not layout.data.exists()
    format_storage(layout, OLD)
    (layout.data / "notes.txt").write_text("mine")
    reset(layout.data)
    assert [path.name for path in layout.data.iterdir()] == ["notes.txt"]
    reset(tmp_path / "never was")
