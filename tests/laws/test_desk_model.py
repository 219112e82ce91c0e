"""A model of the desk against everything that can happen to it: Hypothesis plays, a vendor and a store count.

Whatever the order of arrivals, decisions, commits, answers, kills, hand-overs and changes of the limits: no call
without its stored intent, no window of the vendor's over its limit, each subject in order, urgent first, each accepted
item one outcome, and no effect twice but after an ambiguous attempt, and then marked.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from andon.core.event import Home
from andon.core.reason import Reason
from andon.core.work import Item
from andon.runtime.failures import Failed
from tests.laws.desk_world import (
    APP_POLICIES,
    APPS,
    CAP,
    EVERYBODY,
    HOMES,
    LANES,
    MEMBERS,
    POLICIES,
    QUEUES,
    TIMED_OUT,
    Owner,
    Reach,
    World,
    said_of,
    success,
)
from tests.unit.desk.items import NAMESPACE, Said

EXAMPLES = 500

homes = st.sampled_from(HOMES)
reaches = st.sampled_from(
    [
        Reach(seen=True, effect=True),
        Reach(seen=True, effect=True, late=True),
        Reach(seen=True, late=True),
        Reach(seen=True),
        Reach(seen=False),
    ]
)
failures = st.sampled_from(
    [
        Failed(Reason.REJECTED, "", False),
        Failed(Reason.BUSY, "", True),
        Failed(Reason.SERVER_ERROR, "", True, after=3.0),
        Failed(Reason.THROTTLED, "", True, after=70.0),
        Failed(Reason.THROTTLED, "", True),
        Failed(Reason.TIMEOUT, "", True, ambiguous=True),
        Failed(Reason.UNEXPECTED, "KeyError", True, ambiguous=True, unexpected=True),
    ]
)


class DeskMachine(RuleBasedStateMachine):
    """One or two processes over one store; processes die, zombies come back, the vendor does as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.said: list[tuple[Home, Said]] = []

    @initialize()
    def begin(self) -> None:
        self.world.start(HOMES)

    def owner(self, data: st.DataObject) -> Owner:
        return data.draw(st.sampled_from(self.world.owners)) if len(self.world.owners) > 1 else self.world.owners[0]

    # ---- records

    @rule(
        home=homes,
        queue=st.sampled_from(QUEUES),
        lane=st.sampled_from(LANES),
        urgent=st.booleans(),
        memo=st.booleans(),
        new=st.booleans(),
        many=st.sampled_from([1, 2, 6]),
    )
    def arrive(self, home: Home, queue: str, lane: str, urgent: bool, memo: bool, new: bool, many: int) -> None:
        for place in range(many):
            number = len(self.said)
            domain = f"{'hook' if queue == 'c' else 'robot'}:{home.partition}"
            # Of several the first may say nothing new: it is what the others become part of.
            said = Said(
                number,
                queue,
                domain,
                lane,
                urgent,
                f"t{number}",
                lane if memo else "",
                new=new or urgent or place > 0,
            )
            self.said.append((home, said))
            self.world.append(home, said)

    @rule(
        home=homes,
        queue=st.sampled_from(APPS),
        lane=st.sampled_from(LANES),
        urgent=st.booleans(),
        to=st.lists(st.sampled_from((*MEMBERS, EVERYBODY)), min_size=1, max_size=3, unique=True),
        many=st.sampled_from([1, 2, 6]),
    )
    def arrive_for_members(self, home: Home, queue: str, lane: str, urgent: bool, to: list[str], many: int) -> None:
        for _ in range(many):
            number = len(self.said)
            said = Said(number, queue, f"app:{home.partition}", lane, urgent, f"t{number}", to=tuple(to))
            self.said.append((home, said))
            self.world.append(home, said)

    @precondition(lambda self: self.said)
    @rule(data=st.data(), conflict=st.booleans())
    def repeat(self, data: st.DataObject, conflict: bool) -> None:
        home, said = data.draw(st.sampled_from(self.said))
        self.world.append(home, msgspec.structs.replace(said, text="other") if conflict else said)

    # ---- the desk

    @rule(data=st.data(), most=st.integers(1, 6))
    def take(self, data: st.DataObject, most: int) -> None:
        self.owner(data).take(most)

    @rule(data=st.data(), reach=reaches, commit=st.booleans(), ahead=st.integers(0, 6))
    def decide(self, data: st.DataObject, reach: Reach, commit: bool, ahead: int) -> None:
        owner = self.owner(data)
        owner.decide(ahead)
        if commit:
            owner.commit(len(owner.pending))
            while owner.ready:
                owner.begin(reach)

    @precondition(lambda self: any(owner.pending for owner in self.world.owners))
    @rule(data=st.data(), count=st.integers(1, 4))
    def commit(self, data: st.DataObject, count: int) -> None:
        self.owner(data).commit(count)

    @precondition(lambda self: any(owner.ready for owner in self.world.owners))
    @rule(reach=reaches)
    def call(self, reach: Reach) -> None:
        next(owner for owner in self.world.owners if owner.ready).begin(reach)

    @precondition(lambda self: self.world.flights)
    @rule(data=st.data(), failed=failures, more=st.booleans(), store=st.booleans())
    def answer(self, data: st.DataObject, failed: Failed, more: bool, store: bool) -> None:
        flight = data.draw(st.sampled_from(self.world.flights))
        if not flight.reach.seen:
            self.world.end(flight, Failed(Reason.NOT_SENT, "", True))
        elif flight.reach.effect and not failed.ambiguous:
            self.world.end(flight, success(flight.call, several=more and flight.call.item.part == 0))
        elif flight.reach.effect == failed.ambiguous or not flight.reach.effect:
            self.world.end(flight, failed)
        if store:
            flight.owner.commit(len(flight.owner.pending))

    @precondition(lambda self: any(owner.outbox for owner in self.world.owners))
    @rule(data=st.data(), count=st.integers(1, 5))
    def publish(self, data: st.DataObject, count: int) -> None:
        self.owner(data).publish(count)

    # ---- what goes wrong

    @rule(data=st.data(), zombie=st.booleans(), also=st.booleans())
    def kill(self, data: st.DataObject, zombie: bool, also: bool) -> None:
        owner = self.owner(data)
        left = list(owner.positions)
        self.world.kill(owner, zombie=zombie)
        if also and self.world.owners:
            for home in left:
                self.world.owners[0].acquire(home)
        else:
            self.world.start(left)

    @precondition(lambda self: self.world.zombies)
    @rule()
    def wake_zombie(self) -> None:
        zombie = self.world.zombies.pop()
        zombie.commit(len(zombie.pending))
        assert not zombie.desk.epochs or not zombie.ready

    @rule(data=st.data(), wait=st.booleans(), reach=reaches)
    def hand_over(self, data: st.DataObject, wait: bool, reach: Reach) -> None:
        """To the other process, or to a new one; in good order, its calls ended, or with calls still in flight."""
        owner = self.owner(data)
        if not owner.positions:
            return
        home = data.draw(st.sampled_from(sorted(owner.positions)))
        owner.commit(len(owner.pending))
        if wait and home in owner.positions and not owner.desk.leave(home):
            while owner.ready:
                owner.begin(reach)
            for flight in [one for one in self.world.flights if one.owner is owner]:
                self.world.end(flight, TIMED_OUT)
            assert owner.desk.leave(home)
            owner.commit(len(owner.pending))
        owner.let_go(home)
        others = [one for one in self.world.owners if one is not owner]
        if others:
            others[0].acquire(home)
        else:
            self.world.start([home])

    @rule(policy=st.sampled_from(POLICIES))
    def configure(self, policy: Any) -> None:
        self.world.configure(policy)

    @rule(policy=st.sampled_from(APP_POLICIES))
    def configure_app(self, policy: Any) -> None:
        self.world.configure_app(policy)

    @rule(seconds=st.sampled_from([0.4, 1.5, 6.0, 16.0, 33.0, 61.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    # ---- what must hold

    @invariant()
    def queues_keep_their_cap(self) -> None:
        for owner in self.world.owners:
            assert all(queue.size <= CAP for queue in owner.desk.queues())
            counted = dict.fromkeys(owner.desk.epochs, 0)
            for item in owner.desk.items.values():
                counted[item.home] += 1
            assert counted == {home: owner.desk.open_of(home) for home in owner.desk.epochs}

    @invariant()
    def the_vendor_is_content(self) -> None:
        self.world.vendor.check()

    def teardown(self) -> None:
        if self.world.owners:
            self.world.drain()
            self.world.vendor.check()
            self._check_conservation()
            self._check_attempts()
            self._check_memos()

    def _check_conservation(self) -> None:
        ended = self.ended = self.world.outcomes()
        items: dict[UUID, Item] = self.world.store.items
        assert self.world.store.closed.keys() == items.keys(), "an item stayed open"
        texts: dict[int, set[str]] = {}
        first: dict[int, str] = {}
        for log in self.world.logs.values():
            for record in log:
                said = msgspec.json.decode(record.value, type=Said)
                first.setdefault(said.number, said.text)
                texts.setdefault(said.number, set()).add(said.text)
        expected = set()
        for number, said_texts in texts.items():
            own = uuid5(NAMESPACE, str(number))
            expected |= {own, *(uuid5(own, text.encode().hex()) for text in said_texts - {first[number]})}
        assert ended.keys() == expected, "outcomes ≠ accepted"
        carriers: dict[UUID, int] = {}
        for one in ended.values():
            if one.into is not None:
                carriers[self._carrier(one.id, ended)] = carriers.get(self._carrier(one.id, ended), 0) + 1
        for which, count in carriers.items():
            carried = items[which].carried
            assert carried is not None
            assert carried.count == count + 1, "a digest that counts wrong"
            # What was merged ends as that did: nobody hears of it when that is skipped.
            assert not ended[which].outcome.startswith("skipped"), "what carries others was skipped"
        arrived = {item for item, _, _, _ in self.world.vendor.effects}
        unclear = {entry.item for entry in self.world.store.entries.values() if entry.ambiguous}
        for one in ended.values():
            assert not one.outcome.startswith("delivered") or one.id in arrived
            assert one.into is None or one.id not in arrived | unclear, "merged although it may have arrived"

            if one.into is not None:
                assert said_of(items[one.id]).to == said_of(items[one.into]).to, "merged into what others hear"

    def _carrier(self, which: UUID, ended: Any) -> UUID:
        while (into := ended[which].into) is not None:
            which = into
        return which

    def _check_attempts(self) -> None:
        by_item: dict[UUID, list[Any]] = {}
        by_line: dict[tuple[Home, str, int], list[Any]] = {}
        for entry in self.world.store.entries.values():
            by_item.setdefault(entry.item, []).append(entry)
            by_line.setdefault((entry.home, entry.domain, entry.line), []).append(entry)
            assert entry.ended is not None
        for which, entries in by_item.items():
            entries.sort(key=lambda entry: entry.number)
            assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
            assert all(one.part <= two.part for one, two in pairwise(entries))
            for part in {entry.part for entry in entries}:
                tried = [entry for entry in entries if entry.part == part]
                for name in {name for entry in tried for name in (entry.reach.recipients if entry.reach else ("",))}:
                    effects = [
                        marked
                        for item, of, to, marked in self.world.vendor.effects
                        if (item, of, to) == (which, part, name)
                    ]
                    for_it = [entry for entry in tried if entry.reach is None or name in entry.reach.recipients]
                    assert len(effects) <= 1 + sum(entry.ambiguous for entry in for_it), "an effect too many"
                    assert all(effects[1:]), "a repeat without its mark"
                self._check_everyone_was_told(which, part, tried)
                for index, entry in enumerate(tried):
                    assert entry.marked == any(before.ambiguous for before in tried[:index])
        for entries in by_line.values():
            for asked in [entry for entry in entries if entry.until]:
                early = [one for one in entries if asked.ended < one.started < asked.until]
                assert not early, "a call before the time the vendor asked for"

    def _check_everyone_was_told(self, which: UUID, part: int, tried: list[Any]) -> None:
        """Whatever was left over was sent on, to nobody twice."""
        told = [name for e in tried if e.reach and e.reason is Reason.DELIVERED for name in e.reach.recipients]
        assert len(told) == len(set(told)), "told twice without need"
        if told and self.ended[which].outcome.startswith("delivered"):
            assert set(told) == set(said_of(self.world.store.items[which]).to), "somebody was never told"

    def _check_memos(self) -> None:
        for home, log in self.world.logs.items():
            said = [(msgspec.json.decode(one.value, type=Said), one.value) for one in log]
            expected = {one.memo: value for one, value in said if one.memo}
            assert self.world.store.memos.get(home, {}) == expected


TestDesk = DeskMachine.TestCase
TestDesk.settings = settings(
    max_examples=int(os.environ.get("ANDON_MODEL_EXAMPLES", EXAMPLES)),
    stateful_step_count=100,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
