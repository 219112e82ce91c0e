"""What the demo makes of its configuration: ports, secrets, programs."""

import asyncio
import stat
from pathlib import Path

import pytest

from andon.config.load import load
from andon.dev.demo import Demo
from andon.runtime.command import Command
from andon.runtime.supervisor import Program
from andon.testing.clock import ManualClock
from tests.unit.cli.conftest import Configure


def demo(source: Path, home: Path, moved_by: int = 0) -> Demo:
    return Demo(home, lambda preferred: preferred + moved_by, source)


def argv(program: Program) -> str:
    assert isinstance(program.spawn, Command)
    return " ".join(program.spawn.argv)


def test_moved_ports_are_moved_in_the_copy(configure: Configure, tmp_path: Path) -> None:
    source = configure(tickets=True).parent
    (source / "tables").mkdir()
    (source / "tables" / "machines.csv").write_text("machine_no\nM-07\n")
    it = demo(source, tmp_path / "demo", 3)
    copy = it.derive()
    text = copy.read_text()
    assert "http://127.0.0.1:8723" in text
    assert "http://127.0.0.1:8733/tracker/" in text
    assert "8720" not in text
    assert (copy.parent / "tables" / "machines.csv").read_text() == "machine_no\nM-07\n"
    assert (copy.parent / "machines.sqlite").exists()
    assert it.addresses() == {"tracker": "http://127.0.0.1:8733/tracker/"}


def test_only_what_changed_is_written_again(configure: Configure, tmp_path: Path) -> None:
    source = configure().parent
    it = demo(source, tmp_path / "demo")
    copy = it.derive()
    before = copy.stat().st_ino
    it.derive()
    assert copy.stat().st_ino == before
    (source / "andon.yaml").write_text("version: 1\n")
    assert it.derive().read_text() == "version: 1\n"


def test_secrets_are_made_once_and_are_nobody_elses(configure: Configure, tmp_path: Path) -> None:
    source = configure().parent
    it = demo(source, tmp_path / "demo")
    it.derive()
    first = it.secrets()
    assert sorted(first) == ["PLANT_TOKEN", "ROBOT_1", "ROBOT_2"]
    assert len(set(first.values())) == 3
    assert stat.S_IMODE((tmp_path / "demo" / "secrets.json").stat().st_mode) == 0o600
    configure(tickets=True)
    again = demo(source, tmp_path / "demo")
    again.derive()
    assert again.secrets() == {**first, "TRACKER_PASSWORD": again.secrets()["TRACKER_PASSWORD"]}


def test_the_programs_get_what_the_configuration_names(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = demo(configure(tickets=True).parent, tmp_path / "demo", 1)
    settings = load(it.derive()).settings
    made = it.secrets()
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    wecom, tracker = it.stand_ins(settings, tmp_path)
    assert f"--keys {made['ROBOT_1']},{made['ROBOT_2']}" in argv(wecom)
    assert "--port 8721" in argv(wecom)
    assert argv(tracker).endswith("--port 8731 --password-env TRACKER_PASSWORD")
    assert made["TRACKER_PASSWORD"] not in argv(tracker)
    endless = it.plant(settings, "http://127.0.0.1:8700", None, tmp_path, ManualClock())
    assert "--url http://127.0.0.1:8700 --token-env PLANT_TOKEN" in argv(endless)
    assert "--for" not in argv(endless)
    assert not endless.once


def test_a_plant_that_crashed_goes_on_for_the_time_that_is_left(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    async def spawn(self: Command) -> None:
        started.append(list(self.argv))

    monkeypatch.setattr(Command, "__call__", spawn)
    it, clock = demo(configure().parent, tmp_path / "demo"), ManualClock()
    plant = it.plant(load(it.derive()).settings, "http://127.0.0.1:8700", 60.0, tmp_path, clock)
    assert plant.once
    for pause in (50, 9, 100):
        asyncio.run(plant.spawn())  # type: ignore[arg-type]
        clock.advance(pause)
    assert [argv[-2:] for argv in started] == [["--for", "60.0"], ["--for", "10.0"], ["--for", "1.0"]]


def test_the_shipped_configuration_is_found_and_names_all_that_the_demo_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Demo(tmp_path, lambda preferred: preferred)
    settings = load(it.derive()).settings
    for name, value in it.secrets().items():
        monkeypatch.setenv(name, value)
    wecom, tracker = it.stand_ins(settings, tmp_path)
    assert argv(wecom).rpartition("--keys ")[2].count(",") == 2
    assert "PASSWORD" in argv(tracker)
    assert "--token-env ANDON_DEMO_TOKEN" in argv(it.plant(settings, "http://x", None, tmp_path, ManualClock()))
