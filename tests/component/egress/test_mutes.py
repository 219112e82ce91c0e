"""What a mute or a maintenance window holds is told as one when it is over, whatever happens to the desk meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from andon.core.event import Position
from andon.core.fate import Late
from andon.core.mute import Mute
from andon.core.outcome import Merged
from andon.core.ports import Reply
from andon.ingress.bodies.draft import Draft
from andon.ingress.muting.reminders import Reminders
from andon.testing.clock import ManualClock
from tests.component.egress.line import FILES, START, Line

BEGIN = datetime.fromtimestamp(START, UTC)
MUTE = Mute("m3", ('line="L3"',), BEGIN, BEGIN + timedelta(hours=1), "wang", "换模")
HOUR = 3_600
END = HOUR + 1.0  # a second for what is still on its way
SECTIONS: dict[str, Any] = {
    "channels": {name: {"kind": "wecom_robot", "keys": [f"env:{name}"]} for name in ("ROBOT", "OTHER")},
    "receivers": {
        "group": {"channel": "ROBOT", "template": "fault", "fallback": [{"receiver": "second", "after": "1m"}]},
        "second": {"channel": "OTHER", "template": "fault"},
    },
    "route": {"receiver": "group"},
}


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch, mutes=[MUTE], **SECTIONS)


def fault(at: Line, subject: str, line: str = "L3") -> str:
    return at.feed(subject, line=line).id


def test_one_digest_at_the_end_and_every_event_names_it(at: Line) -> None:
    first, *others = [fault(at, subject) for subject in ("a", "b", "c", "a")]
    assert at.run(HOUR) == []
    (seen,) = at.run(60)
    assert (seen.at, seen.to, seen.text.splitlines()[-1]) == (END, "robot", "4")
    told = at.told()
    assert told.pop(first) == "delivered/delivered"
    assert told == dict.fromkeys(others, "merged/held")
    (digest,) = {one.delivery for one in at.outcomes if one.event == first}
    assert {one.outcome.into for one in at.outcomes if isinstance(one.outcome, Merged)} == {digest}


@pytest.mark.parametrize(("first", "then"), [("raise", "clear"), ("clear", "raise")])
@pytest.mark.parametrize("several", [False, True])
def test_what_its_digest_told_makes_what_was_told_before_it_news(
    first: str, then: str, *, several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = {**SECTIONS, "route": {"receiver": "group", "group_by": ["line"], "repeat_interval": "4h"}}
    at = Line(monkeypatch, **sections)
    for subject in "ab":
        at.feed(subject, first, line="L3")
    at.run(60)
    at.configure(monkeypatch, version=2, mutes=[MUTE], **sections)
    at.switch()
    at.feed("b" if several else "a", then, line="L3")
    at.feed("a", then, line="L3")
    at.run(HOUR)
    at.restart()
    again = {subject: at.feed(subject, first, line="L3").id for subject in "ab"}
    at.run(60)
    repeated = [subject for subject, which in again.items() if at.told()[which] == "skipped/repeated"]
    assert repeated == ([] if several else ["b"])
    at.feed("a", first, line="L3")
    assert at.run(60) == []


def test_what_is_not_muted_goes_by_also_of_the_same_subject(at: Line) -> None:
    fault(at, "a")
    fault(at, "a", line="L4")
    assert [one.text for one in at.run(10)] == ["a raise"]
    assert [one.at for one in at.run(2 * HOUR)] == [END]


def test_a_restart_while_it_holds_forgets_nothing_and_tells_nothing(at: Line) -> None:
    fault(at, "a")
    fault(at, "b")
    at.run(60)
    at.restart()
    fault(at, "c")
    assert at.run(HOUR - 60) == []
    at.restart()
    (seen,) = at.run(60)
    assert seen.text.endswith("3")
    at.restart()
    assert at.run(2 * HOUR) == []
    assert sorted(at.told().values()) == ["delivered/delivered", "merged/held", "merged/held"]


def test_a_process_that_dies_as_the_digest_leaves_sends_it_marked(at: Line) -> None:
    fault(at, "a")
    fault(at, "b")
    assert at.run(HOUR + 30, calls=False) == []
    at.restart()
    (seen,) = at.run(60)
    assert "可能重复" in seen.text
    assert seen.text.endswith("2")


def test_an_unmute_tells_what_was_held_soon(at: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(at, "a")
    fault(at, "b")
    assert at.run(100) == []
    at.configure(monkeypatch, version=2, **SECTIONS)
    at.switch()
    (seen,) = at.run(10)
    assert seen.at <= 100 + 2
    assert seen.text.endswith("2")


def test_an_end_that_is_moved_holds_for_what_is_held_already(at: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(at, "a")
    longer = msgspec.structs.replace(MUTE, ends=MUTE.ends + timedelta(hours=1))
    at.configure(monkeypatch, version=4, mutes=[longer], **SECTIONS)
    at.switch()
    assert at.run(HOUR + 60) == [], "nor is a fallback told of it"
    shorter = msgspec.structs.replace(MUTE, ends=MUTE.ends + timedelta(minutes=5))
    at.configure(monkeypatch, version=5, mutes=[shorter], **SECTIONS)
    at.switch()
    (seen,) = at.run(HOUR)
    assert seen.at == pytest.approx(HOUR + 301, abs=2)


def test_a_desk_that_has_not_seen_the_version_yet_holds_back_all_the_same(
    at: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.configure(monkeypatch, version=5, mutes=[msgspec.structs.replace(MUTE, id="m5")], **SECTIONS)
    fault(at, "a")
    assert at.run(HOUR) == []


def test_a_storm_while_it_holds_fills_no_queue_and_holds_back_nothing_else(at: Line) -> None:
    held = [fault(at, f"m-{number}") for number in range(1_500)]
    assert sum(one == "merged/held" for one in at.told().values()) == len(held) - 1, "each joins as it comes"
    for number in range(20):
        fault(at, f"other-{number}", line="L4")
    assert at.run(300) != []
    seen = at.run(2 * HOUR)
    assert [one.text.splitlines()[-1] for one in seen if one.at == END] == ["1500"]
    assert len(at.told()) == 1_520


def test_a_full_queue_merges_nothing_into_what_is_held(at: Line) -> None:
    at.vendor.answers["robot"] = lambda: (_ for _ in ()).throw(OSError("down"))
    held = fault(at, "a")
    others = [fault(at, f"other-{number}", line="L4") for number in range(600)]
    told = at.told()
    assert held not in told
    assert "merged/queue_full" in {told.get(one) for one in others}
    merged = {one.outcome.into for one in at.outcomes if isinstance(one.outcome, Merged)}
    assert not any(at.desk.items[one].apart for one in merged)


def test_a_fallback_waits_until_the_digest_is_late(at: Line) -> None:
    fault(at, "a")
    at.run(HOUR - 10)
    assert [one.to for one in at.vendor.seen] == []
    assert [one.to for one in at.run(60)] == ["robot"]


def test_so_it_is_where_nothing_could_be_sent_meanwhile(at: Line) -> None:
    """Its time begins when the mute ends, and not anew each time that is asked for."""
    fault(at, "a")
    at.run(HOUR - 1)
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', {})
    for number in range(2):
        at.run(59 * number)
        at.feed(f"other-{number}", line="L4")
    assert [one.at for one in at.run(300) if one.text.startswith("a ")] == [END + 60]


def test_a_digest_whose_receiver_is_gone_goes_to_the_fallback_at_once(at: Line) -> None:
    at.vendor.answers["robot"] = lambda: Reply(200, b'{"errcode":93000,"errmsg":"invalid webhook url"}', {})
    fault(at, "a")
    fault(at, "b")
    (seen,) = at.run(HOUR + 10)
    assert (seen.at, seen.to) == (END, "other")
    assert seen.text.endswith("2")


def test_people_of_different_audiences_get_a_digest_each(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Line(
        monkeypatch,
        mutes=[MUTE],
        channels={"app": {"kind": "wecom_app", "corp_id": "env:CORP", "agent_id": 1, "secret": "env:SECRET"}},
        receivers={"leader": {"channel": "app", "to": ["fact:machine.leader"], "template": "fault"}},
        route={"receiver": "leader"},
    )
    for subject, leader in (("a", "wang"), ("b", "li"), ("c", "wang"), ("d", "li")):
        at.feed(subject, facts={"machine": {"leader": leader}}, line="L3")
    assert at.run(HOUR) == []
    assert sorted((one.to, one.text[-1]) for one in at.run(60)) == [("li", "2"), ("wang", "2")]


def test_who_muted_is_reminded_once_though_every_door_says_it_again_after_each_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sections = SECTIONS | {
        "channels": SECTIONS["channels"]
        | {"app": {"kind": "wecom_app", "corp_id": "env:CORP", "agent_id": 7, "secret": "env:SECRET"}},
        "receivers": SECTIONS["receivers"]
        | {"muter": {"channel": "app", "to": ["fact:mute.creator"], "template": "ending", "if_nobody": "group"}},
        "route": {"receiver": "group", "routes": [{"matchers": ['type="andon.mute"'], "receiver": "muter"}]},
    }
    monkeypatch.setitem(FILES, "ending.j2", "{{ data.mute }} {{ data.why }}")
    at = Line(monkeypatch, mutes=[MUTE], **sections)
    fault(at, "a")
    at.run(HOUR - 900)
    seen = []
    for number in range(3):
        position = Position("andon.events", 0, number, round(1_000 * at.now))
        for draft in reminders(at.now):
            at.route(msgspec.structs.replace(draft.event, origin=(position,)))
        seen += at.run(10)
        at.restart()
    assert [(one.to, one.text) for one in seen] == [("wang", "m3 换模")]
    assert [one.to for one in at.run(HOUR)] == ["robot"]


def reminders(now: float) -> list[Draft]:
    """What a door that has just been started appends."""
    drafts: list[Draft] = []

    class Log:
        async def append(self, given: Sequence[Draft], _late: Late | None = None, /) -> Sequence[Position]:
            drafts.extend(given)
            return [Position("andon.events", 0, 0)] * len(given)

    asyncio.run(Reminders(lambda: (MUTE,), lambda: 900.0, Log(), ManualClock(now)).tell())
    return drafts
