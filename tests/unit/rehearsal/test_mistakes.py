"""Mistakes in files of tests: file, line, column, and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EACCES
from os import strerror
from pathlib import Path

import pytest

from andon.cli.main import main
from tests.unit.rehearsal.plant import EVENTS, Try, tried, write

__all__ = ["tried"]

GOOD = f"""{EVENTS}\
  - name: a
    at: 2026-09-30 12:00
    given: [{{event: fault, at: 5m, facts: {{machine: {{line: L1}}}}}}]
    answers: [{{receiver: group, reason: gone, until: 10m}}]
    until: 1h
    expect: {{receivers: [group], notices: [{{receiver: group, at: 1m, events: e1}}], totals: {{group: 1}}}}
  - name: b
    at: 2026-09-30 12:00
    given: [{{event: fault, id: x, times: 2}}]
    expect: {{outcomes: [{{event: x-1, outcome: delivered}}]}}
"""

# What is written instead of what, and what is said of it.
WRONG = [
    (
        "given: [{event: fault, at",
        "given: [{event: falt, at",
        "6:21: there is no event `falt` under `events`; did you mean `fault`?",
    ),
    ("{event: fault, id", "{id", "12:13: `type` is missing"),
    ("{event: fault, id", "{even: fault, id", "12:14: unknown key `even`; did you mean `event`?"),
    ("at: 5m", "at: 5 min", "6:32: '5 min' is not a time; write 5m after the beginning, 20:01:30, or 2026-09-30 20:01"),
    ("at: 5m", "at: 2026-09-29 12:00", "6:32: '2026-09-29 12:00' is before the test begins"),
    ("at: 5m", "at: []", "6:28: `at` must be text; put it in quotes"),
    (
        "a\n    at: 2026-09-30 12:00",
        "a\n    at: tomorrow",
        "5:9: 'tomorrow' is not a day with a time; write for example 2026-09-30 19:58",
    ),
    ("{machine:", "{machin:", "6:44: there is no connector `machin` under `connectors`; did you mean `machine`?"),
    ("{machine: {line: L1}}", "{machine: L1}", "6:44: what a connector says is a map, such as `{line: L3}`"),
    ("at: 5m", "at: 61m", "6:32: its last one comes after the clock stops (`until`)"),
    ("at: 5m", "at: 59m, times: 3, every: 1m", "6:32: its last one comes after the clock stops (`until`)"),
    ("at: 5m", "at: 9999999d", "6:32: '9999999d' lies outside the years 1 to 9999"),
    ("id: x, times: 2", "id: x, times: 31, every: 100000d", "12:13: its last one lies outside the years 1 to 9999"),
    ("reason: gone, until: 10m", "reason: gone, at: 11m, until: 10m", "7:63: it would end before it begins"),
    ("until: 1h", 'mutes: [{matchers: [x=y], at: "13:00", until: "12:30"}]', "8:51: it would end before it begins"),
    ("reason: gone", "reason: delivered", "7:41: `reason` must be `rejected`, `credentials`, `gone`"),
    (
        "[{receiver: group, reason",
        "[{receiver: groop, reason",
        "7:26: there is no receiver `groop` under `receivers`; did you mean `group`?",
    ),
    (
        "receivers: [group]",
        "receivers: [all]",
        "9:26: there is no receiver `all` under `receivers`; possible: `duty`, `group`, `leader`",
    ),
    ("totals: {group", "totals: {dutty", "9:93: there is no receiver `dutty` under `receivers`; did you mean `duty`?"),
    ("events: e1", "events: e2", "9:78: no event of this test is called `e2`; possible: `e1`"),
    ("receiver: group, at: 1m", "receiver: group, at: 25:00", "9:66: '25:00' is not a time"),
    ("id: x, times: 2", "id: x-1}, {event: fault, id: x, times: 2", "12:57: there is an event `x-1` in this test"),
    ("until: 1h", "mutes: [{matchers: ['x=\"\"'], until: 1h}]", "8:14: it would mute everything; name a value"),
    ("until: 1h", "mutes: [{matchers: [x=y]}]", "8:13: `until` is missing"),
    ("name: b", "name: a", "10:11: test 1 of this file has this name already"),
    ("event: x-1", "event: x-3", "13:33: no event of this test is called `x-3`; did you mean"),
    ("outcome: delivered", "reason: unknwn", "13:46: there is no reason `unknwn`; did you mean `unknown`?"),
    (", outcome: delivered", "", "13:25: `outcome`, `reason` or `by` is missing"),
    ("{outcomes: [{event: x-1, outcome: delivered}]}", "{}", "13:5: nothing is expected; possible: `includes`"),
    ("expect: {outcomes", "expects: {outcomes", "13:5: unknown key `expects`; did you mean `expect`?"),
    ("times: 2", "times: 0", "12:42: `times` must be at least 1"),
    ("times: 2", "times: 100000}, {event: fault", "12:5: more than 100,000 events in one test"),
    ("given: [{event: fault, id: x, times: 2}]", "given: []", "12:5: nothing is given; a test needs an event"),
    ("tests:", "tests: [", "4:3: not YAML"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG)
def test_is_said_with_its_place(old: str, new: str, said: str, tried: Try) -> None:
    assert GOOD.count(old) == 1, old
    code, out, err = tried(GOOD.replace(old, new))
    assert (code, err) == (2, "")
    assert [line for line in out if line.startswith(f"tests/a.yaml:{said}")], "\n".join(out)


def test_without_a_mistake_it_is_read(tried: Try) -> None:
    assert tried(GOOD).code == 1


def test_facts_nobody_asks_for_are_none(tried: Try) -> None:
    plant = "version: 1\nconnectors: {machine: {kind: csv, file: machines.csv, key: machine_no}}\n"
    plant += "channels: {r: {kind: wecom_robot, keys: [env:X]}}\nreceivers: {group: {channel: r}}\n"
    tests = "tests: [{name: a, at: 2026-09-30 12:00, given: [{type: t, facts: {machine: {}}}], expect: {waiting: 0}}]"
    answer = tried(tests, plant=plant + "route: {receiver: group}\n")
    assert answer.out == ["tests/a.yaml:1:67: no rule of `enrich` asks `machine`, so it has no facts"]


def test_a_mistake_of_the_configuration_goes_first(tried: Try) -> None:
    answer = tried("nonsense", plant="version: 2\nroute: {receiver: nobody}\n")
    assert (answer.code, answer.out[0]) == (2, "andon.yaml:1:10: `version` must be 1")


def test_files_that_would_not_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "tests" / "more.yml").write_text(GOOD, encoding="utf-8")
    assert main(["test", str(tmp_path)]) == 2
    assert capsys.readouterr().out == f"{tmp_path}/tests/more.yml:1:1: is not read; rename it to more.yaml\n"
    assert main(["test", str(tmp_path), "--tests", str(tmp_path / "nowhere.yaml")]) == 2
    assert capsys.readouterr().out == f"{tmp_path}/nowhere.yaml:1:1: there is no such file\n"
    name = "x" * 300  # root may look at everything; this is like a file that the system keeps from us
    assert main(["test", str(tmp_path), "--tests", name]) == 2
    assert f"{name}:1:1: cannot be read (File name too long)\n" in capsys.readouterr().out


def test_a_folder_that_nobody_may_look_into_has_not_no_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word its rules were published untested."""
    write(tmp_path, GOOD)
    listed = Path.iterdir

    def kept(folder: Path) -> Iterator[Path]:
        if folder.name == "tests":
            raise PermissionError(EACCES, strerror(EACCES))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", kept)
    assert main(["test", str(tmp_path)]) == 2
    assert capsys.readouterr().out == f"{tmp_path}/tests:1:1: cannot be read (Permission denied)\n"
