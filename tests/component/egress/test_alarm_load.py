"""What one person is told: not more than can be read, the rest as one digest, what is urgent at any time."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from andon.core.reason import Reason
from andon.egress.channels.smtp import Smtp
from andon.web.smtp import Answer, Refused
from tests.component.egress.line import Line


def line(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Line:
    app = {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}
    return Line(
        monkeypatch,
        channels={"app": app},
        receivers={"wang": {"channel": "app", "to": ["wang"], "template": "fault", "merge": {"over": "1000/m"}}},
        route={"receiver": "wang", "routes": [{"matchers": ['severity="critical"'], "urgent": True}]},
        **more,
    )


def test_ten_in_ten_minutes_then_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(40):
        at.feed(f"m{number}")
        at.run(1)
    assert len(at.vendor.seen) == 10
    assert "m9 " in at.vendor.seen[-1].text
    (digest,) = at.run(600)
    assert 600 <= digest.at < 612
    assert digest.text.endswith("30")
    reasons = [one.outcome.reason for one in at.outcomes]
    assert reasons.count(Reason.ALARM_LOAD) == 29


def test_no_hour_has_more_than_twelve(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(360):
        at.feed(f"m{number % 9}")
        at.run(30)
    times = [one.at for one in at.vendor.seen]
    for start in times:
        assert sum(1 for one in times if start <= one < start + 3_600) <= 12
        assert sum(1 for one in times if start <= one < start + 600) <= 10
    assert len(times) > 30
    at.run(7_200)
    assert not at.desk.items
    assert len(at.outcomes) == 360


def test_what_is_urgent_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(12):
        at.feed(f"m{number}")
    at.run(1)
    for number in range(15):
        at.feed(f"u{number}", severity="critical")
    assert [one.at for one in at.run(1)] == [1.0] * 15


def test_it_can_be_set_and_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, expected in (({"burst": "3/m", "notices": "100/h"}, 3), ("none", 20)):
        at = line(monkeypatch, limits={"per_person": setting})
        for number in range(20):
            at.feed(f"m{number}")
        assert len(at.run(1)) == expected


def test_a_restart_does_not_forget_what_a_person_has_had(monkeypatch: pytest.MonkeyPatch) -> None:
    at = line(monkeypatch)
    for number in range(10):
        at.feed(f"m{number}")
    at.run(1)
    at.restart()
    at.feed("more")
    assert at.run(500) == []
    assert len(at.run(120)) == 1


def test_a_share_of_the_quota_is_kept_for_what_is_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    app = {
        "kind": "wecom_app",
        "corp_id": "env:CORP",
        "secret": "env:SECRET",
        "agent_id": 1,
        "accounts": 1,
        "per_account": 10,
        "reserve_urgent": "20%",
    }
    at = Line(
        monkeypatch,
        channels={"app": app},
        receivers={"all": {"channel": "app", "to": ["wang"], "template": "fault", "merge": "none"}},
        route={"receiver": "all", "routes": [{"matchers": ['severity="critical"'], "urgent": True}]},
        limits={"per_person": "none"},
    )
    for number in range(12):
        at.feed(f"m{number}")
    assert len(at.run(1)) == 8
    for number in range(5):
        at.feed(f"u{number}", severity="critical")
    assert len(at.run(1)) == 2


def test_a_receiver_that_was_another_channels_hides_no_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    app = {"kind": "wecom_app", "corp_id": "env:CORP", "secret": "env:SECRET", "agent_id": 1}
    channels = {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}, "app": {**app, "accounts": 1}}
    route = {"receiver": "first", "routes": [{"matchers": ['line="L4"'], "receiver": "second"}]}
    members: dict[str, Any] = {"channel": "app", "to": ["wang"], "template": "fault"}
    told = {"second": members, "first": {"channel": "robot", "template": "fault"}}
    at = Line(monkeypatch, channels=channels, receivers=told, route=route)
    at.feed("m1", line="L3")
    at.run(1)
    at.configure(monkeypatch, version=2, channels=channels, receivers=told | {"first": members}, route=route)
    at.switch()
    for number in range(3):
        at.feed(f"n{number}", line="L4")
    at.run(1)
    assert [(channel, quota.total - quota.left) for _, channel, quota in at.desk.quotas(at.now)] == [("app", 3)]


def mail_line(monkeypatch: pytest.MonkeyPatch, sessions: list[list[str]], *everybody: str) -> Line:
    """A mail account that tells `everybody`, or for the label `for` the last of them; each session takes two."""

    async def exchange(_self: Smtp, _session: Any, known: Any, said: dict[str, Answer], *_rest: Any) -> None:
        said |= dict.fromkeys(islice(known, 2), Answer(250, "ok"))
        sessions.append(list(said))

    monkeypatch.setattr(Smtp, "_exchange", exchange)
    one = {"channel": "mail", "template": "fault", "merge": "none"}
    return Line(
        monkeypatch,
        channels={"mail": {"kind": "smtp", "host": "127.0.0.1", "tls": "none", "from": "andon@corp.cn"}},
        receivers={"all": {**one, "to": list(everybody)}, "last": {**one, "to": [everybody[-1]]}},
        route={
            "receiver": "all",
            "routes": [
                {"matchers": ['severity="critical"'], "receiver": "last", "urgent": True},
                {"matchers": ['for="last"'], "receiver": "last"},
            ],
        },
    )


def test_an_urgent_mail_counts_as_what_its_reader_has_had(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[list[str]] = []
    at = mail_line(monkeypatch, sessions, "wang@corp.cn")
    for number in range(12):
        at.feed(f"u{number}", severity="critical")
    at.run(1)
    assert len(sessions) == 12
    for again in (False, True):
        if again:
            at.restart()
        at.feed(f"m{again}")
        at.run(1_000)
        assert len(sessions) == 12, "twelve in an hour"
    at.run(3_600)
    assert len(sessions) == 14


def test_a_list_of_several_sessions_counts_each_reader_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"p{number}@corp.cn" for number in range(30)]
    sessions: list[list[str]] = []
    at = mail_line(monkeypatch, sessions, *names)
    at.feed("m1")
    at.run(1)
    assert sorted(name for session in sessions for name in session) == sorted(names)
    at.restart()
    for number in range(9):
        at.feed(f"n{number}", "raise", None, **{"for": "last"})
    at.run(1)
    assert sessions[15:] == [names[-1:]] * 9, "ten in ten minutes"
    at.feed("n9", "raise", None, **{"for": "last"})
    at.run(1)
    assert len(sessions) == 15 + 9


def test_what_a_mail_server_did_not_take_nobody_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[list[str]] = []
    at = mail_line(monkeypatch, sessions, "wang@corp.cn")
    taking = Smtp._exchange

    async def busy(*_session: Any) -> None:
        raise Refused("MAIL", Answer(421, "too busy"))

    monkeypatch.setattr(Smtp, "_exchange", busy)
    at.feed("m0")
    at.run(1_800)
    monkeypatch.setattr(Smtp, "_exchange", taking)
    at.restart()
    at.run(400)
    assert len(sessions) == 1, "it is tried every five minutes"
    for number in range(9):
        at.feed(f"n{number}")
    at.run(1)
    assert len(sessions) == 10
