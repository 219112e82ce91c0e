"""A plant with one of every rule, and a way to run tests of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from andon.cli.main import main

PLANT = """\
version: 1
site: {name: 一号厂, zone: Asia/Shanghai}
calendar: {time_intervals: {night: [{times: ["20:00-08:00"]}]}}
connectors:
  machine: {kind: csv, file: machines.csv, key: machine_no}
  erp: {kind: sql, url: "sqlite:///erp.sqlite", view: v, key: id}
enrich:
  - {matchers: ['type="fault"'], connector: machine, by: subject, labels: {line: "{facts.machine.line}"}}
  - {matchers: ['type="order"'], connector: erp, by: subject, labels: {customer: "{facts.erp.customer}"}}
channels:
  robot: {kind: wecom_robot, keys: [env:NOBODY_SET_THIS]}
  other: {kind: wecom_robot, keys: [env:NOR_THIS]}
  app: {kind: wecom_app, corp_id: env:CORP, agent_id: 1, secret: env:SECRET}
receivers:
  group: {channel: robot, template: fault, merge: {over: 2/m, by: [line]}, fallback: [{receiver: duty}]}
  duty: {channel: other}
  leader: {channel: app, to: ["fact:machine.leader"], template: fault}
episodes: {fault: {matchers: ['type="fault"'], key: [subject, code], ticket_system: tracker}}
ticket_systems: {tracker: {kind: roundup, url: "http://127.0.0.1:8730/tracker/", user: andon, password: env:TRACKER}}
maintenance: {weekly: {matchers: [line=L8], days: [sunday], times: ["06:00-10:00"], then: drop}}
inhibit_rules: [{source_matchers: [code=STOP], target_matchers: [severity=minor], equal: [line]}]
route:
  receiver: duty
  routes:
    - matchers: [type=fault, 'line!=""']
      receiver: group
      group_by: [line]
      group_wait: 5s
      repeat_interval: 1h
      routes:
        - {matchers: [severity=critical], receiver: leader, urgent: true}
        - {matchers: ['data.temperature > 90'], mute_time_intervals: [night]}
"""
MACHINES = "machine_no,line,leader\nM-1,L1,zhang\nM-2,L1,zhang\nM-3,L3,wang\n"
FAULT = "{{ event.subject }} {{ labels.severity }}{% if digest %} 共{{ digest.count }}条{% endif %}"
EVENTS = """\
events:
  fault: {type: fault, subject: M-1, labels: {state: raise, severity: minor, code: E1}, data: {temperature: 20}}
tests:
"""


class Answer(NamedTuple):
    code: int
    out: list[str]
    err: str


Try = Callable[..., Answer]


def write(folder: Path, tests: str, plant: str = PLANT) -> None:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "andon.yaml").write_text(plant, encoding="utf-8")
    (folder / "machines.csv").write_text(MACHINES, encoding="utf-8")
    (folder / "templates" / "fault.j2").write_text(FAULT, encoding="utf-8")
    (folder / "tests" / "a.yaml").write_text(tests, encoding="utf-8")


@pytest.fixture
def tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    """Runs these tests of this plant: exit code, lines without the folder's name, and what went to stderr."""

    def run(tests: str, *options: str, plant: str = PLANT) -> Answer:
        write(tmp_path, tests, plant)
        code = main(["test", str(tmp_path), *options])
        out, err = capsys.readouterr()
        return Answer(code, out.replace(f"{tmp_path}/", "").splitlines(), err)

    return run
