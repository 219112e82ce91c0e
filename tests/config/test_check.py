"""`andon check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from andon.cli.check import checked
from andon.cli.main import main
from tests.config.plant import changed, registry, said, write

SMALL = """\
version: 1
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift, routes: [{matchers: ['line="1"'], continue: true}]}
"""


def test_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL)
    for arguments in (["check", str(file)], ["check", str(tmp_path)], ["--config", str(file), "check"]):
        assert main(arguments) == 0
        answer = capsys.readouterr()
        assert answer.out == f"OK {file}: 0 sources, 0 connectors, 1 channel, 1 receiver, 2 routes, 1 template\n"
        assert answer.err == ""


def test_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL.replace("receivers", "reciever").replace("version: 1", "version: 2"))
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:1:10: `version` must be 1",
        f"{file}:3:1: unknown key `reciever`; did you mean `receivers`?",
        f"{file}:4:19: there is no receiver `shift` under `receivers`",
    ]


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "andon.yaml"
    file.write_text(SMALL)
    assert main(["check", "--json", str(file)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["counts"]["routes"] == 2
    file.write_text(SMALL + "limits: {windw: 700}\n")
    assert main(["check", "--json", str(file)]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "file": str(file),
        "mistakes": [
            {
                "file": str(file),
                "line": 5,
                "column": 10,
                "path": ["limits", "windw"],
                "text": "unknown key `windw`; did you mean `window`?",
            }
        ],
    }


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}/andon.yaml:1:1: there is no such file\n"


def test_what_a_service_finds_has_its_place(tmp_path: Path) -> None:
    text = changed("matchers: ['line=\"line-3\"']", "matchers: ['line=\"line-3\"', 'line=~\"(\"']")
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("31:36: ")
    text = changed('"20:00-24:00"', '"20:00-25:00"')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("8:22: ")
    text = changed("by: subject", 'by: "subject["')
    (mistake,) = said(checked(write(tmp_path, text), registry()))
    assert mistake.startswith("14:69: ")
    file = write(tmp_path)
    (tmp_path / "texts" / "fault.paper.j2").write_text("{{ subject")
    (mistake,) = said(checked(file, registry()))
    assert mistake.startswith("21:37: template fault.paper.j2 ")


def test_services_are_asked_beside_wrong_names_and_rules(tmp_path: Path) -> None:
    text = changed('line="line-3"', 'line=~"("').replace("receiver: office", "receiver: offce")
    text = text.replace("channel: printer", "channel: prnter").replace("template: fault", "template: falt")
    file = write(tmp_path, text)
    (tmp_path / "texts" / "head.j2").write_bytes(b"\xff")
    assert [mistake.split(":")[0] for mistake in said(checked(file, registry()))] == ["21", "22", "28", "31", "32"]


def test_command(tmp_path: Path) -> None:
    """As a person runs it: one process, no trace of Python in what is read."""
    run = subprocess.run(
        [sys.executable, "-m", "andon.cli.main", "check", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (1, "")
