"""`andon up` with programs of this file in place of the services."""

import asyncio
import errno
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from andon.cli import main as frame
from andon.cli.commands import up
from andon.cli.running import live, plan, runfile, upkeep
from andon.cli.running.watch import Watch
from andon.config.load import Loaded, load
from andon.config.secrets import SecretMissing
from andon.runtime import logs
from andon.runtime.clock import SystemClock
from andon.runtime.command import LOG_BYTES, Command
from andon.runtime.supervisor import Program, Refused
from tests.unit.cli.conftest import Configure
from tests.unit.cli.test_summary import Counted

SLEEP = "import time; time.sleep(60)"


class FakeTally:
    """Counts what it is told to."""

    def __init__(self, found: Counted) -> None:
        self.found = found
        self.closed = False

    def snapshot(self) -> Counted:
        return self.found

    def accepted_ids(self) -> frozenset[str]:
        return frozenset()

    def close(self) -> None:
        self.closed = True


class Stage:
    """An `andon up` whose services are `scripts`, and what it did."""

    def __init__(
        self,
        configure: Configure,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        found: Counted,
        scripts: dict[str, str],
        run_for: float | None,
    ) -> None:
        self.tally = FakeTally(found)
        self.prepared = 0
        self.watched = 0
        self.ready = True
        self.published: list[Loaded] = []
        self.out = io.StringIO()
        self.home = home
        self.into = home / "summary.json"
        with ExitStack() as stack:
            planned = plan.make(configure(), home, run_for=None, stack=stack)
        programs = tuple(self.program(name, script) for name, script in scripts.items())
        notes = ("8700 is taken; the door is at 8701",)
        self.plan = replace(planned, programs=programs, services=tuple(scripts), notes=notes)
        monkeypatch.setattr(upkeep, "prepare", self.prepare)
        monkeypatch.setattr(upkeep, "publish", self.publish)
        monkeypatch.setattr(up, "Watch", self.watch)
        monkeypatch.setattr(upkeep, "tally", lambda _plan: self.tally)
        monkeypatch.setattr("andon.cli.commands.check.checked", load)
        self.shown = live.screen(as_json=False, out=self.out)
        self.up = up.Up(self.plan, self.shown, SystemClock(), time.time(), run_for, self.into if run_for else None)

    def program(self, name: str, script: str) -> Program:
        log = self.home / f"{name}.log"
        command = Command([sys.executable, "-I", "-S", "-c", script], log)
        return Program(name, command, log, ready=self.is_ready, stop_timeout=5)

    async def is_ready(self) -> bool:
        return self.ready

    async def prepare(self, _plan: plan.Plan) -> None:
        self.prepared += 1

    def watch(self, paths: Iterable[Path]) -> Watch:
        found = Watch(paths)
        self.watched += 1
        return found

    async def publish(self, _plan: plan.Plan, loaded: Loaded) -> str:
        self.published.append(loaded)
        return "published"

    def state(self) -> dict[str, object]:
        found = json.loads((self.home / "run.json").read_text())
        assert isinstance(found, dict)
        return found


@pytest.fixture
def stage(configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    def make(found: Counted | None = None, run_for: float | None = None, **scripts: str) -> Stage:
        return Stage(configure, tmp_path, monkeypatch, found or Counted(), scripts or {"a": SLEEP, "b": SLEEP}, run_for)

    return make


async def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30  # only a wait in vain is as long
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("lost", "code"), [(0, 0), (2, 1)])
def test_an_unattended_run_ends_with_its_summary(
    stage: Callable[..., Stage], lost: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "DRAIN", 0.3)
    it = stage(Counted(lost=lost), 0.1)
    assert asyncio.run(it.up.run()) == code
    found = json.loads(it.into.read_text())
    assert (found["lost"], found["accepted"], found["first_delivery_s"]) == (lost, 10, None)
    assert it.tally.closed
    assert it.prepared == 1
    assert it.state()["state"] == "stopped"
    assert it.state()["notes"] == ["8700 is taken; the door is at 8701"]
    assert it.state()["config"] == str(it.plan.loaded.file.absolute())
    assert "8700 is taken; the door is at 8701" in it.out.getvalue().splitlines()
    turns = [line.split(" · ")[0] for line in it.out.getvalue().splitlines() if " · " in line]
    assert turns == ["starting", "running", "draining", "stopping", "stopped"]


def test_the_first_signal_stops_everything_cleanly(stage: Callable[..., Stage]) -> None:
    it = stage()

    async def scenario() -> tuple[int, list[int]]:
        running = asyncio.create_task(it.up.run())
        await until(lambda: (it.home / "run.json").exists() and it.state()["state"] == "running")
        programs = it.state()["programs"]
        assert isinstance(programs, list)
        pids = [program["pid"] for program in programs]
        os.kill(os.getpid(), signal.SIGTERM)
        return await running, pids

    code, pids = asyncio.run(scenario())
    assert code == 0
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert it.state()["state"] == "stopped"
    assert "stopped; the data stays in" in it.out.getvalue()


def test_a_service_that_refuses_its_configuration_ends_the_run(stage: Callable[..., Stage]) -> None:
    it = stage(a=SLEEP, b="import sys; print('the port 8700 is taken'); sys.exit(2)")
    it.ready = False  # who ends at once has never answered
    with pytest.raises(Refused, match=r"^b: the port 8700 is taken$"):
        asyncio.run(it.up.run())
    assert it.state()["state"] == "stopped"


def test_an_unattended_run_does_not_wait_for_ever(stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "READY_WITHIN", 0.2)
    it = stage(None, 1.0, a="import sys; sys.exit('no disk')")
    it.ready = False

    async def ended(_plan: plan.Plan) -> None:
        await until(lambda: it.up._supervisor.statuses[0].note)

    monkeypatch.setattr(upkeep, "prepare", ended)  # before it counts how long it waits
    with pytest.raises(Refused, match=r"not ready after 0.2 s: a \(.*no disk\)"):
        asyncio.run(it.up.run())
    assert not it.into.exists()


def test_valid_changes_are_published_and_mistakes_are_told(
    stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    it = stage()

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: it.watched)
        file = it.plan.loaded.file
        good = file.read_text()
        file.write_text(good.replace("receivers:", "recievers:"))
        await until(lambda: "was not published" in it.out.getvalue())
        assert "did you mean `receivers`?" in it.out.getvalue()
        assert {record.levelname for record in caplog.records if "receivers" in record.message} == {"WARNING"}
        assert {record.levelname for record in caplog.records if "not published" in record.message} == {"WARNING"}
        assert it.published == []
        file.write_text(good.replace("env:ROBOT_2", "env:ROBOT_3"))
        await until(lambda: it.published)
        os.kill(os.getpid(), signal.SIGINT)
        assert await running == 0

    asyncio.run(scenario())
    assert it.published[0].settings.channels["robot"].options["keys"] == ["env:ROBOT_1", "env:ROBOT_3"]
    assert "channels.robot.keys[1]: the environment variable ROBOT_3 is not set" in it.out.getvalue()


def test_what_a_wrong_file_names_is_published_as_soon_as_it_is_there(stage: Callable[..., Stage]) -> None:
    """A file is often named before it is written: that it came was not seen, for the file before did not name it."""
    it = stage()
    file = it.plan.loaded.file
    named = file.read_text().replace("token: env:PLANT_TOKEN", "token: env:PLANT_TOKEN, map: mes.yaml")

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: it.watched)
        file.write_text(named)
        await until(lambda: "was not published" in it.out.getvalue())
        (file.parent / "mes.yaml").write_text("type: fault\n")
        await until(lambda: it.published)
        assert await ended(running) == 0

    asyncio.run(scenario())
    assert it.out.getvalue().count("was not published") == 1


def test_a_full_disk_under_what_is_shown_stops_nothing_and_is_logged_once(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    it = stage()
    written = it.out.write
    full = []

    def write(text: str) -> int:
        full.append(text)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(live, "LINE_EVERY", 0.0)
    monkeypatch.setattr(up, "REFRESH", 0.01)
    monkeypatch.setattr(it.out, "write", write)

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: it.watched and len(full) > 20)
        assert not running.done()
        assert it.state()["state"] == "running"
        monkeypatch.setattr(it.out, "write", written)
        await until(lambda: "running" in it.out.getvalue())
        monkeypatch.setattr(it.out, "write", write)
        assert await ended(running) == 0

    asyncio.run(scenario())
    assert it.state()["state"] == "stopped"
    assert [record.message for record in caplog.records].count("the state can't be shown") == 1


def test_its_own_log_is_bounded_as_those_of_its_programs_are(stage: Callable[..., Stage]) -> None:
    it = stage(run_for=0.1)
    log = it.home / "logs" / "up.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as file:
        file.truncate(LOG_BYTES + 1)
    asyncio.run(it.up.run())
    assert log.stat().st_size == 0
    assert log.with_name("up.log.1").stat().st_size == LOG_BYTES + 1


def changed(it: Stage, robot: int) -> None:
    file = it.plan.loaded.file
    file.write_text(re.sub(r"env:ROBOT_\d", f"env:ROBOT_{robot}", file.read_text()))


def robots(it: Stage) -> list[object]:
    return [one.settings.channels["robot"].options["keys"][0] for one in it.published]


async def ended(running: asyncio.Task[int]) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return await running


def test_a_change_that_cannot_be_published_is_told_and_stops_nothing(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong with it: a password that is not there, a folder that goes while it is walked through."""
    it = stage()
    problems: list[Exception] = [SecretMissing("the environment variable KAFKA is not set"), OSError("gone")]

    async def publish(planned: plan.Plan, loaded: Loaded) -> str:
        if problems:
            raise problems.pop(0)
        return await it.publish(planned, loaded)

    monkeypatch.setattr(upkeep, "publish", publish)

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: it.watched)
        for robot, told in ((3, "KAFKA is not set); save it again"), (4, "gone); save it again")):
            changed(it, robot)
            await until(lambda told=told: told in it.out.getvalue())  # type: ignore[misc]
        changed(it, 5)
        await until(lambda: it.published)
        assert await ended(running) == 0

    asyncio.run(scenario())
    assert robots(it) == ["env:ROBOT_5"]


def test_whose_limits_are_counted_anew_is_told(stage: Callable[..., Stage]) -> None:
    it = stage()

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: it.watched)
        file = it.plan.loaded.file
        file.write_text(file.read_text().replace("env:ROBOT_1, ", ""))
        await until(lambda: "to wecom_robot:env:ROBOT_2" in it.out.getvalue())
        assert await ended(running) == 0

    asyncio.run(scenario())


def test_what_is_saved_during_the_start_or_a_publication_is_published_too(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = stage()

    async def prepare(_plan: plan.Plan) -> None:
        changed(it, 3)

    async def publish(planned: plan.Plan, loaded: Loaded) -> str:
        if not it.published:
            changed(it, 4)
        return await it.publish(planned, loaded)

    monkeypatch.setattr(upkeep, "prepare", prepare)
    monkeypatch.setattr(upkeep, "publish", publish)

    async def scenario() -> None:
        running = asyncio.create_task(it.up.run())
        await until(lambda: len(it.published) == 2)
        await asyncio.sleep(1.5)
        assert await ended(running) == 0

    asyncio.run(scenario())
    assert robots(it) == ["env:ROBOT_3", "env:ROBOT_4"]


def test_what_can_not_go_together_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    assert frame.main(["up", "--demo", "--config", "x.yaml", *data]) == 2
    assert frame.main(["up", "--summary", "s.json", *data]) == 2
    assert frame.main(["up", "--for", "soon", *data]) == 2
    for none in (tmp_path, tmp_path / "none" / "s.json", tmp_path / ("x" * 300) / "s.json"):
        assert frame.main(["up", "--for", "5s", "--summary", str(none), *data]) == 2
    said = capsys.readouterr().err
    assert "--demo has its own configuration" in said
    assert f"the summary {tmp_path} cannot be written" in said
    assert list(tmp_path.iterdir()) == []


def test_a_second_up_on_the_same_data_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with runfile.held(tmp_path):
        assert frame.main(["up", "--data", str(tmp_path)]) == 1
    assert "another `andon up` runs on" in capsys.readouterr().err


@pytest.mark.parametrize(("run_for", "whole"), [(None, False), (60.0, True)])
def test_every_id_is_kept_only_where_a_summary_is_to_say_what_was_lost(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_for: float | None, whole: bool
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("andon.runtime.tally.Tally", lambda _link, **how: asked.append(how))
    with ExitStack() as stack:
        upkeep.tally(plan.make(configure(), tmp_path, run_for=run_for, stack=stack))
    assert asked == [{"from_start": False, "whole": whole}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_log_that_a_full_disk_does_not_take_hides_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "up.log").symlink_to("/dev/full")
    log: list[TextIO] = []

    def make(*_: object, **__: object) -> plan.Plan:
        log[0].write("a line")
        raise Refused("kafka: The disk is 100% full.")

    monkeypatch.setattr(logs, "configure", lambda _, stream: log.append(stream))
    monkeypatch.setattr(plan, "make", make)
    assert frame.main(["up", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "andon up: kafka: The disk is 100% full.\n"
