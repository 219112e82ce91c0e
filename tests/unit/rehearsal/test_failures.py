"""Tests of rules that fail: each says what was expected, what came, and by which way."""

from __future__ import annotations

import pytest

from tests.unit.rehearsal.plant import EVENTS, Try, tried

__all__ = ["tried"]

AT = "2026-09-30 12:00"
ONE = "    given: [{event: fault}]\n"
TWO = "    given: [{event: fault}, {event: fault, subject: M-3, labels: {severity: critical}, at: 1m}]\n"

OTHER = "of the group “L1”; another text; without “y”; with “M-1”"

# What is given, what is expected of it, and of the first failure: its column in line 7, what was expected, what came.
FAILS = {
    "another receiver": (ONE, "receivers: [duty]", 15, "duty", "group"),
    "nobody": (ONE, "receivers: []", 15, "nobody", "group"),
    "one too few": (TWO, "receivers: [group]", 15, "group", "group, leader"),
    "too early": (
        ONE,
        "notices: [{receiver: group, at: 4s}]",
        25,
        f"to group, at {AT}:04 (+4s)",
        f"to group at {AT}:05 (+5s) of e1: “M-1 minor” (another time)",
    ),
    "everything is wrong": (
        ONE,
        'notices: [{receiver: group, to: li, count: 2, route: "0.1", group: L9, text: x, contains: y, lacks: M-1}]',
        25,
        "to group, of 2 events, to “li”, route “0.1”, group “L9”, text “x”, contains “y”, lacks “M-1”",
        f"to group at {AT}:05 (+5s) of e1: “M-1 minor” (to group; of 1 events; by route 0.0; {OTHER})",
    ),
    "no notice": (ONE, "notices: [{receiver: leader}]", 25, "to leader", "no such notice"),
    "one more": (
        ONE,
        "notices: []",
        15,
        "no more notices to group",
        f"to group at {AT}:05 (+5s) of e1: “M-1 minor”",
    ),
    "the nearest of several": (
        TWO,
        "includes: [{receiver: leader, contains: minor}]",
        26,
        "to leader, contains “minor”",
        "to leader at 2026-09-30 12:01:00 (+1m) of e2: “M-3 critical” (without “minor”)",
    ),
    "so many": (ONE, "totals: {group: 2}", 31, "2 to group", f"1: at {AT}:05 (+5s)"),
    "none": (ONE, "totals: {leader: 2}", 32, "2 to leader", "0"),
    "an outcome": (
        ONE,
        "outcomes: [{event: e1, reason: muted}]",
        26,
        "e1 (muted)",
        "e1 at group delivered (delivered)",
    ),
    "a rule": (
        ONE,
        'outcomes: [{receiver: group, outcome: skipped, by: "0.0"}]',
        26,
        "every event at group skipped by 0.0",
        "e1 at group delivered (delivered)",
    ),
    "a number of outcomes": (
        TWO,
        "outcomes: [{outcome: delivered, count: 3}]",
        26,
        "every event delivered, 3 times",
        "e1 at group delivered (delivered), e2 at leader delivered (delivered)",
    ),
    "nothing has ended": (
        "    given: [{event: fault}]\n    until: 1s\n",
        "outcomes: [{event: e1, outcome: delivered}]",
        26,
        "e1 delivered",
        "e1 has not ended",
    ),
    "what is waiting": ("    given: [{event: fault}]\n    until: 1s\n", "waiting: 0", 24, "0", "1: e1 for group"),
}


@pytest.mark.parametrize("name", FAILS)
def test_fails(name: str, tried: Try) -> None:
    given, expect, column, expected, came = FAILS[name]
    line = 6 + given.count("\n")
    code, out, _ = tried(f"{EVENTS}  - name: {name}\n    at: {AT}\n{given}    expect: {{{expect}}}\n")
    assert code == 1
    assert out[:4] == [
        f"FAILED tests/a.yaml:4:11: {name}",
        f"  line {line}, column {column - 1}",
        f"    expected  {expected}",
        f"    came      {came}",
    ]
    assert out[-1].startswith("FAILED 1 of 1 test, coverage ")


def test_the_way_of_the_event_is_shown(tried: Try) -> None:
    out = tried(f"{EVENTS}  - name: a\n    at: {AT}\n{ONE}    expect: {{receivers: [leader]}}\n").out
    assert out[4:11] == [
        "    e1",
        "    routes      version 1 of the configuration",
        "      ✓  0      duty    no conditions",
        '      →  0.0    group   type=fault, line!="" (it is L1)',
        "      ·  0.0.0  leader  not severity=critical (it is minor)",
        "      ·  0.0.1  group   not data.temperature>90 (it is 20)",
        "      episode   M-1/E1",
    ]


def test_what_an_event_says_cannot_move_the_terminal(tried: Try) -> None:
    given = '    given: [{event: fault, subject: "\\e[2J", facts: {machine: {line: L1}}}]\n'
    out = tried(f"{EVENTS}  - name: a\n    at: {AT}\n{given}    expect: {{receivers: []}}\n").out
    assert not any("\x1b" in line for line in out)
