"""Only the process that was started is ever ended."""

import json
import locale
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.broker import BrokerError, PortError, last_words, launch, process, stop, wire
from andon.broker.java import Java
from andon.broker.jvm import Runtime
from andon.broker.launch import Record, alive
from andon.broker.layout import Layout
from andon.broker.seats import Seat

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[int]:
    pid = process.spawn(SLEEP, output=tmp_path / "out")
    yield pid
    if start := process.started(pid):
        process.end(pid, start, timeout_s=0)


def until(what: str, holds: object, timeout_s: float = 10) -> None:
    assert callable(holds)
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_a_process_has_a_session_of_its_own_and_writes_into_its_file(sleeper: int, tmp_path: Path) -> None:
    until("output", lambda: (tmp_path / "out").read_text() == "here\n")
    assert os.getsid(sleeper) == sleeper
    assert "time.sleep(60)" in process.command_line(sleeper)


def test_an_ended_child_does_not_look_alive(sleeper: int) -> None:
    assert process.started(sleeper)
    os.kill(sleeper, signal.SIGKILL)
    until("the end", lambda: process.started(sleeper) is None)
    assert process.command_line(sleeper) == ""


def test_end_touches_no_other_process_with_the_same_pid(sleeper: int) -> None:
    process.end(sleeper, "another start", timeout_s=0)
    assert process.started(sleeper)
    process.end(sleeper, process.started(sleeper) or "", timeout_s=10)
    assert process.started(sleeper) is None


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    pid = process.spawn([sys.executable, "-c", code], output=tmp_path / "out")
    until("output", lambda: (tmp_path / "out").read_text() == "deaf\n")
    process.end(pid, process.started(pid) or "", timeout_s=0.1)
    assert process.started(pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell a process of its parent's end")
def test_a_tied_process_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from andon.broker import process;"
        f"pid = process.spawn({SLEEP!r}, output=pathlib.Path(sys.argv[1]), tie_to_parent=True);"
        "print(pid, flush=True); sys.stdin.read(); os._exit(9)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until("output", lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text() == "here\n")
        parent.communicate()
    until("the end of the tied process", lambda: process.started(pid) is None)


def record(pid: int, started: str, data: Path) -> None:
    values = Record(pid, started, 1, 2, str(data), "4.0.0", "java", 0.0)
    data.mkdir(exist_ok=True)
    Layout(data).record.write_text(json.dumps(values.__dict__))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', "\x00"])
def test_a_broken_record_is_no_process(tmp_path: Path, text: str) -> None:
    Layout(tmp_path).record.write_text(text)
    assert alive(Layout(tmp_path)) is None
    assert stop(tmp_path) is False


def test_a_reused_pid_is_never_ended(tmp_path: Path, sleeper: int) -> None:
    record(sleeper, "an earlier start", tmp_path)
    assert alive(Layout(tmp_path)) is None
    assert stop(tmp_path) is False
    assert process.started(sleeper)


def test_a_process_that_does_not_run_on_the_directory_is_never_ended(tmp_path: Path, sleeper: int) -> None:
    record(sleeper, process.started(sleeper) or "", tmp_path)
    assert stop(tmp_path) is False
    assert process.started(sleeper)
    assert not Layout(tmp_path).record.exists()


def test_the_very_process_is_known_again(tmp_path: Path) -> None:
    code = [*SLEEP, str(Layout(tmp_path).server)]
    pid = process.spawn(code, output=tmp_path / "out")
    until("output", lambda: (tmp_path / "out").read_text() == "here\n")
    record(pid, process.started(pid) or "", tmp_path)
    found = alive(Layout(tmp_path))
    assert found is not None
    assert found.pid == pid
    assert stop(tmp_path) is True
    assert process.started(pid) is None


def test_a_node_that_cannot_be_recorded_is_not_left_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def spawned(*_: object, **__: object) -> int:
        begun.append(process.spawn(SLEEP, output=tmp_path / "out"))
        return begun[0]

    monkeypatch.setattr(launch, "spawn", spawned)
    Layout(tmp_path).record.with_suffix(".new").mkdir()  # as little as on a full disk can it be written
    runtime = Runtime(Java(Path("java"), 17, ""), ())
    with pytest.raises(OSError, match=r"broker\.new"):
        launch.begin(Layout(tmp_path), runtime, (), Seat(1, 1, 2), tie_to_parent=False)
    assert process.started(begun[0]) is None


def test_a_node_whose_start_is_given_up_is_ended(tmp_path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "spawn", lambda *_, **__: sleeper)

    def given_up() -> None:
        raise KeyError("enough")

    runtime = Runtime(Java(Path("java"), 17, ""), (), 512)
    with pytest.raises(KeyError, match="enough"):
        launch.launch(Layout(tmp_path), runtime, port=18_900, go_on=given_up)
    assert process.started(sleeper) is None


def test_a_node_that_reads_its_logs_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended after a minute, it would have to read them all again, and so for ever."""
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    looked = 0

    def ready(*_: object) -> bool:
        nonlocal looked
        looked += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f%z")
        if looked < 20:
            (layout.logs / "kafka-0.log").write_text(
                f"{now} INFO k: [LogLoader partition=x-{looked}, dir=d] Recovering\n"
            )
        return False

    monkeypatch.setattr(wire, "ready", ready)
    monkeypatch.setattr(process, "started", lambda _: "then")
    waiting = Record(1, "then", 1, 2, str(tmp_path), "4", "java", 0.0)
    with pytest.raises(BrokerError, match="did not get ready within 0 s"):
        launch.wait(layout, waiting, 0.1)
    assert looked > 20


@pytest.mark.parametrize(("encoding", "told"), [("ANSI_X3.4-1968", "C.UTF-8"), ("UTF-8", "C"), ("utf-8", "C")])
def test_java_reads_names_of_files_as_python_does(encoding: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setattr(locale, "getencoding", lambda: encoding)
    assert process.environment()["LC_ALL"] == told


def test_a_failed_start_says_what_was_thrown_and_not_where(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    (layout.logs / "kafka-0.log").write_text(
        "2026-11-27T22:00:00.500+0000 SEVERE k: Exiting Kafka due to fatal exception\n"
        "Caused by: java.io.IOException: Too many open files\n"
        "\tat java.base/sun.security.util.SecurityProperties.includedInExceptions(SecurityProperties.java:72)\n"
        "2026-11-27T22:00:00.600+0000 INFO k: bye\n"
    )
    since = datetime(2026, 11, 27, 22, 0, tzinfo=UTC).timestamp()
    assert launch.last_complaint(layout, since) == "Caused by: java.io.IOException: Too many open files"
    assert launch.last_complaint(layout, since + 60) == "nothing"
    (layout.logs / "console.log").write_text("InternalError: no file\n\tat java.lang.Error.<init>(Error.java:1)\n")
    assert last_words(tmp_path, datetime.now(UTC).timestamp()) == "InternalError: no file"


def test_what_kafka_gets_over_by_itself_is_not_told_as_its_end(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    thrown = "org.apache.kafka.common.errors.NotControllerException: The active controller appears to be node 1."
    (layout.logs / "kafka-0.log").write_text(
        "2026-11-27T22:00:00.500+0000 INFO k: registerController: event failed with NotControllerException\n"
        "2026-11-27T22:00:00.600+0000 SEVERE k: [A nodeId=1] Unexpected error handling request "
        "RequestHeader(apiKey=CONTROLLER_REGISTRATION, apiVersion=0, clientId=1)\n"
        f"java.util.concurrent.CompletionException: {thrown}\n\tat x\nCaused by: {thrown}\n"
        "2026-11-27T22:00:00.700+0000 INFO k: ready\n"
    )
    assert launch.last_error(layout, 0.0) is None
    assert launch.last_complaint(layout, 0.0).endswith("INFO k: ready")


def test_a_start_that_is_killed_is_not_told_with_what_an_earlier_one_threw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    log = layout.logs / "kafka-0.log"
    log.write_text("2026-11-27T21:59:59.500+0000 SEVERE k: no\njava.net.BindException: Address already in use\n")
    since = datetime(2026, 11, 27, 22, 0, tzinfo=UTC).timestamp()
    monkeypatch.setattr(wire, "ready", lambda *_: False)
    monkeypatch.setattr(process, "started", lambda _: None)
    killed = Record(1, "then", 1, 2, str(tmp_path), "4", "java", since)
    with pytest.raises(BrokerError, match=r"Kafka ended while it started, its log in .* says: nothing"):
        launch.wait(layout, killed, 0.1)
    with log.open("a") as file:
        file.write("2026-11-27T22:00:00.500+0000 SEVERE k: no\njava.net.BindException: Address already in use\n")
    with pytest.raises(PortError):
        launch.wait(layout, killed, 0.1)


def test_the_last_words_of_a_node_are_errors_of_its_present_start(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    since = datetime(2026, 11, 27, 22, 0, tzinfo=UTC).timestamp()
    where = f"ended (its log: {logs / 'kafka-0.log'})"
    assert last_words(tmp_path, since) == where
    old = "2026-11-27T21:59:59.999+0000 SEVERE k: old\n2026-11-27T22:00:01.000+0000 INFO k: Terminating SIGTERM\n"
    (logs / "kafka-0.log").write_text(f"{old}a line of a trace\n")
    (logs / "console.log").write_text("OpenJDK 64-Bit Server VM warning: old\n")
    assert last_words(tmp_path, since) == where
    (logs / "console.log").write_text("Terminating due to java.lang.OutOfMemoryError: Java heap space\n")
    assert "OutOfMemoryError" in last_words(tmp_path, since)
    new = "2026-11-27T22:00:00.500+0000 SEVERE k: no disk"
    (logs / "kafka-0.log").write_text(f"{old}{new}\n\tat x\n2026-11-27T22:00:02.000+0000 INFO k: bye\n")
    assert last_words(tmp_path, since) == new
