"""Through the real desk, SQLite and the real channel to the strict stand-in: nothing is discarded, nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from andon.core.outcome import Delivered, Merged, Parked
from andon.core.reason import Reason
from andon.dev.wecom_app import WecomAppStandIn
from andon.dev.wecom_app_corp import Rules
from andon.testing.clock import ManualClock
from andon.web.wire import HttpWire
from tests.component.wecom.app_laws import AGENT, CORP, SECRET
from tests.component.wecom.app_plant import Process, notices

START = 1_700_000_000.0
Scene = Callable[[WecomAppStandIn, Callable[..., Process]], Awaitable[None]]


def play(folder: Path, scene: Scene, members: list[str] | None = None, **more: Any) -> None:
    async def run() -> None:
        clock, wire = ManualClock(START), HttpWire()
        given = {"corp_id": CORP, "secret": SECRET, "agent": AGENT, "now": clock.now, **more}
        async with asyncio.timeout(120), WecomAppStandIn(members or ["wang", "li"], **given) as vendor:
            await scene(vendor, lambda **options: Process(folder, vendor, wire, clock, **options))
        await wire.close()

    asyncio.run(run())


def busiest_minute(vendor: WecomAppStandIn, member: str) -> int:
    times = sorted(one.at for one in vendor.seen if one.member == member)
    return max(sum(1 for at in times if start <= at < start + 60) for start in times)


def test_200_notices_for_one_member_are_all_seen_30_a_minute(tmp_path: Path) -> None:
    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(receivers={"office": {"channel": "app", "to": ["wang"], "merge": "none"}})
        desk.take(notices(200))
        await desk.run(61)
        assert len(vendor.seen) == 30
        await desk.run(500)
        assert Counter(type(one.outcome) for one in desk.outcomes().values()) == {Delivered: 200}
        assert sorted(one.content for one in vendor.seen) == [f"office/{n:03}" for n in range(200)]
        assert (vendor.counts.discarded, busiest_minute(vendor, "wang")) == (0, 30)

    play(tmp_path, scene)


def test_what_waits_is_merged_unless_it_is_refused(tmp_path: Path) -> None:
    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process()
        desk.take(notices(200))
        await desk.run(120)
        outcomes = desk.outcomes()
        assert len(outcomes) == 200
        assert {type(one.outcome) for one in outcomes.values()} == {Delivered, Merged}
        told = sum(1 for one in outcomes.values() if isinstance(one.outcome, Delivered))
        assert told == len(vendor.seen) == 16
        assert vendor.seen[-1].content == "185 条"
        assert vendor.counts.discarded == 0

    play(tmp_path, scene)


@pytest.mark.parametrize("after", [1, 17, 29, 30])
def test_kill_9_and_a_restart_in_the_middle_keep_the_count(tmp_path: Path, after: int) -> None:
    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        options = {"receivers": {"office": {"channel": "app", "to": ["wang"], "merge": "none"}}}
        first = process(**options)
        first.take(notices(100))
        first.kill_after = after
        await first.run(600)
        assert first.dead
        before = len(vendor.seen)
        second = process(**options)
        second.kill_after = 20
        await second.run(600)
        third = process(**options)
        await third.run(900)
        assert len(third.outcomes() | second.outcomes() | first.outcomes()) == 100
        assert vendor.counts.discarded == 0
        assert busiest_minute(vendor, "wang") <= 30
        unclear = [one for one in vendor.seen if one.content.startswith("【可能重复】")]
        assert len(vendor.seen) == 100 + len(unclear)
        assert before >= after

    play(tmp_path, scene)


def test_a_process_that_is_killed_again_and_again_discards_nothing(tmp_path: Path) -> None:
    """kill -9 of a true process on the true clock; the vendor's minute is a second here."""

    async def scene() -> None:
        rules = Rules(member=((6, 1.0),))
        async with (
            asyncio.timeout(120),
            WecomAppStandIn(["wang"], corp_id=CORP, secret=SECRET, agent=AGENT, rules=rules) as vendor,
        ):
            for kill_at in (3, 9, 20, None):
                command = [sys.executable, "-m", "tests.component.wecom.app_life", str(tmp_path), vendor.url, "40"]
                life = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parents[3])
                while life.returncode is None and (kill_at is None or vendor.counts.seen < kill_at):  # noqa: ASYNC110 - the stand-in tells nobody
                    await asyncio.sleep(0.005)
                if kill_at is not None:
                    life.kill()
                ended = await life.wait()
            assert ended == 0
        said = Counter(one.content.removeprefix("【可能重复】") for one in vendor.seen)
        assert len(said) == 40, "nothing is lost"
        assert vendor.counts.discarded == 0
        unmarked = Counter(one.content for one in vendor.seen if not one.content.startswith("【可能重复】"))
        assert set(unmarked.values()) == {1}, "a repeat is marked as one"

    asyncio.run(scene())


def test_a_thousand_of_whom_three_are_over_their_limit(tmp_path: Path) -> None:
    everybody = [f"u{n}" for n in range(1_000)]
    few = everybody[:3]
    receivers = {
        "few": {"channel": "app", "to": few, "merge": "none"},
        "all": {"channel": "app", "to": everybody, "merge": "none"},
        "one": {"channel": "app", "to": ["u500"]},
    }

    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(receivers=receivers)
        desk.take(notices(30, "few", few))
        await desk.run(5)
        (notice,) = notices(1, "all", everybody)
        desk.take([notice, *notices(1, "one", ["u500"], urgent=True)], first=30)
        await desk.run(5)
        assert vendor.counts.seen == 90 + 997 + 1, "997 are told at once, and an urgent one waits for nobody"
        assert notice.id not in desk.outcomes()
        await desk.run(60)
        outcome = desk.outcomes()[notice.id]
        assert [one.recipient for one in outcome.recipients] == everybody
        assert all(isinstance(one.outcome, Delivered) for one in outcome.recipients)
        assert [len(to) for to in desk.calls[-3:]] == [1, 997, 3], "urgent first; the three together, later"
        assert (vendor.counts.seen, vendor.counts.discarded) == (90 + 1_000 + 1, 0)
        assert Counter(one.content for one in vendor.seen if one.member == "u0")["all/000"] == 1

    play(tmp_path, scene, [*everybody, "wang"])


def test_a_split_that_is_killed_goes_on_with_those_who_are_left(tmp_path: Path) -> None:
    receivers = {
        "office": {"channel": "app", "to": ["wang"], "merge": "none"},
        "both": {"channel": "app", "to": ["wang", "li"], "merge": "none"},
    }

    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(receivers=receivers)
        desk.take(notices(30))
        await desk.run(1)
        (notice,) = notices(1, "both", ["wang", "li"])
        desk.take([notice], first=30)
        await desk.run(5)
        assert desk.calls[-1] == ("li",)
        desk.kill()
        again = process(receivers=receivers)
        await again.run(300)
        assert again.calls == [("wang",)]
        told = Counter((one.member, one.content) for one in vendor.seen)
        assert told["li", "both/000"] == told["wang", "both/000"] == 1
        assert len(again.outcomes()[notice.id].recipients) == 2
        assert vendor.counts.discarded == 0

    play(tmp_path, scene)


def test_who_is_no_member_is_parked_alone(tmp_path: Path) -> None:
    receivers = {"both": {"channel": "app", "to": ["wang", "nobody"]}}

    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(receivers=receivers)
        desk.take(notices(1, "both", ["wang", "nobody"]))
        await desk.run(1)
        (outcome,) = desk.outcomes().values()
        assert isinstance(outcome.outcome, Delivered)
        states = {one.recipient: one.outcome for one in outcome.recipients}
        assert isinstance(states["wang"], Delivered)
        assert isinstance(states["nobody"], Parked)
        assert states["nobody"].reason is Reason.GONE
        assert [one.reference for one in outcome.attempts] == ["m1"], "by which it can be recalled"

    play(tmp_path, scene)


def test_a_days_quota_waits_for_the_next_day_in_china(tmp_path: Path) -> None:
    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        options = {
            "accounts": 1,
            "per_account": 5,
            "receivers": {"office": {"channel": "app", "to": ["wang"], "merge": "none"}},
        }
        desk = process(**options)
        desk.take(notices(8))
        await desk.run(3_600)
        assert len(vendor.seen) == 5
        desk.kill()
        again = process(**options)
        await again.run(17 * 3_600)
        assert len(vendor.seen) == 8
        # 2023-11-14 22:13:20 UTC is 06:13:20 in China.
        assert vendor.seen[5].at == pytest.approx(START + 17 * 3_600 + 46 * 60 + 40 + 2)
        assert "45009" not in vendor.counts.refused

    play(tmp_path, scene)


def test_two_chats_get_each_notice_in_a_call_of_its_own_200_a_minute(tmp_path: Path) -> None:
    receivers = {"shifts": {"channel": "app", "to": ["chat:a", "chat:b"], "merge": "none"}}

    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(receivers=receivers)
        desk.take(notices(150, "shifts", ["chat:a", "chat:b"]))
        await desk.run(61)
        assert vendor.counts.accepted == 200, "two calls a notice"
        desk.kill()
        again = process(receivers=receivers)
        await again.run(120)
        outcomes = (desk.outcomes() | again.outcomes()).values()
        assert len(outcomes) == 150
        assert all(isinstance(one.outcome, Delivered) for each in outcomes for one in each.recipients)
        told = Counter((one.chat, one.member) for one in vendor.seen)
        assert told == {("a", "wang"): 150, ("b", "wang"): 150, ("b", "li"): 150}
        assert (vendor.counts.discarded, busiest_minute(vendor, "wang")) == (0, 200)

    play(tmp_path, scene, chats={"a": ["wang"], "b": ["wang", "li"]})


def test_a_thousand_an_hour_hold_over_hours(tmp_path: Path) -> None:
    async def scene(vendor: WecomAppStandIn, process: Callable[..., Process]) -> None:
        desk = process(
            per_member=["10/62s", "100/3602s"],
            receivers={"office": {"channel": "app", "to": ["wang"], "merge": "none"}},
        )
        desk.take(notices(250))
        await desk.run(3 * 3_602)
        assert len(vendor.seen) == 250
        assert vendor.counts.discarded == 0
        times = [one.at for one in vendor.seen]
        assert max(sum(1 for at in times if start <= at < start + 3_600) for start in times) == 100

    play(tmp_path, scene)
