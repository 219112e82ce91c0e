"""`andon explain --event`: the walk, each matcher with its value, who hears of it and why they; without any system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from andon.cli.main import main

CONFIG = """
version: 1
site: {zone: Asia/Shanghai}
calendar: {time_intervals: {night: [{times: ["20:00-08:00"]}]}}
connectors:
  machine: {kind: csv, file: machines.csv, key: machine_no}
  erp: {kind: sql, url: env:NOBODY_SET_THIS, view: v_spare, key: machine_no}
enrich:
  - {matchers: ['type="fault"'], connector: machine, labels: {line: "{facts.machine.line}"}}
  - {matchers: ['severity="critical"'], connector: erp}
channels:
  app: {kind: wecom_app, corp_id: env:C, agent_id: 7, secret: env:S}
  robot: {kind: wecom_robot, keys: [env:R]}
receivers:
  group: {channel: robot, merge: {over: 10/m, by: [line, code]}, fallback: [{receiver: leader, after: 2m}]}
  leader: {channel: app, to: ["fact:machine.leader", wang]}
route:
  receiver: group
  group_by: [line]
  group_wait: 5s
  routes:
    - {matchers: ['severity="critical"'], receiver: leader, urgent: true, continue: true}
    - {matchers: ['line="L3"', 'data.temperature > 90'], mute_time_intervals: [night]}
    - {matchers: ['severity=~"minor|info"']}
episodes: {fault: {matchers: ['type="fault"'], key: [subject, code], ticket_system: tracker}}
ticket_systems: {tracker: {kind: roundup, url: "http://127.0.0.1:1", user: env:U, password: env:P}}
"""
FAULT = {
    "id": "e-1",
    "type": "fault",
    "source": "mes",
    "subject": "M-07",
    "time": "2026-11-26T12:00:00+08:00",
    "data": {"temperature": 95},
    "labels": {"severity": "critical", "code": "E7"},
}
Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture
def explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Explains what is in a file: exit code, what it printed, and what it said of a failure."""
    (tmp_path / "andon.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "machines.csv").write_text("machine_no,line,leader\nM-07,L3,李雷\n", encoding="utf-8")

    def run(events: object, *more: str) -> tuple[int, str, str]:
        file = tmp_path / "events"
        file.write_text(events if isinstance(events, str) else json.dumps(events), encoding="utf-8")
        code = main(["explain", "--event", str(file), "--config", str(tmp_path), *more])
        return (code, *capsys.readouterr())

    return run


def told(answer: tuple[int, str, str]) -> list[dict[str, Any]]:
    code, out, err = answer
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_says_which_way_who_and_why(explain: Explain) -> None:
    (one,) = told(explain(FAULT, "--json"))
    assert one["receivers"] == ["leader", "group"]
    assert [(step["path"], step["matched"], step.get("taken", False)) for step in one["path"]] == [
        ("0", True, False),
        ("0.0", True, True),
        ("0.1", True, True),
    ]
    assert [(m["matcher"], m["value"], m["held"]) for m in one["path"][2]["matchers"]] == [
        ('line="L3"', "L3", True),
        ("data.temperature>90", "95", True),
    ]
    assert one["path"][2]["intervals"] == [{"interval": "night", "kind": "mute", "held": False}]
    leader, group = one["told"]
    assert leader["to"] == [
        {"entry": "fact:machine.leader", "names": ["李雷"]},
        {"entry": "wang", "names": ["wang"]},
    ]
    assert (leader["urgent"], leader["route"], leader["recipients"]) == (True, "0.0", 2)
    assert (group["group"], group["merge"], group["pace"]) == (
        "0.1 L3",
        "L3/E7",
        {"wait": 5.0, "interval": 0.0, "repeat": 0.0},
    )
    assert [(other["receiver"], other["recipients"], other["after"]) for other in group["fallback"]] == [
        ("leader", ["李雷", "wang"], 120.0)
    ]
    assert (one["episode"], one["version"], one["at"]) == ("M-07/E7", 0, "2026-11-26T04:00:00Z")
    assert one["notes"] == ["erp is not asked here; an event in the file may bring facts.erp"]


def test_reads_the_same_to_a_person(explain: Explain) -> None:
    code, out, _ = explain(FAULT)
    assert code == 0
    for said in (
        '→  0.1  group   line="L3", data.temperature>90 (it is 95), outside night (mute)',
        "李雷  (by fact:machine.leader)",
        "who     the receiver itself",
        "group   0.1 L3, wait 5 s",
        "merge   L3/E7",
        "leader (李雷, wang) 120 s after the event",
        "episode   M-07/E7",
    ):
        assert said in out


def test_another_time_is_another_decision(explain: Explain) -> None:
    minor = {**FAULT, "labels": {"code": "E7"}}
    (day,) = told(explain(minor, "--json", "--at", "2026-11-26T12:00"))
    (night,) = told(explain(minor, "--json", "--at", "2026-11-26T21:00"))
    assert day["receivers"] == ["group"]
    assert night["receivers"] == []
    assert night["ended"] == {"outcome": "skipped", "reason": "muted", "by": "0.1 night"}
    assert night["path"][-1]["intervals"] == [{"interval": "night", "kind": "mute", "held": True}]
    assert night["at"] == "2026-11-26T13:00:00Z"
    _, out, _ = explain(minor, "--at", "2026-11-26T21:00")
    assert "within night (mute), silent: skipped (muted) 0.1 night" in out
    assert "nobody hears of it: skipped (muted) 0.1 night" in out


def test_the_facts_of_the_file_stand(explain: Explain) -> None:
    (one,) = told(explain({**FAULT, "facts": {"machine": {"leader": "韩梅"}, "erp": {}}}, "--json"))
    assert one["told"][0]["to"][0]["names"] == ["韩梅"]
    assert one["labels"] == FAULT["labels"]
    assert one["notes"] == []


def test_many_events_are_one_object_each_in_their_order(explain: Explain) -> None:
    events = [{**FAULT, "id": f"e-{number}", "labels": {"severity": "minor"}} for number in range(5)]
    lines = told(explain("\n".join(map(json.dumps, events)) + "\n\n", "--json"))
    assert [one["event"] for one in lines] == [one["id"] for one in events]
    assert lines == told(explain(events, "--json"))


def test_a_file_of_an_editor_on_windows_is_read(explain: Explain) -> None:
    assert len(told(explain("\ufeff" + json.dumps(FAULT), "--json"))) == 1
    assert len(told(explain("\ufeff" + json.dumps(FAULT) + "\r\n" + json.dumps(FAULT) + "\r\n", "--json"))) == 2


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ('{"type": "fault"}\n{"type": 7}\n', "line 2, is not an event in JSON: Expected `str`, got `int`"),
        ('{"type": "fault"', "is not an event in JSON: Input data was truncated"),
        ("", "is not an event in JSON"),
        ("[]", "holds no event"),
        ('{"type": "a", "labls": {}}', "unknown field `labls`"),
        ('{"type": "a", "time": "2026-11-26T08:00:00"}', "the event's time needs a zone"),
    ],
)
def test_what_is_no_event_is_one_sentence(explain: Explain, events: str, said: str) -> None:
    code, out, err = explain(events)
    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [[], ["e-1", "--event", "x"], ["e-1", "--at", "08:00"], ["e-1", "--at", "soon"]])
def test_wrong_usage_is_exit_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *argv]) == 2
    assert len(capsys.readouterr().err) > 20


def test_a_configuration_with_a_mistake_is_told(explain: Explain, tmp_path: Path) -> None:
    (tmp_path / "andon.yaml").write_text(CONFIG.replace('line="L3"', 'line~"L3"'), encoding="utf-8")
    code, out, err = explain(FAULT)
    assert (code, out) == (2, "")
    assert "andon.yaml:23:19: ~ must stand inside double quotes" in err
