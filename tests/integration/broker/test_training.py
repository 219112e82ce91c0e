"""Start-up archives with a real Java: made, used, and never what keeps Kafka from starting."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from andon import broker
from andon.broker import archive, download, java, training
from andon.broker.jvm import Runtime

Starter = Callable[..., broker.Running]
pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("own_cache")]


def test_training_makes_an_archive_that_is_used(tmp_path: Path, start: Starter) -> None:
    runtime = Runtime(java.find(), download.fetch())
    assert archive.options(runtime) == ()
    assert training.train(runtime) is True
    kept = archive.path_for(runtime)
    assert sorted(file.name for file in archive.place().iterdir()) == [".lock", kept.name]
    begun = time.monotonic()
    running = start(tmp_path / "data")
    print(f"start with an archive for Java {runtime.java.major}: {time.monotonic() - begun:.2f} s")
    if sys.platform == "linux":
        assert kept.name in Path(f"/proc/{running.pid}/maps").read_text()


@pytest.mark.parametrize("content", [b"no archive", bytes(100_000)], ids=["words", "zeros"])
def test_a_broken_archive_does_not_keep_kafka_from_starting(
    tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(archive, "train_in_background", lambda *_, **__: None)
    kept = archive.path_for(Runtime(java.find(), download.fetch()))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    assert broker.status(tmp_path / "data") is None
    assert start(tmp_path / "data").pid


def test_a_java_that_refuses_its_archive_is_started_without(
    tmp_path: Path, start: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = archive.path_for(Runtime(java.find(), download.fetch()))
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"an archive")
    monkeypatch.setattr(archive, "options", lambda _: ("-XX:NoSuchOption",))
    monkeypatch.setattr(archive, "train_in_background", lambda *_, **__: None)
    assert start(tmp_path / "data").pid
    assert not kept.exists()


def test_training_in_the_background_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from andon import broker; from andon.broker import archive;"
        "broker.start(Path(sys.argv[1]), port=28792, tie_to_parent=True);"
        "end = time.monotonic() + 60\n"
        "while not list(archive.place().glob('training-*/broker.json')) and time.monotonic() < end: time.sleep(0.01)\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "data")], check=False, timeout=120)
    deadline = time.monotonic() + 20
    while list(archive.place().glob("training-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(archive.place().glob("training-*")) == []
    broker.stop(tmp_path / "data")
