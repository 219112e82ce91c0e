"""run.json, the lock beside it, and `andon status`."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from andon.cli import main as frame
from andon.cli.commands import status
from andon.cli.running import runfile
from andon.runtime.supervisor import State, Status

FACTS = {
    "started": "2026-11-22T00:00:00+00:00",
    "data": "/d",
    "config": "/c",
    "kafka_data": "/nowhere/kafka",
    "addresses": {"door": "http://127.0.0.1:8700"},
}


def written(data: Path, *states: State) -> None:
    programs = [Status(f"p{n}", Path("p.log"), {"metrics": 8701 + n}, state) for n, state in enumerate(states)]
    runfile.RunFile(data, FACTS).write("running", programs)


def test_only_one_up_works_on_a_directory(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    with runfile.held(data):
        with pytest.raises(runfile.AlreadyRuns, match="another `andon up` runs on"), runfile.held(data):
            pass
        with runfile.held(tmp_path / "other"):
            pass
    with runfile.held(data):
        pass


def test_the_run_file_is_replaced_whole(tmp_path: Path) -> None:
    written(tmp_path, State.STARTING)
    written(tmp_path, State.READY)
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["pid"] == os.getpid()
    assert found["programs"][0]["state"] == "ready"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("damaged", [b"", b'{"pid": 7', b"\xff\xfe", b"[]", b'{"config": "/c", "programs": []}'])
def test_a_damaged_run_file_counts_as_none(damaged: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a power cut it may be empty; `andon up` must start then, and write a whole one."""
    (tmp_path / "run.json").write_bytes(damaged)
    assert runfile.read(tmp_path, "state") is None
    assert frame.main(["status", "--data", str(tmp_path)]) == 1
    assert "nothing was ever started" in capsys.readouterr().out


def test_who_looks_in_the_instant_of_a_start_does_not_keep_it_back(tmp_path: Path) -> None:
    written(tmp_path, State.READY)
    with (tmp_path / "up.lock").open("ab") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        found = runfile.read(tmp_path)
        assert found is not None
        assert not found["alive"], "another one that looks is no `andon up`"
        threading.Timer(0.1, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        with runfile.held(tmp_path):
            pass


@pytest.mark.parametrize(
    ("states", "code"), [((State.READY, State.DONE), 0), ((State.READY, State.RESTARTING), 1), ((), 0)]
)
def test_status_is_well_when_every_program_is(
    states: tuple[State, ...], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with runfile.held(tmp_path):
        written(tmp_path, *states)
        assert frame.main(["status", "--data", str(tmp_path), "--json"]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert found["alive"]
        assert found["kafka"] is None
        assert frame.main(["status", "--data", str(tmp_path)]) == code
        assert "http://127.0.0.1:8700" in capsys.readouterr().out


def test_a_program_that_is_not_there_any_more_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a full disk nothing is written any more, and run.json says what was: Kafka, which has ended, was ready."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    programs = [
        Status(name, Path("p.log"), {}, State.READY, pid)
        for name, pid in (("kafka", ended.pid), ("egress", os.getpid()))
    ]
    with runfile.held(tmp_path):
        runfile.RunFile(tmp_path, FACTS).write("running", programs)
        assert frame.main(["status", "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "old      run.json could not be written since (a full disk?): kafka ended meanwhile" in told


def test_processes_of_another_container_are_not_looked_for(tmp_path: Path) -> None:
    """Its data directory is shared, the numbers of its processes mean nothing here."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with runfile.held(tmp_path):
        facts = {**FACTS, "pid": ended.pid}
        runfile.RunFile(tmp_path, facts).write("running", [Status("egress", Path("p.log"), {}, State.READY, ended.pid)])
        assert frame.main(["status", "--data", str(tmp_path)]) == 0


def test_status_tells_a_crash_from_an_end_and_from_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["status", "--data", str(tmp_path)]) == 1
    assert "nothing was ever started" in capsys.readouterr().out
    written(tmp_path, State.READY)
    assert frame.main(["status", "--data", str(tmp_path)]) == 1
    assert "ended without stopping" in capsys.readouterr().out
    runfile.RunFile(tmp_path, FACTS).write("stopped", [])
    assert frame.main(["status", "--data", str(tmp_path), "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["alive"]


def test_the_text_shows_why_a_program_is_not_well() -> None:
    program = {"name": "egress", "state": "restarting", "pid": None, "restarts": 3, "ports": {"metrics": 8704}}
    found = {**FACTS, "alive": True, "pid": 1, "state": "running"}
    found["programs"] = [{**program, "exit": 3, "note": "the store does not answer"}]
    sizes = {"topics_bytes": 2_500_000, "logs_bytes": 100_000, "disk_used": 0.5}
    found["kafka"] = {"port": 8792, "version": "4.1.0", **sizes}
    text = status.text(found | {"notes": ["8700 is taken; the door is at 8701"]})
    assert "\nat start 8700 is taken; the door is at 8701\n" in text
    assert "metrics 8704  exit 3: the store does not answer" in text
    assert "kafka    8792, 4.1.0, topics 2.5 MB, logs 0.1 MB, disk 50% full" in text
