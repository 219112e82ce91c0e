"""Faults of membership: processes of every service join, leave and are restarted, under load and under a limit."""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from andon.cli.main import main
from andon.kafka.admin import Cluster
from andon.kafka.connection import Connection
from andon.kafka.members import Members
from andon.kafka.topics import DELIVERIES
from tests.chaos.round import Round
from tests.rig.client import Door, Sent, event, wait_for
from tests.rig.plant import TOKEN, Plant
from tests.rig.plantfile import ROBOTS
from tests.rig.record import Effect, Record

ALL = ("enrichment", "routing", "egress", "ingress")
GROUPS = ALL[:3]
RATE, STORM_RATE = 200.0, 60.0
LIMIT = 40
PAUSE_S = 10.0
# A session, and a start on a busy machine: by then it has been given every partition that the other one left.
DESK_STOPS_S = 25.0
SETTLED_LOOKS = 6
STORM = 20
EVERY_S = 2.0
TWICE = 20


def f05_rolling_restart(run: Round) -> None:
    """A second process of every service joins, one of each two is restarted by SIGTERM (a test does two services), the
    second ones leave and are taken out of their groups; 200 events/s come in by two doors, and some by both."""
    plant = run.plant
    with limited(plant), plant.load(f"{run.prefix}-a", run.rng, rate=RATE / 2) as first:
        _join(run, ALL)
        with plant.load(f"{run.prefix}-b", run.rng, rate=RATE / 2, door=1) as second:
            twice = _at_both_doors(run)
            for service in run.rng.sample(ALL, len(ALL) if run.soak else 2):
                _restart(run, service, run.rng.choice((0, 1)))
            run.pause(0.3, 0.8)
        _leave(run, ALL)
        run.pause(0.3, 0.8)
        first.stop()
        sent = [*first.sent, *second.sent, *twice]
        record = run.judge(sent, 120)
    run.verdict.figures["second_records"] = run.verdict.figures["records"] - len(sent)
    run.expect(run.verdict.figures["second_records"] >= len(twice), "void: no event stands twice in the log")
    longest = _longest_pause(run, sent, record)
    run.in_time(longest <= PAUSE_S, f"I7: a subject stood still for {longest:.1f} s")
    run.expect(judge_sides(run, record) > 0, "void: no receiver changed hands")


def f23_rebalance_storm(run: Round) -> None:
    """Every two seconds a process leaves, of one service after the other, by SIGTERM or by kill -9, and another one is
    started in its place, which joins as soon as it can."""
    plant = run.plant
    began = time.time()
    with limited(plant), plant.load(run.prefix, run.rng, rate=run.rate(STORM_RATE)) as load:
        _join(run, GROUPS)
        for turn in range(STORM if run.soak else STORM // 4):
            service, due = GROUPS[turn % len(GROUPS)], time.monotonic() + EVERY_S
            # One that has not joined yet would not leave.
            plant.wait_ready(f"{service}-1")
            end(run, service, kill=run.rng.random() < 0.5)
            plant.start(service, slot=1)
            time.sleep(max(0.0, due - time.monotonic()))
        ended = time.time()
        for service in GROUPS:
            plant.wait_ready(f"{service}-1")
        _leave(run, GROUPS)
        load.stop()
        record = run.judge(load.sent, 120)
    _longest_pause(run, load.sent, record)
    run.expect(judge_sides(run, record) > 0, "void: no receiver changed hands")
    arrived = sorted(one.at for one in record.effects if one.id.startswith(run.prefix))
    for start in range(int((ended - began) // PAUSE_S)):
        window = began + start * PAUSE_S
        progress = sum(1 for at in arrived if window <= at < window + PAUSE_S)
        run.in_time(progress > 0, f"F23: nothing arrived in the 10 s from {window - began:.0f} s on")


def lost_offsets(run: Round) -> None:
    """The offsets of a stage and of a desk with two processes each are gone: a process stops and names the command that
    restores them; after it, all goes on where it was. Recovery counts from the end of that command. A desk whose store
    knows where every partition goes on does without them."""
    plant, services = run.plant, ("routing", "egress")
    with plant.load(run.prefix, run.rng, rate=run.rate(STORM_RATE)) as load:
        _second_ones(plant, services)
        for _ in run.turns(4):
            run.pause(1.0, 2.0)
            _lose_and_restore(run, services)
            run.delivers_again(load.sent, run.injuries[-1])
        for service in services:
            _gone(run, service)
    run.judge(load.sent, 120)


def _lose_and_restore(run: Round, services: Sequence[str]) -> None:
    plant, both = run.plant, [(service, slot) for service in services for slot in (0, 1)]
    for service, slot in both:
        run.expect(plant.terminate(_name(service, slot)) == 0, f"{_name(service, slot)} did not end in order")
        take_out(plant, service, slot)
    for service in services:
        Cluster(Connection(plant.bootstrap)).delete_group(service)
    for service, slot in both:
        plant.start(service, slot)
    stopped = _stopped(run, both)
    for service in services:
        slots = [slot for other, slot in stopped if other == service]
        if not slots:
            continue
        for slot in slots:
            take_out(plant, service, slot)
        code = _andon(plant, "offsets", service, "--restore", "--yes", "--data", str(plant.home))
        run.expect(code == 0, f"the offsets of {service} were not restored: exit {code}")
        run.injured(time.time())
    for service, slot in stopped:
        plant.start(service, slot)
    for service, slot in both:
        plant.wait_ready(_name(service, slot))


def _stopped(run: Round, both: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those that have ended, as a process has to that needs offsets and has none. A stage always does."""
    desks = [one for one in both if one[0] == "egress"]
    stages = [one for one in both if one not in desks]
    codes = {one: run.plant.exit_code(_name(*one)) for one in stages}
    wait_for(lambda: _settled(run, desks), DESK_STOPS_S)
    codes |= {one: run.plant.exit_code(_name(*one), 0.1) for one in desks}
    for one, code in codes.items():
        if code is None and one in desks:
            continue
        said = run.plant.log(_name(*one)).splitlines()[-1]
        run.expect(code == 3, f"{_name(*one)} without offsets ended with {code}")
        run.expect("andon topics offsets" in said, f"{_name(*one)} did not name the command: {said}")
        run.plant.forget(_name(*one))
    return [one for one, code in codes.items() if code is not None]


def _settled(run: Round, desks: Sequence[tuple[str, int]]) -> bool:
    """Whether every desk has ended, or those that have not have every partition, and have kept them for a while."""
    all_of_them = Cluster(Connection(run.plant.bootstrap)).partitions()[DELIVERIES]
    for _ in range(SETTLED_LOOKS):
        live = [
            f"{service}-{slot}" for service, slot in desks if run.plant.exit_code(_name(service, slot), 0.1) is None
        ]
        members = Members(Connection(run.plant.bootstrap)).of("egress") if live else []
        given = sum(len(one.partitions) for one in members if one.instance in live)
        if live and given < all_of_them:
            return False
        time.sleep(0.5 if live else 0.0)
    return True


def _name(service: str, slot: int) -> str:
    return f"{service}-1" if slot else service


@contextmanager
def limited(plant: Plant) -> Iterator[None]:
    """The plant with a limit that a pause of a few seconds makes felt."""
    old = plant.config.read_text(encoding="utf-8")
    plant.write_config(old.replace("limit: 100000/s", f"limit: {LIMIT}/s"))
    version = plant.publish()
    assert wait_for(lambda: in_force(plant, "egress", version), 60), "the limit is not in force"
    try:
        yield
    finally:
        plant.write_config(old)
        plant.publish()


def in_force(plant: Plant, service: str, version: int) -> bool:
    """Whether the service has said that it works by this version of the configuration."""
    said = [json.loads(line) for line in plant.log(service).splitlines() if "configuration in force" in line]
    return any(one.get("version") == version for one in said)


def _join(run: Round, services: Sequence[str]) -> None:
    run.injured(time.time())
    _second_ones(run.plant, services)


def _second_ones(plant: Plant, services: Sequence[str]) -> None:
    """Starts a second process of each service."""
    names = [plant.start(service, slot=1) for service in services]
    for name in names:
        plant.wait_ready(name)


def _restart(run: Round, service: str, slot: int) -> None:
    name = _name(service, slot)
    run.injured(time.time())
    code = run.plant.terminate(name)
    run.expect(code == 0, f"{name} ended with {code} after SIGTERM")
    run.plant.start(service, slot)
    run.plant.wait_ready(name)


def _leave(run: Round, services: Sequence[str]) -> None:
    for service in services:
        end(run, service)


def end(run: Round, service: str, *, kill: bool = False) -> None:
    """Ends the second process of a service, which is an injury."""
    run.injured(time.time())
    _gone(run, service, kill=kill)


def _gone(run: Round, service: str, *, kill: bool = False) -> None:
    """Ends the second process of a service and takes it out of its group, as an operator does."""
    name = f"{service}-1"
    if kill:
        run.plant.kill(name)
    else:
        code = run.plant.terminate(name)
        run.expect(code == 0, f"{name} ended with {code} after SIGTERM")
    if service in GROUPS:
        take_out(run.plant, service)


def take_out(plant: Plant, service: str, slot: int = 1) -> None:
    """Takes an ended process out of its group, so that its partitions need not wait for its session to end."""
    _andon(plant, "members", service, "--remove", str(slot))  # exit 1: it was killed before it had joined


def _andon(plant: Plant, *words: str) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return main(["topics", *words, "--bootstrap", plant.bootstrap, "--config", str(plant.config)])


def _at_both_doors(run: Round) -> list[Sent]:
    """Events that come to both doors: each takes them, for neither knows what the other took."""
    doors = [Door(run.plant.door_of(slot), TOKEN) for slot in (0, 1)]
    sent: list[Sent] = []
    for number in range(TWICE):
        to, name, subject = ROBOTS[number % len(ROBOTS)], f"{run.prefix}-2-{number}", f"{run.prefix}/twice{number}"
        body = json.dumps(event(name, subject, (to,), n=number)).encode()
        one = Sent(name, subject, (to,), body, time.time())
        for door in run.rng.sample(doors, 2):
            taken = wait_for(lambda door=door, one=one: door.send(one) == 202, 30)  # type: ignore[misc]
            run.expect(taken, f"{name} was answered {one.told}")
        sent.append(one)
    for door in doors:
        door.close()
    return sent


def _longest_pause(run: Round, sent: Sequence[Sent], record: Record) -> float:
    """How long a subject stood still while an event of it waited: from the effect before, or from its acceptance if
    that was later, to its own effect."""
    first: dict[str, float] = {}
    for one in record.effects:
        first.setdefault(one.id, one.at)
    before: dict[str, float] = {}
    longest = 0.0
    for told in sorted((one for one in sent if one.accepted and one.id in first), key=lambda one: first[one.id]):
        longest = max(longest, first[told.id] - max(before.get(told.subject, 0.0), told.accepted or 0.0))
        before[told.subject] = first[told.id]
    run.verdict.figures["longest_pause_s"] = longest
    return longest


def judge_sides(run: Round, record: Record) -> int:
    """From the sink's record alone: nobody was served by two at once, and no limit was broken. How often a receiver
    came to another process."""
    calls: dict[str, list[Effect]] = defaultdict(list)
    for one in record.effects:
        if one.id.startswith(run.prefix) and one.pid:  # 0: it was gone before the sink had looked who it was
            calls[one.receiver].append(one)
    changes = 0
    for receiver, effects in calls.items():
        ends: dict[int, float] = {}
        # What a process had written when it was killed, a busy sink reads later.
        alive = {effect.pid: run.plant.killed.get(effect.pid, math.inf) for effect in effects}
        for one in sorted(effects, key=lambda effect: min(effect.at, alive[effect.pid])):
            at = min(one.at, alive[one.pid])
            others = [(pid, end) for pid, end in ends.items() if pid != one.pid and end > at]
            run.expect(not others, f"{receiver} was served by {one.pid} while {others} was not done with it")
            changes += one.pid not in ends
            end = min(record.ended(one) or time.time(), alive[one.pid])
            ends[one.pid] = max(ends.get(one.pid, 0.0), end)
        begun = sorted(one.at for one in effects)
        short = [b - a for a, b in zip(begun, begun[LIMIT:], strict=False) if b - a < 1.0]
        run.expect(not short, f"{receiver} had {LIMIT + 1} calls within {min(short, default=0):.3f} s")
    run.verdict.figures["served_by"] = len({one.pid for one in chain.from_iterable(calls.values())})
    return changes - len(calls)
