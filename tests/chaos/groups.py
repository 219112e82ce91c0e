"""Egress is killed, and a second one joins and leaves, while groups wait, storms are counted and silences hold."""

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
HUSHED = 10
SPEAKING, HELD, MUTED = ROBOTS[:-2], ROBOTS[-2], ROBOTS[-1]
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
    a storm is counted, a route is muted, and a mute of somebody's holds others back. No notice is lost, none comes
    twice unmarked, digests count right, and what was held is told as one once the mute has ended."""
    plant = run.plant
    waited: list[int] = []

    def waiting() -> list[Pair]:
        names = {one.id for one in held}
        return [pair for pair in plant.case(run.prefix, load.sent).open() if pair[0] not in names]

    def open_now() -> None:
        wait_for(lambda: bool(waiting()), 20)
        waited.append(len(waiting()))

    with grouped(plant), plant.load(run.prefix, run.rng, SPEAKING, rate=RATE) as load:
        mute = _muted(plant, f"{run.prefix}/held")
        muted = _put(run, "m", [f"{run.prefix}/m{n}" for n in range(HUSHED)], MUTED, told=False)
        held = _put(run, "h", [f"{run.prefix}/held"] * HUSHED, HELD, told=True)
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
        early = _seen(plant.case(run.prefix, held), held)
        run.expect(not early, f"{len(early)} of those that were held back were told before their mute had ended")
        plant.command("unmute", mute)
        run.judge([*load.sent, *muted, *held], 120)
    case = plant.case(run.prefix, [*load.sent, *muted, *held])
    run.expect(len(_seen(case, held)) == 1, f"what was held came as {len(_seen(case, held))} notices")
    run.expect(all(waited), f"void: nothing waited at one of the injections: {waited}")
    run.expect(_merged(case), "void: no event became part of another's notice")
    for sentence in _wrong_counts(case):
        run.expect(False, sentence)
    for one in muted:
        ends = [o["outcome"]["reason"] for o in case.outcomes.values() if o["event"] == one.id]
        run.expect(ends == ["muted"], f"{one.id} is for a muted route, and ended as {ends}")


def _muted(plant: Plant, subject: str) -> str:
    """Mutes a subject as a person does; the number of the mute, once the services know it."""
    mute: str = plant.command("mute", f'subject="{subject}"', "--for", "1h", "--why", "a test")["id"]
    version = int(mute.removeprefix("m"))
    assert wait_for(lambda: all(in_force(plant, one, version) for one in ("routing", "egress")), 60)
    return mute


def _seen(case: Case, sent: Sequence[Sent]) -> set[Pair]:
    """Which of these the sink has seen by themselves."""
    names = {one.id for one in sent}
    return {(one.id, one.receiver) for one in case.effects if one.id in names}


def _put(run: Round, mark: str, subjects: Sequence[str], receiver: str, *, told: bool) -> list[Sent]:
    """An event of each subject for one receiver, taken by the door; `told`: somebody is to hear of it."""
    door, sent = Door(run.plant.door, TOKEN), []
    for number, subject in enumerate(subjects):
        name = f"{run.prefix}-{mark}{number}"
        body = json.dumps(event(name, subject, (receiver,), n=number)).encode()
        one = Sent(name, subject, (receiver,) if told else (), body, time.time())
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
