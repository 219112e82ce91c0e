"""`andon render`: what would be sent, in its parts, and nothing is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from andon.cli.main import main

CONFIG = """
version: 1
site: {zone: Asia/Shanghai}
calendar: {time_intervals: {always: [{times: ["00:00-24:00"]}]}}
channels: {robot: {kind: wecom_robot, keys: [env:NOBODY_SET_THIS]}, log: {kind: kafka, topic: plant.events}}
receivers:
  group: {channel: robot, template: fault}
  plain: {channel: robot}
  programs: {channel: log}
  silent: {channel: robot, template: silent}
  abroad: {channel: robot, language: en, zone: Europe/Berlin, watermark: true, long: link}
templates: {link: "https://mes.corp/events/{id}"}
route:
  receiver: group
  routes:
    - {matchers: ['severity="minor"'], receiver: group, mute_time_intervals: [always]}
    - {matchers: ['severity="both"'], receiver: plain, continue: true}
    - {matchers: ['severity="both"'], receiver: programs}
"""
TEMPLATES = {
    "fault.md.j2": "**{{ event.subject }}** {{ data.code }} {{ data.text }} {{ data.nowhere }}",
    "silent.j2": "{% if labels.state == 'never' %}something{% endif %}",
}
EVENT = {"type": "fault", "subject": "M-07", "time": "2026-11-26T08:00:00+08:00", "data": {"code": "E-7", "text": "热"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "andon.yaml").write_text(CONFIG, encoding="utf-8")
    for name, text in TEMPLATES.items():
        (tmp_path / "templates" / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs it for what is in a file: exit code, what it printed, and what it said of a failure."""

    def render(event: object, *more: str) -> tuple[int, str, str]:
        file = folder / "event.json"
        file.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
        code = main(["render", str(file), "--config", str(folder), *more])
        return (code, *capsys.readouterr())

    return render


def test_the_routes_say_who_sees_it_and_the_template_how(shown: Any) -> None:
    code, out, _ = shown(EVENT)
    head, ruler, text = out.splitlines()
    assert code == 0
    assert head == "render-1 → group (wecom_robot robot, template fault.md.j2), 1 fields are missing"
    assert text == "**M-07** E-7 热 【缺】"
    assert ruler == f"── part 1 of 1: markdown, {len(text.encode())} bytes ──"


def test_every_part_is_shown_as_the_vendor_would_get_it(shown: Any) -> None:
    code, out, _ = shown(EVENT | {"data": {"code": "E", "text": "主轴过热。" * 400}}, "--json")
    (one,) = json.loads(out)
    assert code == 0
    assert len(one["parts"]) > 1
    assert all(part["bytes"] == len(part["text"].encode()) <= 4096 for part in one["parts"])
    assert "".join(part["text"] for part in one["parts"]).count("主轴过热。") == 400


def test_a_receiver_may_be_named_and_a_channel_of_programs_gets_the_event(shown: Any) -> None:
    code, out, _ = shown(EVENT | {"labels": {"severity": "both"}}, "--json")
    assert code == 0
    assert [one["receiver"] for one in json.loads(out)] == ["plain", "programs"]
    code, out, _ = shown(EVENT, "--json", "--receiver", "programs")
    (one,) = json.loads(out)
    assert code == 0
    assert json.loads(one["parts"][0]["text"])["subject"] == "M-07"


def test_what_is_never_merged_is_shown_alone(shown: Any) -> None:
    events = [EVENT | {"id": name, "labels": {"severity": "both"}} for name in ("a", "b")]
    code, out, _ = shown(events, "--merged", "--json")
    assert code == 0
    assert [(one["event"], one["receiver"]) for one in json.loads(out)] == [
        ("a", "programs"),
        ("b", "plain"),
        ("b", "programs"),
    ]


def test_merged_and_repeated_notices(shown: Any) -> None:
    events = [EVENT | {"subject": subject} for subject in ("M-01", "M-02")]
    code, out, _ = shown(events, "--merged", "--repeat")
    assert code == 0
    assert "template digest.zh.j2" in out
    assert "【可能重复】【合并 2 条】" in out
    assert "M-01" in out
    assert "M-02" in out
    assert shown(events)[1].count("→ group") == 2


def test_a_receivers_own_look_is_shown_in_every_part(shown: Any) -> None:
    code, out, _ = shown(EVENT | {"data": {"text": "主轴过热。" * 400}}, "--json", "--receiver", "abroad")
    (one,) = json.loads(out)
    (part,) = one["parts"]
    assert (code, one["language"], one["zone"], one["template"]) == (0, "en", "Europe/Berlin", "plain.en.j2")
    assert part["text"].startswith("fault M-07\nTime: 2026-11-26 01:00:00\n")
    assert "\n… (there is more) the whole: https://mes.corp/events/render-1\nabroad · " in part["text"]
    assert part["bytes"] == len(part["text"].encode()) <= 2048
    code, out, _ = shown([EVENT, EVENT | {"subject": "M-08"}], "--merged", "--receiver", "abroad")
    assert "[2 in one]" in out
    assert out.count("https://mes.corp/events/render-1") == 2


def test_what_would_not_be_sent_says_why(shown: Any) -> None:
    code, out, _ = shown(EVENT | {"labels": {"severity": "minor"}})
    assert (code, out) == (0, "render-1: nobody hears of it: muted by 0.0 always\n")
    code, out, _ = shown(EVENT | {"id": "\x1b[2J", "labels": {"severity": "minor"}})
    assert (code, out) == (0, "\\u001b[2J: nobody hears of it: muted by 0.0 always\n")
    code, out, _ = shown(EVENT, "--receiver", "silent")
    assert code == 1
    assert "would be parked: empty: silent.j2 renders to nothing" in out


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("{", "is not an event in JSON"),
        ("[]", "holds no event"),
        ({"subject": "x"}, "missing required field `type`"),
        (EVENT | {"typo": 1}, "unknown field `typo`"),
        (EVENT | {"time": "2026-11-26T08:00:00"}, "needs a zone"),
    ],
)
def test_what_is_no_event_is_told(shown: Any, event: object, sentence: str) -> None:
    code, out, err = shown(event)
    assert (code, out) == (1, "")
    assert sentence in err


def test_a_receiver_that_is_not_there_and_a_file_that_is_not(shown: Any, folder: Path) -> None:
    code, _, err = shown(EVENT, "--receiver", "grup")
    assert code == 1
    assert "there is no receiver grup; there are group, plain, programs, silent, abroad" in err
    assert main(["render", str(folder / "nothing.json"), "--config", str(folder)]) == 1


def test_a_wrong_configuration_is_not_rendered(shown: Any, folder: Path) -> None:
    (folder / "templates" / "fault.md.j2").write_text("{{ oops", encoding="utf-8")
    code, out, err = shown(EVENT)
    assert (code, out) == (2, "")
    assert "fault.md.j2 line 1" in err


def test_an_event_is_read_from_a_pipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(EVENT).encode())))
    assert main(["render", "-", "--config", str(folder)]) == 0
    assert "→ group" in capsys.readouterr().out
