"""`andon why` on what the real router and the real desk made of events: the records are theirs, the cause is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from andon.core.event import Event
from andon.core.ports import Reply
from andon.kafka.codecs import encode
from andon.kafka.records import Record
from andon.kafka.topics import DELIVERIES, ENRICHED, OUTCOMES
from andon.routing.inquiry import Asked, Inquiry
from andon.routing.router import Router
from tests.component.egress.line import START, Line

ROBOT = {"channels": {"robot": {"kind": "wecom_robot", "keys": ["env:ROBOT"]}}}
GROUP: dict[str, Any] = {**ROBOT, "receivers": {"group": {"channel": "robot", "template": "fault"}}}
APP: dict[str, Any] = {
    "channels": {"app": {"kind": "wecom_app", "corp_id": "env:CORP", "agent_id": 7, "secret": "env:SECRET"}},
    "receivers": {"group": {"channel": "app", "to": ["wang", "li"], "template": "fault"}},
}


class Told(Line):
    """The line with its topics kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **sections: Any) -> None:
        self.events: list[Event] = []
        super().__init__(monkeypatch, **sections)

    def route(self, one: Event) -> Event:
        self.events.append(one)
        return super().route(one)

    def why(self, person: str) -> dict[str, tuple[str, bool | None]]:
        """The cause of each event for a person."""
        router: Router = self._router
        inquiry = Inquiry(Asked(frozenset({person}), START - 60, self.now + 60), lambda _: 1, lambda _: router)
        for number, one in enumerate(self.events):
            for delivery in router.route(one).outputs:
                inquiry.delivery(Record(DELIVERIES, 0, number, 0, b"", encode(delivery)))
        for number, record in enumerate(self.outcomes):
            inquiry.outcome(Record(OUTCOMES, 0, number, 0, b"", encode(record)))
        for number, one in enumerate(self.events):
            inquiry.enriched(Record(ENRICHED, 0, number, 0, b"", encode(one)))
        return {one.event: (str(one.cause), one.came) for one in inquiry.answers(self.now, {})}


def test_a_group_that_waits_and_then_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Told(monkeypatch, **GROUP, route={"receiver": "group", "group_by": ["line"], "group_wait": "30s"})
    at.feed("a", line="L3")
    at.feed("b", line="L3")
    at.run(5)
    assert at.why("group") == {"e-1": ("group", None), "e-2": ("group", None)}
    at.run(60)
    assert at.why("group") == {"e-1": ("came", True), "e-2": ("merge", True)}


def test_a_repeat_and_what_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = {**GROUP, "receivers": {"group": {**GROUP["receivers"]["group"], "send_resolved": False}}}
    at = Told(monkeypatch, **quiet, route={"receiver": "group", "group_by": ["line"], "repeat_interval": "2h"})
    for state in ("raise", "raise", "clear"):
        at.feed("a", state, line="L3")
        at.run(60)
    assert at.why("group") == {"e-1": ("came", True), "e-2": ("repeated", False), "e-3": ("resolved", False)}


def test_a_robot_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = {"channel": "robot", "template": "fault", "merge": {"over": "5/m", "by": ["line"]}}
    at = Told(monkeypatch, **ROBOT, receivers={"group": receiver}, route={"receiver": "group"})
    for number in range(30):
        at.feed(f"s{number}", line="L3")
    at.run(1)
    causes = {cause for cause, _ in at.why("group").values()}
    assert causes <= {"came", "limiter"}
    assert "limiter" in causes
    at.run(600)
    assert all(came for _, came in at.why("group").values())


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b'{"errcode":0,"errmsg":"ok","invaliduser":"wang"}', "gone"),
        (b'{"errcode":0,"errmsg":"ok","unlicenseduser":"wang"}', "gone"),
        (b'{"errcode":81013,"errmsg":"user & party & tag all invalid"}', "gone"),
        (b'{"errcode":301002,"errmsg":"not allow operate another agent"}', "vendor"),
    ],
)
def test_what_the_vendor_says_of_a_person(monkeypatch: pytest.MonkeyPatch, answer: bytes, cause: str) -> None:
    at = Told(monkeypatch, **APP, route={"receiver": "group"})
    reply: Callable[[], Reply] = lambda: Reply(200, answer, {})  # noqa: E731
    at.vendor.answers["wang|li"] = reply
    at.feed("a", line="L3")
    at.run(5)
    assert at.why("wang") == {"e-1": (cause, False)}
    assert at.why("li")["e-1"][0] == ("came" if b"wang" in answer else cause)


def test_the_calendar_and_another_person(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [{"matchers": ['line="L3"'], "mute_time_intervals": ["always"]}]
    at = Told(
        monkeypatch,
        **APP,
        calendar={"time_intervals": {"always": [{"times": ["00:00-24:00"]}]}},
        route={"receiver": "group", "routes": routes},
    )
    at.feed("a", line="L3")
    at.run(5)
    assert at.why("wang") == {"e-1": ("calendar", False)}
    assert at.why("zhao") == {"e-1": ("route", False)}
