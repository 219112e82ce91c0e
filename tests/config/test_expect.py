"""What `andon check` says of `expect`, and of the heartbeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.cli.commands.check import checked

GOOD = """\
version: 1
calendar: {time_intervals: {production: [{times: ["08:00-20:00"]}]}}
sources:
  mes: {kind: http, token: env:T, expect: {event_within: 2h, during: production, receiver: shift}}
  lake: {kind: kafka, topic: alarms, expect: {connected: true, receiver: shift}}
channels: {robot: {kind: wecom_robot, keys: [env:ROBOT]}}
receivers: {shift: {channel: robot}}
route: {receiver: shift}
"""


def said(tmp_path: Path, before: str, after: str) -> list[str]:
    assert before in GOOD
    file = tmp_path / "andon.yaml"
    file.write_text(GOOD.replace(before, after), encoding="utf-8")
    return [f"{one.line}:{one.column}: {one.text}" for one in checked(file).mistakes]


def test_what_is_right_is_right(tmp_path: Path) -> None:
    assert said(tmp_path, "version", "version") == []


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (
            "during: production",
            "during: prodction",
            "4:70: there is no time interval `prodction` under `calendar.time_intervals`; did you mean `production`?",
        ),
        (
            "during: production, receiver: shift",
            "receiver: shfit",
            "4:72: there is no receiver `shfit` under `receivers`; did you mean `shift`?",
        ),
        (
            "event_within: 2h,",
            "event_within: 2h, connected: true,",
            "4:73: a source of kind `http` keeps no connection; give `event_within`, within which it sends something",
        ),
        (
            "event_within: 2h",
            "event_within: 59s",
            "4:58: at least 1m, not 59s: doors tell each other every 10 s what they hear",
        ),
        (
            "event_within: 2h",
            "event_within: 2 h",
            "4:58: `event_within`: '2 h' is not a duration; write for example 10s, 5m, 2h or 190d",
        ),
        ("event_within: 2h, ", "", "4:35: it expects nothing; give `event_within`, or `connected: true`"),
        ("connected: true, receiver: shift", "connected: true", "5:38: `receiver` is missing"),
        (
            "route:",
            "watch: {heartbeat: {url: 'https://hc-ping.com/x'}}\nroute:",
            "8:26: `url`: a secret is written as env:NAME or file:/path, never as its value",
        ),
        (
            "route:",
            "watch: {heartbeat: {url: env:HEARTBEAT_URL, every: 9s}}\nroute:",
            "8:52: at least 10s, not 9s",
        ),
        ("connected: true", "conected: true", "5:47: unknown key `conected`; did you mean `connected`?"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, before: str, after: str, wanted: str) -> None:
    assert said(tmp_path, before, after) == [wanted]
