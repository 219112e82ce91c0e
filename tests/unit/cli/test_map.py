"""`andon map try`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from andon.cli.main import main

PLANT = """\
version: 1
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift}
sources:
  plain: {kind: http, token: env:PLAIN}
  wms:
    kind: http
    token: env:WMS
    map:
      each: alarms
      when: kind != 'heartbeat'
      type: wms.{kind}
      subject: "{bin}"
      id: "{no}"
      time: "{at}"
"""
BODY = {"alarms": [{"kind": "jam", "bin": "A", "no": 1, "at": "2026-11-26 08:00:00"}, {"kind": "heartbeat"}]}


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    (tmp_path / "andon.yaml").write_text(PLANT)
    return tmp_path


def tried(plant: Path, body: object, *more: str, source: str = "wms") -> int:
    (plant / "body").write_text(body if isinstance(body, str) else json.dumps(body))
    return main(["--config", str(plant), "map", "try", str(plant / "body"), "--source", source, *more])


def test_the_events_of_a_body(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(plant, BODY, "--json") == 0
    event, left_out = json.loads(capsys.readouterr().out)
    assert event == {
        "id": "1",
        "source": "wms",
        "type": "wms.jam",
        "subject": "A",
        "time": "2026-11-26T08:00:00+08:00",
        "data": BODY["alarms"][0],
    }
    assert left_out == {"left_out": "`when`"}
    assert tried(plant, BODY) == 0
    shown = capsys.readouterr().out
    assert '"subject": "A"' in shown
    assert shown.endswith("left out by `when`\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"alarms": [{"kind": "jam", "bin": "A", "no": 1}]}, "event 1: `time` needs `at`, and there is nothing"),
        ({"alarms": 1}, "`each` needs a list at `alarms`"),
        ("{", "truncated"),
    ],
)
def test_what_is_refused(plant: Path, body: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(plant, body) == 1
    assert said in capsys.readouterr().out
    assert tried(plant, body, "--json") == 1
    assert said in json.loads(capsys.readouterr().out)[0]["detail"]


@pytest.mark.parametrize(
    ("source", "said"),
    [("plain", "the source plain has no `map`"), ("wns", "there is no source wns; did you mean `wms`?")],
)
def test_a_source_without_a_map(plant: Path, source: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(plant, BODY, source=source) == 1
    assert said in capsys.readouterr().err


def test_an_empty_list_is_said_and_no_mistake(plant: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(plant, {"alarms": []}) == 0
    assert "no events" in capsys.readouterr().out


def test_a_body_is_read_in(plant: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(BODY).encode())))
    assert main(["--config", str(plant), "map", "try", "-", "--source", "wms"]) == 0
    assert "wms.jam" in capsys.readouterr().out
    assert main(["--config", str(plant), "map", "try", str(plant / "nothing"), "--source", "wms"]) == 1
