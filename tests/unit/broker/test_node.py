"""A node that runs already, or is just about to end. Processes are stand-ins."""

import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from andon.broker import BrokerError, archive, crash, disk, download, java, node, process, start, stop, storage
from andon.broker.launch import Record
from andon.broker.layout import Layout
from andon.broker.locks import locked


def record(data: Path, pid: int) -> Record:
    return Record(pid, "then", 8792, 9792, str(data), "4", "java", 0.0)


@pytest.mark.parametrize("ends", [True, False])
def test_one_that_had_been_told_to_end_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    def wait(_layout: Layout, _record: Record, **_: object) -> None:
        raise BrokerError("Kafka ended while it started")

    for module, name, stand_in in (
        (node, "alive", lambda layout: record(layout.data, 11)),
        (node, "wait", wait),
        (node, "launch", lambda layout, *_, **__: record(layout.data, 12)),
        (process, "started", lambda _: None if ends else "then"),
        (java, "find", lambda: None),
        (download, "fetch", lambda **_: ()),
        (archive, "options", lambda _: ()),
        (archive, "train_in_background", lambda *_, **__: None),
        (storage, "format_storage", lambda *_: None),
        (disk, "refuse_when_full", lambda _: None),
        (crash, "crashed", lambda _: False),
    ):
        monkeypatch.setattr(module, name, stand_in)
    if ends:
        assert start(tmp_path).pid == 12
    else:
        with pytest.raises(BrokerError, match="Kafka ended"):
            start(tmp_path)


def enough() -> None:
    raise KeyError("enough")


def test_a_start_is_given_up_while_another_starts_a_node_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "end", lambda *_, **__: pytest.fail("it is another's"))
    with locked(Layout(tmp_path).lock), pytest.raises(KeyError, match="enough"):
        start(tmp_path, go_on=enough)
    monkeypatch.setattr(node, "alive", lambda layout: record(layout.data, 11))
    monkeypatch.setattr(process, "started", lambda _: "then")
    with pytest.raises(KeyError, match="enough"):
        start(tmp_path, go_on=enough)


def test_a_stop_does_not_wait_for_a_start_that_waits_for_its_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = subprocess.Popen(["sleep", "60"])
    begun = process.started(kafka.pid)
    assert begun
    one = replace(record(tmp_path, kafka.pid), started=begun)
    monkeypatch.setattr(node, "alive", lambda _: one if process.started(kafka.pid) == begun else None)
    held = threading.Event()

    def starts() -> None:
        with locked(Layout(tmp_path).lock):
            held.set()
            end = time.monotonic() + 20
            while process.started(kafka.pid) == begun and time.monotonic() < end:
                time.sleep(0.02)

    starting = threading.Thread(target=starts)
    starting.start()
    assert held.wait(5)
    asked = time.monotonic()
    assert stop(tmp_path)
    assert time.monotonic() - asked < 10
    starting.join()
    kafka.wait()
