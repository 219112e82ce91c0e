"""Egress is killed, and a second one joins and leaves, while groups wait, storms are counted and a route is muted."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.members import end, in_force
from tests.chaos.round import Round
from tests.rig.client import Door, Sent, event, wait_for
from tests.rig.plant import TOKEN, Plant
from tests.rig.plantfile import ROBOTS
from tests.rig.verdict import Case, Pair

RATE = 80.0
TURNS = 4
SPEAKING, MUTED = ROBOTS[:-1], ROBOTS[-1]
CALENDAR = 'calendar: {time_intervals: {ever: [{times: ["00:00-24:00"]}]}}\n'
PACE = "  group_by: [subject]\n  group_wait: 1s\n  group_interval: 2s\n"
STORM = "limits: {storm: {over: 20/5s, by: [to]}}"


@contextmanager
def grouped(plant: Plant) -> Iterator[None]:
    """The plant's usual robots with groups by subject and a storm for each robot; one of them is muted at all times."""
    old = plant.config.read_text(encoding="utf-8")
    new = old
    changes = [("limits: {}", STORM), ("route:\n", f"{CALENDAR}route:\n{PACE}")]
    changes += [(_receiver(name, "none"), _receiver(name, "{over: 100000/s}")) for name in ROBOTS]
    muted = f"receiver: {MUTED}}}\n"
    changes += [(muted, f"receiver: {MUTED}, mute_time_intervals: [ever]}}\n")]
    for before, after in changes:
        assert new.count(before) == 1, before
        new = new.replace(before, after)
    plant.write_config(new)
    version = plant.publish()
    assert wait_for(lambda: all(in_force(plant, one, version) for one in ("routing", "egress")), 60)
    try:
        yield
    finally:
        plant.write_config(old)
        plant.publish()


def _receiver(name: str, merge: str) -> str:
    return f"  {name}: {{channel: {name}, template: probe, merge: {merge}}}\n"


def open_groups(run: Round) -> None:
    """kill -9 of egress; a second one joins, and leaves by SIGTERM or kill -9: each while events wait for a group,
    a storm is counted and a route is muted. No notice is lost, none comes twice unmarked, digests count right."""
    plant = run.plant
    waited: list[int] = []

    def open_now() -> None:
        found = wait_for(lambda: bool(plant.case(run.prefix, load.sent).open()), 20)
        waited.append(len(plant.case(run.prefix, load.sent).open()) if found else 0)

    with grouped(plant), plant.load(run.prefix, run.rng, SPEAKING, rate=RATE) as load:
        muted = _to_the_muted(run, 10)
        for _ in run.turns(TURNS):
            run.pause(0.5, 1.5)
            open_now()
            run.injured(plant.kill("egress"))
            plant.start("egress")
            plant.wait_ready("egress")
            run.injured(time.time())
            plant.start("egress", slot=1)
            plant.wait_ready("egress-1")
            run.pause(0.5, 1.5)
            open_now()
            end(run, "egress", kill=run.rng.random() < 0.5)
        run.pause(0.5, 1.0)
        load.stop()
        run.judge([*load.sent, *muted], 120)
    case = plant.case(run.prefix, [*load.sent, *muted])
    run.expect(all(waited), f"void: nothing waited at one of the injections: {waited}")
    run.expect(_merged(case), "void: no event became part of another's notice")
    for sentence in _wrong_counts(case):
        run.expect(False, sentence)
    for one in muted:
        ends = [o["outcome"]["reason"] for o in case.outcomes.values() if o["event"] == one.id]
        run.expect(ends == ["muted"], f"{one.id} is for a muted route, and ended as {ends}")


def _to_the_muted(run: Round, count: int) -> list[Sent]:
    """Events of a route that says nothing: nobody is to hear of them."""
    door, sent = Door(run.plant.door, TOKEN), []
    for number in range(count):
        name, subject = f"{run.prefix}-m{number}", f"{run.prefix}/m{number}"
        one = Sent(name, subject, (), json.dumps(event(name, subject, (MUTED,), n=number)).encode(), time.time())
        run.expect(wait_for(lambda one=one: door.send(one) == 202, 30), f"{name} was not taken")  # type: ignore[misc]
        sent.append(one)
    door.close()
    return sent


def _merged(case: Case) -> int:
    """How many events became part of another's notice."""
    return sum(1 for one in case.ended().values() if one["outcome"]["outcome"] == "merged")


def _wrong_counts(case: Case) -> Sequence[str]:
    """Notices that speak for another number of events than have an outcome which leads to them."""
    ended = case.ended()
    into = {str(o["delivery"]): str(o["outcome"].get("into") or o["delivery"]) for o in ended.values()}
    spoken: Counter[str] = Counter()
    for last in into:
        while into.get(last, last) != last:
            last = into[last]
        spoken[last] += 1
    told: dict[Pair, int] = {(one.id, one.receiver): one.count for one in case.effects}
    return [
        f"{pair} speaks for {told[pair]} events, {spoken[str(outcome['delivery'])]} name it"
        for pair, outcome in ended.items()
        if outcome["outcome"]["outcome"] == "delivered" and told.get(pair) != spoken[str(outcome["delivery"])]
    ]
