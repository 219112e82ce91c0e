"""Tests of rules that pass: each says of the plant what is true of it."""

from __future__ import annotations

import pytest

from tests.unit.rehearsal.plant import EVENTS, PLANT, Try, tried

__all__ = ["tried"]

HOLDS = {
    "what comes within group_wait leaves together": """
    given:
      - {event: fault}
      - {event: fault, subject: M-2, at: 3s}
    expect:
      notices:
        - {receiver: group, at: 5s, count: 2, events: [e1, e2], route: "0.0", group: L1, text: M-1 minor 共2条}
      outcomes:
        - {event: e1, outcome: delivered}
        - {event: e2, outcome: merged, reason: grouped, by: e1}""",
    "the table knows the line, and lines do not mix": """
    given:
      - {event: fault}
      - {event: fault, subject: M-3}
    expect:
      notices:
        - {receiver: group, group: L1, contains: M-1, lacks: [M-3, 共]}
        - {receiver: group, group: L3}""",
    "a machine the table lacks goes to those on duty": """
    given:
      - {event: fault, subject: M-9}
    expect:
      receivers: [duty]""",
    "facts of a test go before the table, and make labels": """
    given:
      - {event: fault, labels: {severity: critical}, facts: {machine: {line: L7, leader: [li, zhao]}}}
    expect:
      notices:
        - {receiver: leader, at: 0s, to: [li, zhao], route: 0.0.0, group: L7}""",
    "the number of a repetition stands in every text": """
    given:
      - {event: fault, type: "fault{n}", source: "plc-{n}", id: e, times: 1}
      - {event: fault, labels: {severity: critical}, facts: {machine: {line: "L{n}", leader: ["p{n}"]}}, times: 2}
    expect:
      receivers: [duty, leader]
      includes:
        - {receiver: duty, contains: fault1}
        - {receiver: leader, to: p1, group: L1}
        - {receiver: leader, to: p2, group: L2}""",
    "a fact that is old, or missing for a reason, is given as it stands in an event": """
    given:
      - {event: fault, subject: M-9, facts: {machine: {line: L7, age_s: 340}}}
      - {event: fault, subject: M-1, facts: {machine: {missing: timeout}}, times: 6}
      - {event: fault, subject: M-1}
    expect:
      totals: {group: 2, duty: 6}""",
    "who answers from afar says nothing that a test does not say": """
    given:
      - {type: order, subject: O-1, facts: {erp: {customer: ACME}}}
      - {type: order, subject: O-2}
    expect:
      outcomes: [{outcome: delivered, count: 2}]""",
    "hot machines are not told of at night": """
    at: 2026-09-30 19:59
    given:
      - {event: fault, data: {temperature: 95}}
      - {event: fault, subject: M-3, data: {temperature: 95}, at: "20:00"}
    expect:
      receivers: [group]
      outcomes:
        - {event: e2, outcome: skipped, reason: muted, by: 0.0.1 night}""",
    "a state that was told is not told again for an hour": """
    given:
      - {event: fault}
      - {event: fault, at: 30m}
      - {event: fault, at: 61m}
    expect:
      totals: {group: 2}
      outcomes:
        - {event: e2, reason: repeated, by: 0.0 repeat_interval}""",
    "above two a minute the rest is merged by line": """
    given:
      - {event: fault, id: storm, subject: "X-{n}", facts: {machine: {line: "L{n}"}}, times: 3, every: 100ms}
      - {event: fault, id: more, subject: Y, facts: {machine: {line: L9}}, at: 10s}
      - {event: fault, id: again, subject: Z, facts: {machine: {line: L9}}, at: 11s}
    expect:
      outcomes:
        - {event: more, outcome: delivered}
        - {event: again, outcome: merged}""",
    "no word of minor faults while their line stands": """
    given:
      - {event: fault, labels: {code: STOP, severity: critical}}
      - {event: fault, subject: M-2, at: 1m}
      - {event: fault, subject: M-3, at: 1m}
      - {event: fault, labels: {code: STOP, severity: critical, state: clear}, at: 10m}
    expect:
      notices:
        - {receiver: leader, at: 0s, to: zhang}
        - {receiver: group, events: e3, at: 65s}
        - {receiver: leader, at: 10m}
        - {receiver: group, events: e2, at: 10m}""",
    "what is over before its cause nobody has to hear of": """
    given:
      - {event: fault, labels: {code: STOP, severity: critical}}
      - {event: fault, subject: M-2, at: 1m}
      - {event: fault, subject: M-2, labels: {state: clear}, at: 2m}
    expect:
      receivers: [leader]
      outcomes:
        - {event: e2, reason: inhibited}
        - {event: e3, reason: inhibited}""",
    "what is held back when the clock stops is waiting": """
    given:
      - {event: fault, labels: {code: STOP, severity: critical}}
      - {event: fault, subject: M-2, at: 1m}
    expect:
      waiting: 1""",
    "who was given up has a fallback": """
    given:
      - {event: fault}
    answers:
      - {receiver: group, reason: gone}
    expect:
      notices:
        - {receiver: duty, at: 5s, events: e1}
      outcomes:
        - {event: e1, receiver: duty, outcome: delivered}""",
    "what timed out is sent again with a mark": """
    given:
      - {event: fault}
    answers:
      - {receiver: group, reason: timeout, until: 6s}
    expect:
      notices:
        - {receiver: group, contains: 【可能重复】, to: group}""",
    "the clock can be stopped": """
    given:
      - {event: fault}
    until: 5s
    expect:
      receivers: []
      waiting: 1""",
    "without a rule of its own a robot merges above half of the vendor's rate": """
    given:
      - {event: fault, id: many, subject: "X-{n}", facts: {machine: {line: ""}}, times: 12}
    expect:
      totals: {duty: 11}
      includes: [{receiver: duty, events: [many-11, many-12], at: 15.2s}]""",
    "what is muted comes as one when that is over": """
    mutes:
      - {matchers: [line=L1], at: 1m, until: 2h}
    given:
      - {event: fault}
      - {event: fault, subject: M-2, at: 10m}
      - {event: fault, labels: {severity: critical}, at: 20m}
      - {event: fault, subject: M-3, at: 30m}
    expect:
      notices:
        - {receiver: group, at: 5s, events: e1}
        - {receiver: group, at: 1805s, events: e4}
        - {receiver: group, at: 7201s, events: e2}
        - {receiver: leader, events: e3}""",
    "what a mute drops nobody hears of, and no route sees": """
    mutes:
      - {matchers: ['severity="minor"'], until: 20h, then: drop}
    given:
      - {event: fault}
    expect:
      receivers: []
      outcomes: [{reason: silenced, by: mute m1}]""",
    "on Sunday morning line 8 is maintained": """
    at: 2026-10-04 09:59
    given:
      - {event: fault, subject: M-8, facts: {machine: {line: L8}}}
      - {event: fault, subject: M-8, facts: {machine: {line: L8}}, at: "10:00"}
    expect:
      notices: [{receiver: group, events: e2}]
      outcomes: [{event: e1, reason: maintenance, by: maintenance weekly}]""",
    "times are read as they are written": """
    at: 2026-09-30T04:00:00+00:00
    given:
      - {event: fault, at: 2026-09-30 12:00}
      - {event: fault, subject: M-3, at: "11:00"}
    expect:
      notices:
        - {receiver: group, at: 5s}
        - {receiver: group, at: 2026-10-01 11:00:05}""",
}


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str, tried: Try) -> None:
    at = "" if "\n    at:" in HOLDS[name] else "\n    at: 2026-09-30 12:00"
    code, out, err = tried(f"{EVENTS}  - name: {name}{at}{HOLDS[name]}\n")
    assert (code, err) == (0, ""), "\n".join(out)
    assert out[-1].startswith("OK 1 test, coverage ")


ONE = """\
  - name: a fault is told
    at: 2026-09-30 12:00
    given: [{event: fault, subject: M-1, data: {note: NOTE}}]
    expect: {notices: [{receiver: group, contains: ENDING}]}
"""
LINK = "templates: {link: 'https://mes.corp/{id}', watermark: false}\nchannels:"


@pytest.mark.parametrize(("option", "ending"), [("watermark: true", "group · "), ("long: link", "https://mes.corp/e1")])
def test_what_is_put_behind_a_text_is_rehearsed_too(option: str, ending: str, tried: Try) -> None:
    plant = PLANT.replace("channels:", LINK).replace("group: {channel: robot,", f"group: {{channel: robot, {option},")
    one = ONE.replace("NOTE", "x" * 5_000).replace("ENDING", f'"{ending}"')
    code, out, err = tried(EVENTS + one, plant=plant.replace("template: fault, merge", "merge"))
    assert (code, err) == (0, ""), "\n".join(out)
