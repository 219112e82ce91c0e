"""A pool of robots that is changed while something waits: each robot keeps its limit, and what it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from andon.config.plugs import ChannelPlug
from andon.config.settings import Settings
from andon.core.failure import Retryable
from andon.core.ports import ChannelConfig, Reply
from andon.core.reason import Reason
from andon.egress.receivers import GROUP
from andon.egress.words import words_of
from andon.runtime.registry import Registry
from tests.component.egress.line import Line, Seen

REPEAT = words_of("zh").repeat
MINUTE_S = 60.0
CALLS = 20
ROBOT, OTHER, THIRD = "env:ROBOT", "env:OTHER", "env:THIRD"
KINDS = ("dingtalk_robot", "wecom_robot")


class Pool(Line):
    """The line of one group whose robots can be others; its limit domain is the one its channel says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, *robots: str) -> None:
        self._patch = monkeypatch
        self._kind = kind
        super().__init__(monkeypatch, **self._sections(robots))

    def _sections(self, robots: tuple[str, ...]) -> dict[str, Any]:
        named = {"robots": [{"token": one} for one in robots]} if self._kind == "dingtalk_robot" else {"keys": robots}
        return {
            "channels": {"robots": {"kind": self._kind, **named}},
            "receivers": {"group": {"channel": "robots", "template": "fault", "merge": "none"}},
            "route": {"receiver": "group"},
        }

    def domains(self, settings: Settings) -> Mapping[str, str]:
        configs = {name: Registry().config(GROUP, plug) for name, plug in settings.channels.items()}
        domain = {name: cast("ChannelConfig", config).limit_domain() for name, config in configs.items()}
        return {name: domain[each.channel] for name, each in settings.receivers.items()}

    def becomes(self, *robots: str, version: int = 2) -> None:
        """The pool has these robots from now on."""
        self.configure(self._patch, version=version, **self._sections(robots))
        self.switch()

    def backlog(self, name: str, count: int = 200) -> None:
        for number in range(count):
            self.feed(f"{name}-{number}")


def most_in_a_minute(seen: list[Seen], robot: str) -> int:
    """The calls of one robot in the fullest minute, however it is cut."""
    times = [one.at for one in seen if one.to == robot]
    return max((sum(1 for at in times if first <= at < first + MINUTE_S) for first in times), default=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((ROBOT,), (ROBOT, OTHER)),
        ((ROBOT, OTHER), (ROBOT,)),
        ((ROBOT, OTHER, THIRD), (ROBOT, THIRD)),
        ((ROBOT, OTHER, THIRD), (ROBOT, THIRD, OTHER)),
    ],
    ids=["one more", "one less", "one taken out between", "the others in another order"],
)
def test_a_pool_that_changes_behind_its_first_robot_breaks_the_limit_of_none(
    monkeypatch: pytest.MonkeyPatch, kind: str, again: bool, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    at = Pool(monkeypatch, kind, *before)
    at.backlog("old")
    at.run(90)
    at.becomes(*after)
    if again:
        at.restart()
    at.backlog("new")
    at.run(240)
    robots = {one.to for one in at.vendor.seen}
    assert robots == {one.removeprefix("env:").lower() for one in (*before, *after)}
    assert {robot: most_in_a_minute(at.vendor.seen, robot) for robot in robots} == dict.fromkeys(robots, CALLS)
    late = {one.to for one in at.vendor.seen if one.at > 90}
    assert late == {one.removeprefix("env:").lower() for one in after}


def lost() -> Reply:
    raise Retryable(Reason.TIMEOUT, "no answer", ambiguous=True)


@pytest.mark.parametrize("again", [False, True], ids=["", "after a restart"])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((ROBOT,), (OTHER,), Seen(0.0, "other", f"{REPEAT}M-07 raise")),
        ((ROBOT, OTHER), (OTHER,), Seen(0.0, "other", f"{REPEAT}M-07 raise")),
        ((ROBOT, OTHER), (OTHER, ROBOT), Seen(0.0, "robot", "M-07 raise")),
        ((ROBOT,), (OTHER, ROBOT), Seen(0.0, "robot", "M-07 raise")),
    ],
    ids=["replaced", "the first taken out", "turned round", "another before it"],
)
def test_a_robot_knows_what_it_was_told_itself_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, again: bool, before: tuple[str, ...], after: tuple[str, ...], expected: Seen
) -> None:
    at = Pool(monkeypatch, "dingtalk_robot", *before)
    at.vendor.answers["robot"] = lost
    at.feed("M-07")
    at.run(0.5)
    del at.vendor.answers["robot"]
    at.becomes(*after)
    if again:
        at.restart()
    (seen,) = at.run(60)
    assert (seen.to, seen.text) == (expected.to, expected.text)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("dingtalk_robot", {"robots": [{"token": ROBOT}]}),
        ("feishu_robot", {"robots": [{"hook": ROBOT}]}),
        ("wecom_robot", {"keys": [ROBOT]}),
    ],
)
def test_a_robot_alone_is_a_domain_by_its_reference(kind: str, options: dict[str, Any]) -> None:
    config = cast("ChannelConfig", Registry().config(GROUP, ChannelPlug(kind=kind, options=options)))
    assert (config.limit_domain(), config.lines()) == (f"{kind}:{ROBOT}", 1)


class Shared(Pool):
    """Two channels of one robot, one of which may be called often and the other a hundred times an hour."""

    def _sections(self, robots: tuple[str, ...]) -> dict[str, Any]:
        robot = {"kind": "wecom_robot", "keys": robots}
        return {
            "channels": {"often": {**robot, "limit": "600/m"}, "seldom": {**robot, "limit": "100/h"}},
            "receivers": {
                name: {"channel": name, "template": "fault", "merge": "none"} for name in ("often", "seldom")
            },
            "route": {
                "receiver": "often",
                "routes": [{"matchers": ['line="seldom"'], "receiver": "seldom"}],
            },
        }


def test_a_channel_that_is_used_seldom_counts_what_others_of_its_robot_sent_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = Shared(monkeypatch, "wecom_robot", ROBOT)
    for number in range(200):
        at.feed(f"often-{number}", line="often")
        at.run(3)
    at.feed("first", line="seldom")
    (seen,) = at.run(2 * 3_600)
    assert seen.text == "first raise"
    assert seen.at >= 100 * 3 + 3_600, "the hundred of its hour were used up by the last hundred"
