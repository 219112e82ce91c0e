"""The world around the desks of the model: a log, a store, a vendor that counts, processes that die."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from uuid import UUID

import msgspec

from andon.core.event import Home
from andon.core.policy import Limit, Merge, OnAmbiguous, Per, QueuePolicy, Retry, account_number
from andon.core.reason import Reason
from andon.core.work import Item, Note, Write
from andon.kafka.records import Record
from andon.runtime.desk.desk import Desk
from andon.runtime.desk.intake import Intake, ids
from andon.runtime.desk.open_work import Call
from andon.runtime.desk.work import Success
from andon.runtime.failures import Failed
from andon.runtime.metrics import Metrics
from andon.store.memory import MemoryDeskStore
from tests.unit.desk.items import START, WIDE, Ended, Said, ScriptedWork, record

DEADLINE = 15.0
HOMES = (Home("deliveries", 0), Home("deliveries", 1))
QUEUES = ("a", "b", "c")
# Receivers of one app, which reach members: one by one, several, or everybody.
APPS = ("m", "n")
MEMBERS = ("p", "q", "r")
EVERYBODY = "everybody"
LANES = ("x", "y", "z")
VENDOR = Limit(3, 60.0)
MEMBER = Limit(2, 60.0)
A_DAY = Limit(40, 300.0, Per.PERSON, begins=100.0)
CAP = 4
TIMED_OUT = Failed(Reason.TIMEOUT, "", True, ambiguous=True)

_RETRY = Retry(first=1.0, most=30.0, age=100_000.0, unexpected=3)
# The pool grows, shrinks and is turned round with the rest.
ONE, OTHER = account_number("one"), account_number("other")
POLICIES = (
    QueuePolicy("robot", (Limit(3, 62.0),), lines=(ONE,), in_flight=2, cap=CAP, retry=_RETRY),
    QueuePolicy(
        "robot", (Limit(2, 62.0),), lines=(OTHER,), merge=Merge(Limit(1, 30.0)), in_flight=3, cap=CAP, retry=_RETRY
    ),
    QueuePolicy("robot", (Limit(3, 90.0), Limit(1, 2.0)), lines=(ONE, OTHER), in_flight=4, cap=CAP - 1, retry=_RETRY),
    QueuePolicy("robot", (Limit(3, 62.0),), lines=(OTHER, ONE), in_flight=3, cap=CAP, retry=_RETRY),
)
_A_DAY = msgspec.structs.replace(A_DAY, margin=2.0)
APP_POLICIES = (
    QueuePolicy(
        "app",
        (Limit(3, 62.0),),
        people=(Limit(2, 62.0, Per.RECIPIENT), _A_DAY),
        sender="app",
        in_flight=3,
        cap=CAP,
        retry=_RETRY,
    ),
    QueuePolicy(
        "app",
        (Limit(3, 62.0), Limit(2, 10.0)),
        people=(Limit(2, 90.0, Per.RECIPIENT), Limit(1, 5.0, Per.RECIPIENT), _A_DAY),
        sender="app",
        merge=Merge(Limit(1, 30.0)),
        in_flight=2,
        cap=CAP,
        retry=_RETRY,
    ),
)


def said_of(item: Item) -> Said:
    return msgspec.json.decode(item.body, type=Said)


def success(call: Call, *, several: bool) -> Success:
    """The result of a call that did what it should: more is to do when some recipients were left over, or for a
    second part of `several`."""
    reach, to = call.entry.reach, said_of(call.item).to
    if reach is not None:
        wanted = tuple(call.item.parts.decode().split(",")) if call.item.parts else to
        left = [name for name in wanted if name not in reach.recipients]
        if left:
            return Success(more=True, same=True, parts=",".join(left).encode())
    return Success(more=several, parts=(",".join(to) or "parts").encode() if several else None)


class Reach(msgspec.Struct, frozen=True):
    """What the vendor sees of a call: nothing, or the call, now or late; and whether it has its effect."""

    seen: bool
    late: bool = False
    effect: bool = False


class Flight(msgspec.Struct, eq=False):
    call: Call
    owner: Owner
    begun: float
    reach: Reach


class Vendor:
    """Counts what arrives. `effects` lists (item, part, recipient, marked) in the order people saw them, `told` whom
    each call of an app was for."""

    def __init__(self) -> None:
        self.calls: dict[tuple[Home, str, int], list[float]] = {}
        self.effects: list[tuple[UUID, int, str, bool]] = []
        self.told: dict[tuple[Home, str], list[tuple[float, tuple[str, ...]]]] = {}
        self.first: dict[tuple[Home, str, str], list[int]] = {}
        self._had: set[UUID] = set()

    def sees(self, flight: Flight, at: float) -> None:
        entry, item = flight.call.entry, flight.call.item
        self.calls.setdefault((entry.home, entry.domain, entry.line), []).append(at)
        to = entry.reach.recipients if entry.reach else ()
        if to:
            self.told.setdefault((entry.home, entry.domain), []).append((at, to))
        if flight.reach.effect:
            self.effects += [(entry.item, entry.part, name, entry.marked) for name in to or ("",)]
            if item.id not in self._had:
                self._had.add(item.id)
                self.first.setdefault((item.home, item.queue, item.lane), []).append(item.offset)

    def check(self) -> None:
        for times in self.calls.values():
            times.sort()
            for first, beyond in zip(times, times[VENDOR.count :], strict=False):
                assert beyond - first >= VENDOR.period, f"{VENDOR.count + 1} calls within {beyond - first} s"
        for calls in self.told.values():
            self._check_members(sorted(calls))
        for offsets in self.first.values():
            assert all(one < two for one, two in pairwise(offsets)), f"out of order: {offsets}"

    def _check_members(self, calls: list[tuple[float, tuple[str, ...]]]) -> None:
        for member in MEMBERS:
            times = [at for at, to in calls if member in to or EVERYBODY in to]
            for first, beyond in zip(times, times[MEMBER.count :], strict=False):
                assert beyond - first >= MEMBER.period, f"{member}: one too many in {beyond - first} s"
        days: dict[float, int] = {}
        for at, to in calls:
            days[A_DAY.block(at)] = days.get(A_DAY.block(at), 0) + sum(WIDE.get(name, 1) for name in to)
        assert all(people <= A_DAY.count for people in days.values()), f"more people than a day may have: {days}"


def _account(call: Call) -> tuple[Home, str, int]:
    return call.entry.home, call.entry.domain, call.entry.line


class Owner:
    """One process: the pure desk, and around it what the runner keeps in memory."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.work = ScriptedWork(policies=world.policies)
        self.desk = Desk(self.work, room=6, deadline=DEADLINE)
        self.intake = Intake(self.desk, self.work, world.metrics, "model")
        self.positions: dict[Home, int] = {}
        self.pending: deque[tuple[Write, list[Call]]] = deque()
        self.ready: list[Call] = []
        self.outbox: deque[tuple[Home, int, int, Note]] = deque()
        self.alone: dict[tuple[Home, str, int], float] = {}
        self.alive = True

    def acquire(self, home: Home) -> None:
        since, people = self.work.looks_back(), self.work.looks_back_on_people()
        holding = self.world.store.acquire(home, "model", self.world.now - since, self.world.now - people)
        self.desk.adopt(holding, self.world.now)
        self.positions[home] = holding.offset or 0
        self.outbox.extend((home, holding.epoch, number, note) for number, note in holding.notes)

    def let_go(self, home: Home) -> None:
        self.desk.drop(home)
        self.positions.pop(home, None)
        self.outbox = deque(one for one in self.outbox if one[0] != home)

    def take(self, most: int) -> None:
        self.commit(len(self.pending))
        for home in list(self.positions):
            log = self.world.logs[home]
            read = self.intake.read(log[self.positions[home] : self.positions[home] + most])
            known = self.world.store.known(ids(read))
            writes, refused = self.intake.take(read, known, self.world.now)
            self.positions[home] += len(read)
            for where, one in refused.items():
                self.positions[where] = one.offset
            self.pending.extend((write, []) for write in writes.values())

    def decide(self, ahead: int = 0) -> float:
        hurried, urgent = self._before()
        decision = self.desk.decide(self.world.now, ahead)
        self._check_urgency(decision.calls, hurried, self._still(urgent))
        self._check_pace([call for call in decision.calls if (call.item.queue, call.item.lane) not in hurried])
        for home, write in decision.writes.items():
            self.pending.append((write, [call for call in decision.calls if call.entry.home == home]))
        return decision.wake_at

    def _before(self) -> tuple[set[tuple[str, str]], dict[tuple[Home, str], set[UUID]]]:
        """The lanes in which something urgent waits, and by domain the urgent items whose turn it could be."""
        hurried: set[tuple[str, str]] = set()
        urgent: dict[tuple[Home, str], set[UUID]] = {}
        for address, domain in self.desk._domains.items():
            for queue in domain.queues.values():
                for name, lane in queue.lanes.items():
                    if any(item.urgent for item in lane):
                        hurried.add((queue.name, name))
                    if lane[0].urgent and name not in queue.busy and lane[0].due <= self.world.now:
                        urgent.setdefault(address, set()).add(lane[0].id)
        return hurried, urgent

    def _still(self, urgent: dict[tuple[Home, str], set[UUID]]) -> dict[tuple[Home, str], set[UUID]]:
        """Those whose recipients have room also after what was decided; the others had to wait."""
        kept: dict[tuple[Home, str], set[UUID]] = {}
        for address, waiting in urgent.items():
            for one in waiting:
                item = self.desk.items.get(one)
                policy = self.work.policy(item.queue) if item else None
                if item and policy and policy.people and one not in self.desk.calls:
                    meter = self.desk._domains[address].meter(policy.sender)
                    if not meter.open(self.work.reach(item), policy.people, self.world.now)[0]:
                        continue
                kept.setdefault(address, set()).add(one)
        return kept

    def _check_urgency(
        self, calls: list[Call], hurried: set[tuple[str, str]], urgent: dict[tuple[Home, str], set[UUID]]
    ) -> None:
        for (home, domain), waiting in urgent.items():
            for call in calls:
                if (call.entry.home, call.entry.domain) != (home, domain):
                    continue
                waiting.discard(call.item.id)
                if (call.item.queue, call.item.lane) not in hurried:
                    assert not waiting, "a routine call began while an urgent one could"

    def _check_pace(self, routine: list[Call]) -> None:
        """Above the merge rule's rate routine calls leave one every period/count, whoever made those before."""
        for call in routine:
            item, now = call.item, self.world.now
            merge = self.work.policy(item.queue).merge
            if merge is None:
                continue
            since = max(now - merge.over.period, self.world.configured)
            place = (item.home, item.domain, item.queue)
            began = [
                one.started
                for one in self.world.store.entries.values()
                if one.started > since and (one.home, one.domain, one.queue) == place
            ]
            if len(began) >= merge.over.count:
                assert now >= max(began) + merge.over.period / merge.over.count, "a restart forgot the pace"

    def commit(self, count: int) -> None:
        group = [self.pending.popleft() for _ in range(min(count, len(self.pending)))]
        moved = self.world.store.commit([write for write, _ in group])
        for write, calls in group:
            if (write.home, write.epoch) not in moved:
                assert self.alive, "a zombie's write was applied"
                self.outbox.extend((write.home, write.epoch, number, note) for number, note in write.notes)
                self.ready += calls
            elif self.desk.epochs.get(write.home) == write.epoch:
                self.let_go(write.home)

    def begin(self, reach: Reach) -> None:
        call = self.ready.pop(0)
        if not self.desk.begins(call):
            return
        if taken_back := self.desk.taken_back(call, self.world.now):
            self.pending.append((taken_back, []))
            return
        assert self.world.now >= self.alone.get(_account(call), 0.0), "a call to an account that wants to be left alone"
        assert call.entry.line in self.work.policy(call.item.queue).lines, "a call by an account that is gone"
        self.world.begun(self, call, reach)

    def end(self, flight: Flight, result: Success | Failed) -> None:
        write = self.desk.ended(flight.call, result, self.world.now)
        if write is not None:
            self.pending.append((write, []))
            if isinstance(result, Failed) and result.reason is Reason.THROTTLED:
                self.alone[_account(flight.call)] = self.world.now + (result.after or 0.0)

    def publish(self, count: int) -> None:
        for _ in range(min(count, len(self.outbox))):
            home, epoch, number, note = self.outbox.popleft()
            self.world.topic.append(note)
            self.pending.append((Write(home, epoch, published=number), []))


class World:
    """Everything that outlives a process."""

    def __init__(self) -> None:
        self.now = START
        self.store = MemoryDeskStore()
        self.vendor = Vendor()
        self.metrics = Metrics()
        self.logs: dict[Home, list[Record]] = {home: [] for home in HOMES}
        self.topic: list[Note] = []
        self.policies: dict[str, QueuePolicy] = {}
        self.configured = START
        self.owners: list[Owner] = []
        self.configure(POLICIES[0])
        self.configure_app(APP_POLICIES[0])
        self.flights: list[Flight] = []
        self.zombies: list[Owner] = []

    def configure(self, policy: QueuePolicy) -> None:
        self.policies.update(dict.fromkeys(QUEUES, policy))
        self.configured = self.now
        self.policies["c"] = msgspec.structs.replace(policy, on_ambiguous=OnAmbiguous.PARK_UNKNOWN)
        self._publish()

    def configure_app(self, policy: QueuePolicy) -> None:
        self.policies.update(dict.fromkeys(APPS, policy))
        self.configured = self.now
        self._publish()

    def _publish(self) -> None:
        for owner in self.owners:
            owner.work.policies.update(self.policies)
            owner.desk.reconsider()

    def append(self, home: Home, said: Said) -> None:
        log = self.logs[home]
        log.append(record(len(log), said, home=home))

    def start(self, homes: Iterable[Home]) -> None:
        self.owners.append(Owner(self))
        for home in homes:
            self.owners[-1].acquire(home)

    def begun(self, owner: Owner, call: Call, reach: Reach) -> None:
        entry = call.entry
        stored = self.store.entries[entry.key]
        assert stored == entry, "a call without its intent"
        assert self.store.leases[entry.home].epoch == entry.epoch, "a call of an old epoch"
        flight = Flight(call, owner, self.now, reach)
        self.flights.append(flight)
        if reach.seen and not reach.late:
            self.vendor.sees(flight, self.now)

    def end(self, flight: Flight, result: Success | Failed) -> None:
        self.flights.remove(flight)
        if flight.reach.seen and flight.reach.late:
            self.vendor.sees(flight, self.now)
        flight.owner.end(flight, result)

    def kill(self, owner: Owner, *, zombie: bool) -> None:
        """Its calls in flight may still arrive until their deadline; a zombie keeps what it had not yet stored."""
        for flight in [one for one in self.flights if one.owner is owner]:
            self.flights.remove(flight)
            if flight.reach.seen and flight.reach.late:
                self.vendor.sees(flight, flight.begun + DEADLINE)
        owner.alive = False
        owner.ready.clear()
        self.owners.remove(owner)
        if zombie:
            self.zombies.append(owner)

    def advance(self, seconds: float) -> None:
        """Moves the clock; a call whose deadline passes meanwhile times out at that moment."""
        until = self.now + seconds
        for flight in sorted(self.flights, key=lambda one: one.begun):
            if flight.begun + DEADLINE <= until:
                self.now = max(self.now, flight.begun + DEADLINE)
                self.end(flight, TIMED_OUT)
        self.now = until

    def drain(self) -> None:
        """Everything answers well now: nothing may remain open."""
        self.configure(POLICIES[0])
        self.configure_app(APP_POLICIES[0])
        for flight in list(self.flights):
            self.end(flight, TIMED_OUT)
        for _ in range(1_500):
            wakes = []
            for owner in self.owners:
                owner.take(2)
                wakes.append(owner.decide())
                owner.commit(len(owner.pending))
                while owner.ready:
                    owner.begin(Reach(seen=True, effect=True))
                for flight in list(self.flights):
                    self.end(flight, success(flight.call, several=False))
                owner.publish(len(owner.outbox))
                owner.commit(len(owner.pending))
            if not any(owner.desk.items or owner.outbox for owner in self.owners) and self._all_read():
                return
            self.advance(max(0.0, min(min(wakes) - self.now, 600.0)))
        raise AssertionError("work stayed open")

    def _all_read(self) -> bool:
        return all(
            self.store.leases[home].offset in (len(log), None if not log else -1) for home, log in self.logs.items()
        )

    def outcomes(self) -> dict[UUID, Ended]:
        """The outcome records by id; the same id always has the same bytes."""
        found: dict[UUID, bytes] = {}
        for note in self.topic:
            if note.topic == "outcomes":
                value = note.value or b""
                ended = msgspec.json.decode(value, type=Ended)
                assert found.setdefault(ended.id, value) == value, "one id, two outcomes"
        return {one: msgspec.json.decode(value, type=Ended) for one, value in found.items()}
